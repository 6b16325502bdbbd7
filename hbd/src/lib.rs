//! The failover daemon `hbd` and its operator tool `hbctl`.
pub mod config;
pub mod control;
