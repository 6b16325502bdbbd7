//! Many seeds on a few threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::run::run;
use crate::world::Violation;
use crate::world::clock::S;
use crate::world::trace::Trace;

/// Seeds a thread takes at once.
const BATCH: u64 = 64;
/// Between two words of progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The first seed.
    pub first: u64,
    /// How many; as many as there is time for, if none.
    pub seeds: Option<u64>,
    /// When to stop, if not by their number.
    pub time: Option<Duration>,
    /// Threads.
    pub threads: usize,
    /// Nodes in each world.
    pub nodes: usize,
    /// Stop at so many violations.
    pub enough: usize,
    /// Say how it goes.
    pub progress: bool,
    /// Only violations of these names count; all do, if there are none.
    pub until: Vec<String>,
}

/// The figures.
#[derive(Debug, Default)]
pub struct Figures {
    seeds: AtomicU64,
    events: AtomicU64,
    millis: AtomicU64,
}

/// What came of it.
pub struct Sum {
    /// Seeds run.
    pub seeds: u64,
    /// Inputs handled by cores.
    pub events: u64,
    /// Simulated hours.
    pub hours: f64,
    /// Real time.
    pub took: Duration,
    /// By seed, in its order.
    pub violations: Vec<(u64, Violation)>,
}

/// Runs them.
pub fn run_all(job: &Job) -> Sum {
    let (next, stop) = (AtomicU64::new(job.first), AtomicBool::new(false));
    let figures = Figures::default();
    let found = Mutex::new(Vec::new());
    let started = Instant::now();
    let last = job.seeds.map_or(u64::MAX, |seeds| job.first.saturating_add(seeds));
    std::thread::scope(|scope| {
        for _ in 0..job.threads {
            scope.spawn(|| {
                work(job, last, &next, &stop, &figures, |seed, violation| {
                    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    found.push((seed, violation));
                    if found.len() >= job.enough {
                        stop.store(true, Ordering::Relaxed);
                    }
                });
            });
        }
        watch(job, last, started, &next, &stop, &figures);
    });
    let mut violations = found.into_inner().unwrap_or_default();
    violations.sort_by_key(|(seed, _)| *seed);
    Sum {
        seeds: figures.seeds.into_inner(),
        events: figures.events.into_inner(),
        hours: figures.millis.into_inner() as f64 / 3.6e6,
        took: started.elapsed(),
        violations,
    }
}

fn work(
    job: &Job,
    last: u64,
    next: &AtomicU64,
    stop: &AtomicBool,
    figures: &Figures,
    mut found: impl FnMut(u64, Violation),
) {
    while !stop.load(Ordering::Relaxed) {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        if first >= last {
            return;
        }
        for seed in first..last.min(first + BATCH) {
            let outcome = run(&Plan::new(seed, job.nodes), Trace::off());
            figures.seeds.fetch_add(1, Ordering::Relaxed);
            figures.events.fetch_add(outcome.events, Ordering::Relaxed);
            figures.millis.fetch_add(outcome.time / (S / 1000), Ordering::Relaxed);
            let counts = |violation: &Violation| {
                job.until.is_empty() || job.until.iter().any(|name| name == violation.name)
            };
            if let Some(violation) = outcome.violation.filter(counts) {
                found(seed, violation);
            }
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

fn watch(job: &Job, last: u64, started: Instant, next: &AtomicU64, stop: &AtomicBool, figures: &Figures) {
    let mut said = started;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
        let done = figures.seeds.load(Ordering::Relaxed);
        if next.load(Ordering::Relaxed) >= last && done >= last - job.first {
            return;
        }
        if job.time.is_some_and(|time| started.elapsed() >= time) {
            stop.store(true, Ordering::Relaxed);
        }
        if job.progress && said.elapsed() >= PROGRESS {
            said = Instant::now();
            let seconds = started.elapsed().as_secs_f64();
            let of = job.seeds.map(|seeds| format!(" of {seeds}")).unwrap_or_default();
            eprintln!("{seconds:6.0} s  {done}{of} seeds, {:.0} seeds/s", done as f64 / seconds);
        }
    }
}
