//! The simulated world: a week of an operator in seconds.

mod authority;
mod certificate;
mod clocks;
mod dataiku;
mod deletion;
mod failures;
mod keys;
mod large_objects;
mod leaks;
mod limits;
mod log;
mod main_job;
mod persons;
mod pods;
mod renewal;
mod replicas;
mod restart;
mod roles;
mod rollouts;
mod secret_watch;
mod seeds;
mod sessions;
mod tampered;
mod unsynced;
mod wire;
mod world;
