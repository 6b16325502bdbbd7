//! `hbd`: the daemon. See hbd(8).

use std::process::ExitCode;

fn main() -> ExitCode {
    hbd::daemon::main()
}
