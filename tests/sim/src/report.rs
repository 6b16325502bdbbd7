//! A violation, for people.

use crate::plan::Plan;
use crate::run::run;
use crate::shrink::shrink;
use crate::world::Violation;
use crate::world::clock::show;
use crate::world::trace::Trace;

/// The seed, the shortest run found that violates the same, and its timeline.
pub fn violation(plan: &Plan, found: &Violation) -> String {
    let short = shrink(plan, found.name);
    let outcome = run(&short, Trace::story());
    let what = outcome.violation.as_ref().unwrap_or(found);
    let settings = &short.setup.settings;
    let mut text = vec![
        format!("seed {}: {} is violated: {}", plan.setup.seed, found.name, found.what),
        format!("shown below with {} of its {} faults: {}", short.steps.len(), plan.steps.len(), what.what),
        format!(
            "keepalive {:?}, deadtime {:?}, initdead {:?}, failback {:?}, links {}, clocks {:?} ppm",
            settings.keepalive,
            settings.deadtime,
            settings.initdead,
            settings.failback,
            settings.links.len(),
            short.setup.ppm
        ),
    ];
    for group in &settings.groups {
        let resources: Vec<String> =
            group.resources.iter().map(|resource| format!("{}={}", resource.key.0, resource.name)).collect();
        text.push(format!(
            "{}: requires {:?}, preferred {}, resources {}",
            group.name,
            group.requires,
            group.preferred.as_deref().unwrap_or("-"),
            resources.join(" ")
        ));
    }
    text.push("faults:".to_owned());
    for step in &short.steps {
        text.push(format!("{} {}  {:?}", show(step.at), settings.nodes[step.node], step.fault));
    }
    text.push("timeline (seconds of true time, node, what):".to_owned());
    text.extend(outcome.trace.lines);
    text.join("\n")
}
