//! `hbctl`: what the operator types, and what it shows.
//!
//! ```text
//! args ──▶ commands ──▶ base ══ hbd.sock ══▶ hbd
//!              │          │
//!              ▼          ▼
//!     status, event    progress            only these know how things look
//! ```
//!
//! `check`, `convert` and `keygen` work without a daemon. Everything the daemon says is shown after `text` has
//! taken the control characters out: an agent's output must not be able to steer a terminal.

mod args;
mod check;
mod commands;
mod convert;
mod director;
mod event;
mod keygen;
mod progress;
pub(crate) mod status;
mod tune;
mod watch;

use std::process::ExitCode;

use base::terminal::{age, entry, fail, paint, text};
use clap::CommandFactory;

pub use status::render as render_status;

/// The command line as clap has it: commands, options and their help, for checking the manual.
pub fn command_line() -> clap::Command {
    args::Cli::command()
}

/// The whole of `hbctl`: reads the command line, does it, says how it went by the exit code (0 done, 1
/// refused or failed, 2 usage or bad configuration, 3 no daemon to talk to).
pub fn main() -> ExitCode {
    entry::run("hbctl", commands::run)
}
