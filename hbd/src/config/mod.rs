//! `hbd.toml`: reading it, and saying what is wrong with it.
pub mod model;
pub use model::*;
