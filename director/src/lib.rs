//! The LVS director: keeps the kernel's IPVS table equal to what the configuration, the health of the
//! real servers and their load say.
//!
//! ```text
//! config ─┐
//! checks ─┼─▶ core ─▶ desired table ─▶ plan ─▶ kernel
//! load   ─┤   (now, input) → actions    ▲         │
//! orders ─┘                             └── read ─┘
//! ```
pub mod agent;
pub mod check;
pub mod config;
pub mod core;
pub mod ctl;
pub mod daemon;
pub mod fuzz;
pub mod kernel;
pub mod load;
pub mod real;
pub mod table;
