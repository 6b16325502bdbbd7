//! The command line of `hb-load-agent`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use super::measure::Limits;
use super::{Meter, Ports, serve};

/// Tells a director how busy this real server is: a line of agent-check text for everyone who connects.
#[derive(Debug, Parser)]
#[command(name = "hb-load-agent", version, max_term_width = 100)]
pub struct Args {
    /// Listen here for directors that ask by `weights = { type = "agent" }`; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:7777")]
    listen: Vec<SocketAddr>,
    /// Also tell it as JSON over HTTP here
    #[arg(long, value_name = "ADDRESS:PORT")]
    json: Vec<SocketAddr>,
    /// How often to measure
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    interval: Duration,
    /// This many processes that run or wait, for each processor, are a full load
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = positive)]
    queue: f64,
    /// This many sessions of users are a full load; without it sessions are not looked at
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sessions: Option<u32>,
    /// If this file is there, its first line goes before the load: drain, maint, down #why
    #[arg(long, value_name = "FILE")]
    state_file: Option<PathBuf>,
    /// Measure once, print the line, and exit; with --once=json the JSON
    #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "text", require_equals = true)]
    once: Option<Form>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Text,
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = base::config::duration::parse(text).map_err(|(what, help)| format!("{what}: {help}"))?;
    match duration >= Duration::from_millis(100) {
        true => Ok(duration),
        false => Err("it must be at least 100ms".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "a number above 0 is needed".to_owned())
}

/// The command line, for its manual.
pub fn command_line() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs it by the arguments of this process.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ran =
        runtime.map_err(|e| format!("cannot start: {e}")).and_then(|runtime| runtime.block_on(run(args)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("hb-load-agent: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), String> {
    let limits = Limits { queue: args.queue, sessions: args.sessions };
    let mut meter = Meter::new(limits, args.state_file);
    if let Some(form) = args.once {
        // Processor time is measured between two moments.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let report = meter.report();
        match form {
            Form::Text => print!("{}", report.line()),
            Form::Json => print!("{}", report.json()),
        }
        return Ok(());
    }
    let ports = Ports { line: args.listen, json: args.json };
    tokio::select! {
        ended = serve(meter, &ports, args.interval) => ended,
        ended = stopped() => ended,
    }
}

/// Until it is told to end.
async fn stopped() -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|e| format!("cannot listen for signals: {e}"));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => Ok(()),
        _ = int.recv() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
        let args = Args::try_parse_from(["x", "--once=json", "--queue", "1.5", "--sessions", "30"]).unwrap();
        assert_eq!((args.once, args.queue, args.sessions), (Some(Form::Json), 1.5, Some(30)));
        for wrong in
            [&["--queue", "0"][..], &["--sessions", "0"], &["--interval", "1ms"], &["--listen", "7777"]]
        {
            assert!(Args::try_parse_from([&["x"], wrong].concat()).is_err(), "{wrong:?}");
        }
    }
}
