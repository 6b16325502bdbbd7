//! The kernel's side of the promises, tried in network namespaces. Needs root; says so and passes without.

mod addresses;
mod claims;
mod monitor;
mod neighbours;
mod sockets;
mod space;
