//! The live lab: real daemons through a long random but seeded sequence of faults, audited from outside after each.
//!
//! ```text
//! seed ──▶ plan ──▶ step: acts ──▶ stage (kills, cuts, fills, orders …) ──▶ the pair
//!           │                                                                │
//!           └── model: the faults in force ──▶ judge ◀── what is really so ──┤
//!                                              ledger ◀── agents' calls ─────┤
//!                                              outage ◀── the client's probe ┘
//! ```
//! A seed is a walk of [`STEPS`] steps on a fresh pair; the same seed gives the same steps. What must hold: after each
//! step, within a generous bound, what [`judge`] says; in true time what [`ledger`] says; and a step that may move
//! nothing moves nothing and costs the client nothing. Nothing is judged that a busy machine could be to blame for.

pub mod act;
pub mod dice;
pub mod disk;
pub mod judge;
pub mod ledger;
pub mod model;
pub mod outage;
pub mod plan;
pub mod pulse;
pub mod service;
pub mod stage;
pub mod tally;
pub mod walk;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tally::Tally;

use crate::error::Context;
use crate::{LabError, Result};

/// deadtime of the pair.
pub const DEADTIME_MS: u64 = 2000;
/// Steps of one seed's walk.
pub const STEPS: usize = 60;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first seed; each walk takes the next.
    pub seed: u64,
    /// No walk begins after this time; the one under way ends early, at its next calm.
    pub time: Duration,
    /// One whole walk, however long it takes.
    pub one: bool,
    /// Print the steps of the seed and do nothing.
    pub plan: bool,
    /// Where the logs of a walk that went wrong are kept.
    pub out: PathBuf,
}

/// Walks seed after seed until the time is over; prints what was done and what went wrong.
///
/// # Errors
/// The lab cannot run here, or something went wrong in a walk: the report is on stdout.
pub fn run(options: &Options) -> Result<()> {
    if options.plan {
        plan::Plan::new(options.seed).take(STEPS).for_each(|step| println!("{step}"));
        return Ok(());
    }
    if !crate::available() {
        return Err(LabError::new("the lab cannot run here"));
    }
    disk::own_mounts()?;
    std::fs::create_dir_all(&options.out).context(|| format!("cannot make {}", options.out.display()))?;
    let begin = Instant::now();
    let mut tally = Tally::default();
    for seed in options.seed.. {
        println!("seed {seed}, after {} s (again: scripts/lab --seed {seed})", begin.elapsed().as_secs());
        let end = (!options.one).then(|| begin + options.time);
        walk::walk(seed, end, &options.out, &mut tally)?;
        if options.one || begin.elapsed() >= options.time {
            break;
        }
    }
    println!("{tally}");
    if tally.violations.is_empty() {
        return Ok(());
    }
    Err(LabError(format!("{} walks went wrong: {:?}", tally.violations.len(), tally.violations)))
}
