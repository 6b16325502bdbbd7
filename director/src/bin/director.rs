//! `director`: the LVS director and its control tool. See director(8).

fn main() -> std::process::ExitCode {
    director::ctl::main()
}
