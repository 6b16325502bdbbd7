//! Every type of check against servers that are down, silent, slow, or something else altogether.
//!
//! Real servers of every kind are in `real_servers`.

mod peers;
#[path = "../support/mod.rs"]
mod support;
mod tls;

mod config;
mod negative;
mod positive;
