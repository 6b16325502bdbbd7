//! `director.toml`.
pub mod model;
