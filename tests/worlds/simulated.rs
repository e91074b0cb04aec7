//! The simulated world: a day in milliseconds.

mod main_job;
mod world;
