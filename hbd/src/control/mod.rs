//! The control socket.
pub mod access;
pub mod protocol;
pub mod server;
pub use protocol::*;
