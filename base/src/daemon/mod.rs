//! What every daemon has: a log, a lock, a socket, a service manager.
pub mod log;
pub mod notify;
pub mod socket;
pub mod when;
