//! What is decided: the failover core, a function of (now, input).
//!
//! No clock, no socket, no randomness, no runtime: [`Core`] is driven by the daemon, by the simulator, and by tests
//! in the very same way. Read its documentation first.

mod certain;
mod change;
mod command;
mod core;
mod diff;
pub mod event;
mod fencing;
mod follow;
pub mod gaps;
mod ground;
mod group;
mod hear;
pub mod io;
mod keep;
mod key;
mod lease;
mod life;
mod moving;
mod operate;
mod orders;
mod orphan;
mod own;
mod peer;
mod pings;
mod probe;
mod recover;
mod reload;
mod report;
pub mod settings;
mod standby;
pub mod status;
mod take;
pub mod time;
pub mod timer;
mod trust;
pub mod tune;
mod watch;
mod why;
mod witness;

pub use crate::core::Core;
pub use event::{Event, Level};
pub use io::*;
pub use settings::*;
pub use time::Time;
pub use timer::Timer;
