//! The way into a tool: the command line read, done, and how it went said by the exit code.

use std::process::ExitCode;

use clap::Parser;

use super::fail::Fail;

/// Reads the command line of `tool` and has it done: exit code 0 done, 1 refused or failed, 2 usage or bad configuration, 3 no
/// daemon to talk to.
pub fn run<C: Parser>(tool: &str, act: impl FnOnce(&C) -> Result<(), Fail>) -> ExitCode {
    let cli = match C::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, mistakes to stderr; a closed pipe is nobody's fault.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match act(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            fail.say(tool);
            ExitCode::from(fail.exit_code())
        }
    }
}
