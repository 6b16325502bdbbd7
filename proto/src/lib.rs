//! What travels between the nodes.
pub mod message;
pub use message::*;
