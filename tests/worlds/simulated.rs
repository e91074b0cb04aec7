//! The simulated world: a day in milliseconds.

mod authority;
mod clocks;
mod deletion;
mod failures;
mod half_view;
mod leaks;
mod main_job;
mod renewal;
mod restart;
mod secret_watch;
mod seeds;
mod world;
