//! Tells a director how busy this real server is. See hb-load-agent(8).

use std::process::ExitCode;

fn main() -> ExitCode {
    director::agent::main()
}
