//! The simulator itself: the same seed is the same run.

use crate::fault::Fault;
use crate::plan::Plan;
use crate::run::run;
use crate::world::trace::Trace;

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    for seed in 0..20 {
        let record = || run(&Plan::new(seed, 2), Trace::everything()).trace;
        let (one, two) = (record(), record());
        assert!(one.lines.len() > 50, "seed {seed} has a story");
        assert_eq!(one.hash(), two.hash(), "seed {seed}");
        assert_eq!(one.lines, two.lines, "seed {seed}");
    }
}

#[test]
fn every_mutant_still_fits_the_source() {
    let all = crate::mutants::Mutant::all().expect("readable");
    assert!(all.len() >= 18);
    let known: Vec<&str> = crate::check::CHECKERS.iter().map(|(name, _)| *name).collect();
    for mutant in &all {
        let files = mutant.applied().unwrap_or_else(|error| panic!("{error}"));
        for (file, text) in files {
            assert_ne!(crate::mutants::source(&file), Ok(text), "{} changes something", mutant.name);
        }
        for name in &mutant.expect {
            let trial =
                crate::trial::TRIALS.iter().any(|(trial, _)| trial.split(' ').next() == Some(name.as_str()));
            assert!(known.contains(&name.as_str()) || trial || name == "L2", "{}: {name}", mutant.name);
        }
    }
}

#[test]
fn a_small_world_explored_to_the_end_violates_nothing() {
    for bounds in crate::model::small() {
        let found = crate::model::explore(&bounds);
        assert_eq!(found.violation, None, "{bounds:?}");
        assert!(found.whole, "{bounds:?}");
        assert!(found.states > 500 && found.ends > 5, "{found:?}");
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let record = |seed| run(&Plan::new(seed, 2), Trace::everything()).trace.hash();
    assert_ne!(record(1), record(2));
}

#[test]
fn a_few_seeds_violate_nothing() {
    for seed in 0..60 {
        let outcome = run(&Plan::new(seed, 2), Trace::off());
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(outcome.events > 20);
    }
    for seed in 0..20 {
        assert_eq!(run(&Plan::new(seed, 3), Trace::off()).violation, None, "seed {seed} of three nodes");
    }
}

/// What the first million found, by what was violated then.
#[test]
fn seeds_that_once_found_something_violate_nothing() {
    let found = [
        ("S1", &[93_381, 221_811, 912_117][..]),
        ("S2 lease", &[328_465, 501_751, 751_288, 758_847]),
        ("S3", &[130_166, 140_777, 886_866]),
        ("S5", &[143_146, 315_322]),
        ("S11", &[474_454, 477_376, 586_487, 697_106]),
        ("L2", &[835_706]),
    ];
    for (what, seeds) in found {
        for &seed in seeds {
            let outcome = run(&Plan::plain(seed, 2), Trace::off());
            assert_eq!(outcome.violation, None, "seed {seed}, once {what}");
        }
    }
}

/// What a witness, and a third node, found at first, by what was violated then.
#[test]
fn seeds_that_once_found_something_with_a_witness_violate_nothing() {
    let found = [
        ("S4", 2, &[43_855][..]),
        ("S16", 2, &[924, 3327]),
        ("S11", 2, &[140_934]),
        ("S7", 2, &[157_227]),
        ("L2", 3, &[12, 884, 2668, 5541]),
        ("S4", 3, &[548]),
        ("L4", 3, &[42_402]),
        ("S19", 3, &[783]),
        ("S2", 3, &[21_451, 22_694, 32_490]),
        ("S1", 3, &[8094]),
    ];
    for (what, nodes, seeds) in found {
        for &seed in seeds {
            let outcome = run(&Plan::new(seed, nodes), Trace::off());
            assert_eq!(outcome.violation, None, "seed {seed} of {nodes} nodes, once {what}");
        }
    }
}

/// S10: the core has no wall clock. All it can learn of one is the failback window, and where none is configured a jump
/// changes not one byte of what is sent.
#[test]
fn jumps_of_the_wall_clock_change_not_one_byte() {
    let mut compared = 0;
    for seed in 0..400 {
        let plan = Plan::new(seed, 2);
        let jumps = |plan: &Plan| plan.steps.iter().any(|step| matches!(step.fault, Fault::WallJump { .. }));
        let window = matches!(plan.setup.settings.failback, cluster::Failback::On { window: true, .. });
        if window || !jumps(&plan) {
            continue;
        }
        compared += 1;
        // The other way rather than not at all: a process that was frozen takes a moment for each input that has waited.
        let mut other = plan.clone();
        for step in &mut other.steps {
            if let Fault::WallJump { open } = &mut step.fault {
                *open = !*open;
            }
        }
        let sent = |plan: &Plan| {
            let lines = run(plan, Trace::everything()).trace.lines;
            lines.into_iter().filter(|line| line.contains(" sends ")).collect::<Vec<_>>()
        };
        assert!(sent(&plan) == sent(&other), "seed {seed}");
    }
    assert!(compared > 5, "only {compared} seeds have a jump");
}
