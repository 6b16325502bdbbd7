//! The director at work: one loop that drives the core, and a thread that speaks to the kernel.
//!
//! ```text
//!  director.sock ─▶ ┌──────────── loop (main thread) ────────────┐
//!  signals ───────▶ │ kernel ▶ answers ▶ time ▶ signals ▶ asks   │──▶ kernel thread: read, apply, sync
//!  checks, loads ─▶ │                 core::Core                 │──▶ tasks: checks, loads, alerts, hooks
//!                   └────────────────────────────────────────────┘──▶ log thread: stderr
//! ```

mod engine;
mod event_loop;
mod kernel;
mod memory;
pub mod protocol;
mod server;
mod start;
mod tasks;

pub use start::{Args, BackendKind, Role, planned, run};
