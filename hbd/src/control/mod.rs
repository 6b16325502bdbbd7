//! The control socket.
pub use base::control::access;
pub mod protocol;
pub mod server;
pub use protocol::*;
