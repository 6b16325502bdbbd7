//! What checks cost: runs one check so many times a second on one thread and says how much processor time each took.
//!
//!     cargo run --release -p director --example check_rate -- ADDRESS:PORT PER_SECOND SECONDS 'type = "http"'
//!
//! The check is written as in the configuration, its keys separated by line ends or ';'.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base::config::problem::Report;
use base::config::table::{ROOT, Table};
use director::check::{Spec, Target, parse, run};
use director::table::Protocol;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use toml::de::DeTable;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, seconds, check] = &args[..] else {
        eprintln!("usage: check_rate ADDRESS:PORT PER_SECOND SECONDS 'type = \"http\"; path = \"/\"'");
        return ExitCode::from(2);
    };
    let asked =
        address.parse::<SocketAddr>().ok().zip(rate.parse::<u32>().ok()).zip(seconds.parse::<u32>().ok());
    let (Some(((address, rate), seconds)), Some(spec)) = (asked, spec(&check.replace(';', "\n"))) else {
        eprintln!("check_rate: an address, two numbers and a check are needed");
        return ExitCode::from(2);
    };
    let protocol = if check.contains("udp") || check.contains("dns") { Protocol::Udp } else { Protocol::Tcp };
    let target = Target { address: address.ip(), port: address.port(), protocol, service: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tokio::task::LocalSet::new().run_until(measure(spec, target, rate.max(1), seconds)));
    ExitCode::SUCCESS
}

fn spec(text: &str) -> Option<Spec> {
    let table = DeTable::parse(text).ok()?;
    let report = Report::new(Path::new("check"), text);
    let root = Table::new(ROOT.to_owned(), table.span(), table.get_ref(), &report);
    let spec = parse::read(&root, &report);
    root.finish();
    if report.has_errors() {
        eprint!("{}", report.into_problems().render(false));
    }
    spec
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage");
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(micros.try_into().unwrap_or(0))
}

async fn measure(spec: Spec, target: Target, rate: u32, seconds: u32) {
    // The first makes the check ready, which is not part of what each costs.
    let first = run(&spec, &target, Duration::from_secs(5)).await;
    println!("first: {:?} in {:?}", first.result, first.took);
    let (began, before) = (Instant::now(), processor_time());
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut running = Vec::new();
    for _ in 0..rate * seconds {
        ticks.tick().await;
        let (spec, target) = (spec.clone(), target.clone());
        running
            .push(tokio::task::spawn_local(async move { run(&spec, &target, Duration::from_secs(5)).await }));
    }
    let mut took = Vec::new();
    let mut bad = 0;
    for task in running {
        let outcome = task.await.expect("a check never panics");
        bad += u32::from(outcome.result.is_err());
        took.push(outcome.took);
    }
    let (wall, used) = (began.elapsed(), processor_time() - before);
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "{} checks in {wall:.1?}: {bad} bad, processor {:.1?} ({:.0?} each, {:.0} % of one core)",
        took.len(),
        used,
        used / u32::try_from(took.len()).unwrap_or(u32::MAX),
        used.as_secs_f64() / wall.as_secs_f64() * 100.0
    );
    println!("latency: median {:?}, 99 % {:?}, most {:?}", at(50), at(99), at(100));
}
