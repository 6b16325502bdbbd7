//! One seed from its beginning to its end.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::calm;
use crate::check::Sight;
use crate::dice::Dice;
use crate::plan::Plan;
use crate::trial;
use crate::world::clock::S;
use crate::world::trace::Trace;
use crate::world::{Violation, World};

/// What came of a run.
pub struct Outcome {
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// Simulated time, in nanoseconds.
    pub time: u64,
    /// Inputs the cores handled.
    pub events: u64,
    /// The record, as asked for.
    pub trace: Trace,
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics are violations like others; what they say is kept for the report instead of being printed.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(|info| {
        PANIC.with(|kept| *kept.borrow_mut() = info.to_string().replace('\n', " "))
    }));
}

/// Runs a plan: faults first, then calm, then one trial.
pub fn run(plan: &Plan, trace: Trace) -> Outcome {
    let mut world = World::new(&plan.setup, &plan.steps, trace);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        world.run_for(plan.calm_at - world.now);
        if world.violation.is_none() {
            calm::calm(&mut world);
        }
        if world.violation.is_none() {
            trial::run(&mut world, &mut Dice::new(plan.setup.seed, 4));
        }
        if world.violation.is_none() {
            world.sight(&Sight::End);
        }
    }));
    if ended.is_err() {
        let what = PANIC.with(|kept| kept.borrow().clone());
        world.blame("PANIC", what);
    }
    Outcome { violation: world.violation, time: world.now - S, events: world.events, trace: world.trace }
}
