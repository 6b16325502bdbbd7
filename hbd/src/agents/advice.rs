//! What the OCF agents of a configuration say of the way they are used, from their meta-data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Runner, RunnerSettings};
use crate::config::{Agent, Config, Resource};

/// The bound on asking one agent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks each OCF agent for its meta-data, one after the other, and gives a sentence for whatever is odd: parameters
/// it does not know, required ones that are missing, timeouts shorter than it advises, and agents that do not answer.
///
/// Blocks, bounded for each agent; not for a thread that has anything else to do, nor for
/// one that is inside a tokio runtime.
pub fn advice(config: &Config) -> Vec<String> {
    let mut by_agent: BTreeMap<&PathBuf, Vec<&Resource>> = BTreeMap::new();
    for resource in config.groups.iter().flat_map(|group| &group.resources) {
        if let Agent::Ocf { path, .. } = &resource.agent {
            by_agent.entry(path).or_default().push(resource);
        }
    }
    if by_agent.is_empty() {
        return Vec::new();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![format!("the OCF agents were not asked for their meta-data: {error}")],
    };
    let scratch = std::env::temp_dir();
    runtime.block_on(async {
        let runner =
            Runner::new(RunnerSettings::new(config.me.clone(), config.cluster.name.clone(), scratch));
        let mut all = Vec::new();
        for resources in by_agent.values() {
            let Some(first) = resources.first() else { continue };
            match runner.ocf_metadata(first, PATIENCE).await {
                Ok(metadata) => all.extend(resources.iter().flat_map(|resource| metadata.advice(resource))),
                Err(why) => all.push(format!("{}: {why}", first.name)),
            }
        }
        all
    })
}
