//! The control socket: one request for each connection, then answers, a JSON object a line.
pub mod access;
pub mod client;
pub mod protocol;
pub mod server;
