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
pub mod ground;
pub mod judge;
pub mod ledger;
pub mod model;
pub mod outage;
pub mod outside;
pub mod plan;
pub mod pulse;
pub mod service;
pub mod stage;
pub mod tally;
pub mod walk;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ground::Ground;
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
    /// How many seeds at most.
    pub seeds: u64,
    /// The ground of all walks; without it each seed has its own.
    pub ground: Option<Ground>,
    /// No walk begins after this time; the one under way ends early, at its next calm.
    pub time: Duration,
    /// Whole walks, however long they take.
    pub whole: bool,
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
    let ground = |seed| options.ground.unwrap_or(Ground::of(seed));
    if options.plan {
        println!("ground: {}", ground(options.seed));
        plan::Plan::new(options.seed, ground(options.seed)).take(STEPS).for_each(|step| println!("{step}"));
        return Ok(());
    }
    if !crate::available() {
        return Err(LabError::new("the lab cannot run here"));
    }
    disk::own_mounts()?;
    std::fs::create_dir_all(&options.out).context(|| format!("cannot make {}", options.out.display()))?;
    let begin = Instant::now();
    let mut tally = Tally::default();
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        let (ground, after) = (ground(seed), begin.elapsed());
        if !options.whole && seed > options.seed && after >= options.time {
            break;
        }
        let again = format!("scripts/lab --seed {seed} --ground {ground}");
        println!("seed {seed}, ground {ground}, after {} s (again: {again})", after.as_secs());
        let end = (!options.whole).then(|| begin + options.time);
        walk::walk(seed, ground, end, &options.out, &mut tally)?;
    }
    println!("{tally}");
    if tally.violations.is_empty() {
        return Ok(());
    }
    Err(LabError(format!("{} walks went wrong: {:?}", tally.violations.len(), tally.violations)))
}
