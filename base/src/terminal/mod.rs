//! The operator's terminal.
pub mod age;
pub mod entry;
pub mod fail;
pub mod look;
pub mod page;
pub mod paint;
pub mod text;
pub mod watch;
