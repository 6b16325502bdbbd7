//! The failover daemon `hbd` and its operator tool `hbctl`.
pub mod agents;
pub mod config;
mod console;
pub mod control;
pub mod convert;
pub mod ctl;
pub mod daemon;
pub mod fence;
#[doc(hidden)]
pub mod fuzz;
pub mod http;
mod private;
pub mod witness;
