//! The reconciles of `DssInstance`s and `DataRobotInstance`s: keyturn reads the admin key or the
//! API token of an instance, asks the system, and reports in the conditions whether it answers.

mod conditions;
mod data_robot;
mod dss;
mod others;
mod secret;

pub use data_robot::{DataRobotContext, reconcile_data_robot};
pub use dss::{InstanceContext, reconcile};
