//! `director`: what the operator types, and what it shows.

mod args;
mod commands;
mod look;
mod real;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use look::render as render_status;

/// The command line as clap has it, for checking the manual.
pub fn command_line() -> clap::Command {
    args::Cli::command()
}

/// The whole of it: reads the command line, does it, says how it went by the exit code (0 done, 1 refused or
/// failed, 2 usage or bad configuration, 3 no daemon to talk to).
pub fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, mistakes to stderr; a closed pipe is nobody's fault.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            fail.say("director");
            ExitCode::from(fail.exit_code())
        }
    }
}
