//! From a run that violates something to a shorter one that violates the same.

use crate::plan::Plan;
use crate::run::run;
use crate::world::trace::Trace;

/// Runs made at most.
const RUNS: usize = 4000;

/// The plan with as few faults as could be found that still violates what is called `name`.
pub fn shrink(plan: &Plan, name: &str) -> Plan {
    let mut best = plan.clone();
    let mut runs = 0;
    let still = |plan: &Plan, runs: &mut usize| {
        *runs += 1;
        *runs < RUNS && run(plan, Trace::off()).violation.is_some_and(|violation| violation.name == name)
    };
    let mut size = best.steps.len().div_ceil(2).max(1);
    loop {
        let before = best.steps.len();
        let mut at = 0;
        while at < best.steps.len() {
            let mut fewer = best.clone();
            fewer.steps.drain(at..(at + size).min(best.steps.len()));
            if still(&fewer, &mut runs) { best = fewer } else { at += size }
        }
        if size == 1 && best.steps.len() == before {
            break;
        }
        size = (size / 2).max(1);
    }
    simplify(&mut best, |plan| still(plan, &mut runs));
    best
}

/// Clocks that agree, no chance in when machines are switched on, weak keys, fewer groups: whatever is not needed.
fn simplify(best: &mut Plan, mut still: impl FnMut(&Plan) -> bool) {
    let changes: [fn(&mut Plan); 5] = [
        |plan| plan.setup.ppm.fill(0),
        |plan| plan.setup.first.fill(0),
        |plan| plan.setup.strong = false,
        |plan| plan.setup.settings.groups.truncate(1),
        |plan| plan.calm_at = plan.steps.last().map_or(plan.calm_at, |step| step.at + 1),
    ];
    for change in changes {
        let mut simpler = best.clone();
        change(&mut simpler);
        if still(&simpler) {
            *best = simpler;
        }
    }
}
