//! What the daemons `hbd` and `director` both stand on, and their tools.
pub mod accounts;
pub mod authorities;
pub mod base64;
pub mod config;
pub mod control;
pub mod daemon;
pub mod fuzz;
pub mod terminal;
