//! `lab`: the lab's own programs (the holders of namespaces, the probe and its responder) and its broom.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use lab::farm::ask;
use lab::probe::{echo, report, run};
use lab::{LabError, Result, live, net};

#[derive(Parser)]
#[command(name = "lab", about = "The namespace lab of hbd: real daemons on real networks")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ask an address again and again and report every gap in the answers
    Probe {
        /// ADDRESS:PORT, several are asked in turn
        #[arg(required = true)]
        targets: Vec<SocketAddr>,
        /// Time between probes: 1ms, 500us, 1s
        #[arg(long, default_value = "1ms", value_parser = duration)]
        interval: Duration,
        /// End after this time
        #[arg(long, default_value = "60s", value_parser = duration)]
        duration: Duration,
        /// End when stdin ends, too
        #[arg(long)]
        until_eof: bool,
        /// An answer after this time counts as lost
        #[arg(long, default_value = "20ms", value_parser = duration)]
        late: Duration,
        /// Write the summary here instead of to stdout
        #[arg(long)]
        json: Option<PathBuf>,
        /// Write every probe here
        #[arg(long)]
        csv: Option<PathBuf>,
    },
    /// Answer probes, saying who answers
    Echo {
        /// The name to answer with
        #[arg(long)]
        name: String,
        /// ADDRESS:PORT, repeatable
        #[arg(long = "bind", required = true)]
        bind: Vec<SocketAddr>,
    },
    /// Show a pair at work: a web page, a pulled plug, an operator's standby
    Demo {
        /// The folder with the resource agents
        #[arg(long)]
        agents: PathBuf,
        /// Directors with real servers instead; needs a kernel with IPVS
        #[arg(long)]
        director: bool,
    },
    /// Fetch a web page again and again until stdin ends (used by the demonstration)
    #[command(hide = true)]
    Visit {
        target: SocketAddr,
        #[arg(long)]
        json: PathBuf,
    },
    /// Be a real server that says its name
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        name: String,
        /// http:ADDRESS:PORT, line:…, udp:…
        #[arg(required = true)]
        places: Vec<lab::farm::serve::Place>,
    },
    /// Ask real servers their names, again and again
    #[command(hide = true)]
    Ask {
        /// http:ADDRESS:PORT, line:…, udp:…
        place: lab::farm::serve::Place,
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// From these addresses in turn
        #[arg(long)]
        from: Vec<std::net::IpAddr>,
        #[arg(long, default_value = "10ms", value_parser = duration)]
        pause: Duration,
        #[arg(long, default_value = "5s", value_parser = duration)]
        patience: Duration,
        /// End when stdin ends, too
        #[arg(long)]
        until_eof: bool,
        /// Write what was seen here instead of to stdout
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Keep one connection open and talk over it until stdin ends
    #[command(hide = true)]
    Talk {
        address: SocketAddr,
        #[arg(long, default_value = "100ms", value_parser = duration)]
        pause: Duration,
        #[arg(long, default_value = "60s", value_parser = duration)]
        patience: Duration,
        #[arg(long)]
        until_eof: bool,
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Send garbage datagrams
    Flood {
        /// ADDRESS:PORT, broadcast addresses too
        #[arg(required = true)]
        targets: Vec<SocketAddr>,
        /// How many to each
        #[arg(long, default_value_t = 1000)]
        count: u32,
    },
    /// Send forged packets that cost their receiver most, at a rate; prints how many went out in what time
    Forged {
        /// ADDRESS:PORT, broadcast addresses too
        #[arg(required = true)]
        targets: Vec<SocketAddr>,
        /// A second, to all of them together
        #[arg(long, default_value_t = 100_000)]
        rate: u32,
        /// For so long
        #[arg(long, default_value = "5s", value_parser = duration)]
        time: Duration,
        /// The cluster they pretend to be of
        #[arg(long, default_value = "lab")]
        cluster: String,
    },
    /// Send every forgery of recorded packets; prints how many are to be counted by which reason
    Forge {
        /// What was recorded
        file: PathBuf,
        /// ADDRESS:PORT
        target: SocketAddr,
    },
    /// Print sender, key, incarnation and sequence of each heartbeat that comes, for ever
    Beats {
        /// The port they come to
        #[arg(long, default_value_t = 694)]
        port: u16,
    },
    /// Record datagrams
    Record {
        /// The port they come to
        #[arg(long, default_value_t = 694)]
        port: u16,
        /// Where they come from
        #[arg(long)]
        from: std::net::IpAddr,
        /// How many
        #[arg(long, default_value_t = 20)]
        count: u32,
        /// Where to keep them
        file: PathBuf,
    },
    /// Send recorded datagrams again
    Replay {
        /// What was recorded
        file: PathBuf,
        /// ADDRESS:PORT, broadcast addresses too
        #[arg(required = true)]
        targets: Vec<SocketAddr>,
        /// How often
        #[arg(long, default_value_t = 1)]
        rounds: u32,
    },
    /// Remove what dead runs of the lab left in the temporary folder
    Clean,
    /// Measure hbd beside its peers; see docs/bench.md, and use scripts/bench
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Real daemons through a random but seeded sequence of faults, audited from outside; use scripts/lab
    Live {
        /// The first seed: a walk of its own; the next walk takes the next
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// So many walks, each to its end
        #[arg(long, conflicts_with = "minutes")]
        seeds: Option<u64>,
        /// No walk begins later; without it and --seeds, one walk
        #[arg(long)]
        minutes: Option<f64>,
        /// The ground of all walks; without it seeds that follow each other take all of them in turn
        #[arg(long)]
        ground: Option<live::ground::Ground>,
        /// Print the steps of the seed and do nothing
        #[arg(long)]
        plan: bool,
        /// Folder for the logs of walks that went wrong
        #[arg(long, default_value = "target/live")]
        out: PathBuf,
    },
    /// Hold a machine's namespaces (used by the lab itself)
    #[command(hide = true)]
    Hold {
        #[arg(long)]
        name: String,
        #[arg(long)]
        dir: PathBuf,
    },
    /// Be pid 1 of a machine (used by the lab itself)
    #[command(hide = true)]
    Init {
        #[arg(long)]
        name: String,
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// Power loss, hand-over, many addresses, and what an idle pair costs
    Failover {
        /// Samples of each failover and product
        #[arg(long, default_value_t = 10)]
        runs: u32,
        /// Shorter steady state, fewer addresses for heartbeat
        #[arg(long)]
        quick: bool,
        /// Only these products (hbd, keepalived, heartbeat); repeatable
        #[arg(long)]
        only: Vec<String>,
        /// Only these parts (power, standby, many, steady); repeatable
        #[arg(long = "part")]
        parts: Vec<String>,
        /// Folder for the table, the CSV and the plot
        #[arg(long, default_value = "target/bench")]
        out: PathBuf,
    },
    /// Real servers that go and come, a thousand of them, a reload of ten thousand; needs a kernel with IPVS
    Director {
        /// Samples of each reaction and product
        #[arg(long, default_value_t = 10)]
        runs: u32,
        /// Only these products (hbd, keepalived, ldirectord); repeatable
        #[arg(long)]
        only: Vec<String>,
        /// Only these parts (reaction, load, transitions, reload); repeatable
        #[arg(long = "part")]
        parts: Vec<String>,
        /// Folder for the table, the CSV and the plot
        #[arg(long, default_value = "target/bench")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    match act(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("lab: {e}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> Result<()> {
    match command {
        Command::Probe { targets, interval, duration, until_eof, late, json, csv } => {
            probe(&run::Plan { targets, interval, duration, late }, until_eof, json, csv)
        }
        Command::Echo { name, bind } => echo::serve(&name, &bind),
        Command::Demo { agents, director: false } => lab::demo::run(&agents),
        Command::Demo { agents, director: true } => lab::farm::demo::run(&agents),
        Command::Visit { target, json } => {
            let stop = stop_at_eof(true);
            lab::demo::visit::visit(target, &stop, &json)
        }
        Command::Serve { name, places } => lab::farm::serve::serve(&name, &places),
        Command::Ask { place, count, from, pause, patience, until_eof, json } => {
            let stop = stop_at_eof(until_eof);
            let plan = ask::Plan { from, count, pause, patience };
            write_json(&ask::ask(place, &plan, &stop), json)
        }
        Command::Talk { address, pause, patience, until_eof, json } => {
            let stop = stop_at_eof(until_eof);
            write_json(&ask::talk(address, pause, patience, &stop)?, json)
        }
        Command::Flood { targets, count } => {
            println!("{}", lab::flood::flood(&targets, count)?);
            Ok(())
        }
        Command::Forged { targets, rate, time, cluster } => {
            print_json(&lab::flood::forged(&cluster, &targets, rate, time)?)
        }
        Command::Forge { file, target } => print_json(&lab::forge::forge(&file, target)?),
        Command::Beats { port } => lab::forge::beats(port),
        Command::Record { port, from, count, file } => lab::flood::record(port, from, count, &file),
        Command::Replay { file, targets, rounds } => {
            println!("{}", lab::flood::replay(&file, &targets, rounds)?);
            Ok(())
        }
        Command::Clean => {
            for path in net::clean::clean()? {
                println!("removed {}", path.display());
            }
            Ok(())
        }
        Command::Bench { what: Bench::Failover { runs, quick, only, parts, out } } => {
            lab::bench::failover(&lab::bench::Options { runs, quick, only, parts, out })
        }
        Command::Bench { what: Bench::Director { runs, only, parts, out } } => {
            lab::bench::director::run(&lab::bench::director::Options { runs, only, parts, out })
        }
        Command::Live { seed, seeds, minutes, ground, plan, out } => {
            let time = Duration::try_from_secs_f64(minutes.unwrap_or(0.0) * 60.0)
                .map_err(|e| LabError(format!("--minutes: {e}")))?;
            let whole = minutes.is_none();
            let seeds = seeds.unwrap_or(if whole { 1 } else { u64::MAX });
            live::run(&live::Options { seed, seeds, ground, time, whole, plan, out })
        }
        Command::Hold { name, dir } => net::init::hold(&name, &dir),
        Command::Init { name, dir } => net::init::init(&name, &dir),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|e| LabError(format!("no JSON: {e}")))?;
    println!("{text}");
    Ok(())
}

fn write_json(value: &impl serde::Serialize, file: Option<PathBuf>) -> Result<()> {
    let Some(path) = file else { return print_json(value) };
    let text = serde_json::to_string(value).map_err(|e| LabError(format!("no JSON: {e}")))?;
    std::fs::write(&path, text).map_err(|e| LabError(format!("cannot write {}: {e}", path.display())))
}

fn probe(plan: &run::Plan, until_eof: bool, json: Option<PathBuf>, csv: Option<PathBuf>) -> Result<()> {
    let stop = stop_at_eof(until_eof);
    let samples = run::run(plan, &stop, |at| eprintln!("started {at}"))?;
    let summary = report::summarise(plan, &samples);
    let text = serde_json::to_string_pretty(&summary).map_err(|e| LabError(format!("no JSON: {e}")))?;
    if let Some(path) = csv {
        report::write_csv(&path, plan, &samples)?;
    }
    match json {
        None => println!("{text}"),
        Some(path) => std::fs::write(&path, text)
            .map_err(|e| LabError(format!("cannot write {}: {e}", path.display())))?,
    }
    Ok(())
}

/// A flag that is set when stdin ends, if asked for.
fn stop_at_eof(asked: bool) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopper = Arc::clone(&stop);
    if asked {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            stopper.store(true, Ordering::Relaxed);
        });
    }
    stop
}

/// `1s`, `1.5ms`, `200us`.
fn duration(text: &str) -> std::result::Result<Duration, String> {
    let help = || format!("`{text}` is no time: write a number and a unit, as in 1ms, 500us, 2s");
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(help)?;
    let number: f64 = text[..at].parse().map_err(|_| help())?;
    let unit = match &text[at..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(help()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| help())
}
