//! The simulated world: a week in seconds.

mod authority;
mod certificate;
mod clocks;
mod dataiku;
mod deletion;
mod failures;
mod unsynced;
mod keys;
mod leaks;
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
mod wire;
mod world;
