//! The daemon: the loop that drives the core, and the threads that do what it decides.
//!
//! ```text
//!                 ┌──────────── loop (this process's main thread) ────────────┐
//!  links ────────▶│ datagrams ▶ reports ▶ deadline ▶ signals ▶ operators      │
//!                 │                  cluster::Core                            │
//!                 └──┬──────────────┬────────────────┬───────────────┬────────┘
//!                    ▼              ▼                ▼               ▼
//!              net: addresses  work: agents,   disk: state,     log: stderr
//!                              control socket, events, reload
//!                              console
//!                    └──────────────┴──── reports ───┘
//! ```
//! A further thread asks the witness, and one pets the watchdog, where they are configured.
//! Every queue is bounded. The loop never waits for one: a full queue fails the one operation that
//! found it full, and says so.

mod alert;
pub mod args;
pub mod ask;
pub mod disk;
pub mod dog;
pub mod history;
pub mod links;
pub mod log;
pub mod net;
pub mod pinger;
pub mod reload;
pub mod report;
mod respawn;
pub mod settings;
pub mod status;
pub mod when;
pub mod witness;
pub mod work;

mod engine;
mod event_loop;
mod orders;
pub(crate) mod outputs;
mod rejected;
mod start;
mod watch;
mod window;

use base::daemon::{notify, socket};

pub use start::main;

/// Stack of a thread that parses or runs agents; only what is touched costs memory.
const STACK: usize = 1 << 20;
/// Stack of a thread that makes a few system calls.
const SMALL_STACK: usize = 128 << 10;
/// `SCHED_FIFO` priorities: above ordinary work, below the kernel's own threads (50). The loop
/// preempts the net thread, never the other way round.
const LOOP_PRIORITY: u8 = 40;
const NET_PRIORITY: u8 = 30;
