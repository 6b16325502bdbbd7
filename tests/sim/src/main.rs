//! The simulator: the production core and protocol, unchanged, in a seeded world that tries to break them.
//!
//! ```text
//! seed ─▶ plan ─▶ world: faults ─▶ calm: it settles ─▶ trial: one clean event ─▶ no violation
//!                   └── checkers look on ──────────────────────────┘
//! ```
//! `docs/simulator.md` says how to run it, how to read a violation, and how to add to it.

mod calm;
mod check;
mod dice;
mod fault;
mod fleet;
mod model;
mod mutants;
mod plan;
mod report;
mod run;
mod shrink;
#[cfg(test)]
mod tests;
mod trial;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use fleet::Job;
use plan::Plan;
use world::trace::Trace;

/// Tries to break the failover core in simulated clusters.
#[derive(Parser, Debug)]
#[command(name = "sim")]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run for so many seconds instead of so many seeds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Run this one seed and print its timeline.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: do not look for a shorter run that violates the same.
    #[arg(long)]
    whole: bool,
    /// With --seed: print only a number that two runs share only if they are the same to the byte.
    #[arg(long)]
    hash: bool,
    /// Print what there is of faults, checkers and trials.
    #[arg(long)]
    list: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Nodes in each cluster.
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Stop at so many violations.
    #[arg(long, default_value_t = 1)]
    enough: usize,
    /// Count only violations of these names.
    #[arg(long, value_delimiter = ',')]
    until: Vec<String>,
    /// See whether each mutant of the core is caught (those whose names contain this; all, if nothing is given).
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    mutants: Option<String>,
    /// Explore small worlds to the end (those whose bounds, as they are printed, contain this; all, if nothing is given).
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    exhaustive: Option<String>,
    /// Print only the name of each violation.
    #[arg(long)]
    brief: bool,
}

fn list() -> ExitCode {
    let witness = fault::WITNESS_TABLE.iter().map(|(name, _)| *name);
    let faults: Vec<&str> = fault::TABLE.iter().map(|row| row.name).chain(witness).collect();
    let checkers: Vec<&str> = check::CHECKERS.iter().map(|(name, _)| *name).collect();
    let trials: Vec<&str> = trial::TRIALS.iter().map(|(name, _)| *name).collect();
    println!(
        "faults: {}\ncheckers: {}\ntrials: {}",
        faults.join(", "),
        checkers.join(", "),
        trials.join(", ")
    );
    ExitCode::SUCCESS
}

fn one(seed: u64, args: &Args) -> ExitCode {
    let plan = Plan::new(seed, args.nodes);
    if args.hash {
        println!("{:016x}", run::run(&plan, Trace::everything()).trace.hash());
        return ExitCode::SUCCESS;
    }
    let outcome = run::run(&plan, Trace::story());
    match outcome.violation {
        None => {
            println!("{}\nseed {seed}: nothing is violated", outcome.trace.lines.join("\n"));
            ExitCode::SUCCESS
        }
        Some(violation) if args.whole => {
            println!(
                "{}\nseed {seed}: {}: {}",
                outcome.trace.lines.join("\n"),
                violation.name,
                violation.what
            );
            ExitCode::FAILURE
        }
        Some(violation) => {
            println!("{}", report::violation(&plan, &violation));
            ExitCode::FAILURE
        }
    }
}

fn many(args: &Args) -> ExitCode {
    let job = Job {
        first: args.from,
        seeds: args.seconds.is_none().then_some(args.seeds),
        time: args.seconds.map(Duration::from_secs),
        threads: args.threads.max(1),
        nodes: args.nodes.clamp(2, 4),
        enough: args.enough.max(1),
        progress: !args.brief,
        until: args.until.clone(),
    };
    let sum = fleet::run_all(&job);
    for (seed, violation) in &sum.violations {
        if args.brief || args.enough > 1 {
            println!("seed {seed}: {}: {}", violation.name, violation.what);
        } else {
            println!("{}", report::violation(&Plan::new(*seed, job.nodes), violation));
        }
    }
    let seconds = sum.took.as_secs_f64().max(0.001);
    println!(
        "{} seeds from {}: {} violated; {:.1} simulated hours, {} events, in {:.1} s ({:.0} seeds/s, {:.0} events/s)",
        sum.seeds,
        args.from,
        sum.violations.len(),
        sum.hours,
        sum.events,
        seconds,
        sum.seeds as f64 / seconds,
        sum.events as f64 / seconds
    );
    if sum.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explore(only: &str) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let only = only.to_lowercase();
    let fits = |bounds: &model::Bounds| bounds.to_string().contains(&only);
    for bounds in model::all().into_iter().filter(fits) {
        let started = std::time::Instant::now();
        let found = model::explore(&bounds);
        println!(
            "{bounds}: {} states, {} steps, longest history {} steps, {} starts, {} ends, {}, in {:.1} s",
            found.states,
            found.steps,
            found.depth,
            found.starts,
            found.ends,
            if found.whole { "all of it" } else { "NOT all of it" },
            started.elapsed().as_secs_f64()
        );
        if let Some(steps) = found.violation {
            println!("violated:\n  {}", steps.join("\n  "));
            code = ExitCode::FAILURE;
        } else if !found.whole {
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn hunt(only: &str, threads: usize) -> ExitCode {
    match mutants::run(only, threads) {
        Ok(survivors) if survivors.is_empty() => ExitCode::SUCCESS,
        Ok(survivors) => {
            eprintln!("not caught: {}", survivors.join(", "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    run::catch_panics();
    if args.list {
        return list();
    }
    if let Some(only) = &args.mutants {
        return hunt(only, args.threads.max(1));
    }
    if let Some(only) = &args.exhaustive {
        return explore(only);
    }
    match args.seed {
        Some(seed) => one(seed, &args),
        None => many(&args),
    }
}
