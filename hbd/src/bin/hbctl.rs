//! `hbctl`: the operator's tool. All of it is in [`hbd::ctl`].

fn main() -> std::process::ExitCode {
    hbd::ctl::main()
}
