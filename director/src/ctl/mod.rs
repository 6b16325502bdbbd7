//! `director`: what the operator types, and what it shows.

mod args;
mod commands;
mod look;
mod real;

use std::process::ExitCode;

use base::terminal::entry;
use clap::CommandFactory;

pub use look::render as render_status;

/// The command line as clap has it, for checking the manual.
pub fn command_line() -> clap::Command {
    args::Cli::command()
}

/// The whole of it: reads the command line, does it, says how it went by the exit code (0 done, 1 refused or
/// failed, 2 usage or bad configuration, 3 no daemon to talk to).
pub fn main() -> ExitCode {
    sys::rt::one_arena();
    sys::rt::small_pages();
    entry::run("director", commands::run)
}
