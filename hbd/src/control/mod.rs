//! The control socket.
pub mod protocol;
pub use protocol::*;
