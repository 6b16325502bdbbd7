//! Driving fence devices: the programs of `fence-agents`, unchanged, and any command of that kind.
//!
//! ```text
//!  device 1: run ─ exit 0 ──────────────────────────────▶ Confirmed
//!             │ else, timed out: once more (`retries`)
//!  device 2: (its delay) run ─ exit 0 ──────────────────▶ Confirmed
//!             │ …
//!             ▼ none
//!           Failed, with what each said
//! ```
//!
//! The API is that of the fence-agents project (`doc/FenceAgentAPI.md` there): options on standard input, a
//! line `NAME=VALUE` each, `action` among them; exit code 0 is success. Whatever else comes (another code, a signal,
//! no end within `timeout`, after which the whole process group is killed) is none, even if the machine went off.
//!
//! Nothing secret reaches an argument list, the environment or a log: options go through a pipe, and what is
//! secret among them is struck out of what the agent writes.

mod input;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cluster::FenceOutcome;

use zeroize::Zeroizing;

use crate::agents::environment::PLAIN;
use crate::agents::output::{CAPTURE, Chatter, Label};
use crate::agents::process::{self, Call, End, Secret};
use crate::agents::sentence;
use crate::config::{FENCE_FOLDERS, Fence};
use input::Options;

/// What a fence device does unless its options say otherwise: as Pacemaker, and the agents themselves.
const DEFAULT_ACTION: &str = "reboot";
/// Lines of output logged for one run.
const MAX_LINES: usize = 50;

/// What every run must know.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// This node (`HBD_NODE`).
    pub node: String,
    /// The cluster (`HBD_CLUSTER`).
    pub cluster: String,
    /// A folder for scratch files; made if it is missing.
    pub scratch: PathBuf,
    /// Where agents at work are written down, so that a successor can end them.
    pub at_work: Option<PathBuf>,
}

/// Uses the devices of a node in their order, until one confirms that it is down.
///
/// Bounded by the timeouts, tries and delays of the devices; never panics. The delay of the first device has been
/// waited for already: only the core knows whether the node is heard meanwhile.
pub async fn fence(devices: &[Fence], surroundings: &Surroundings) -> FenceOutcome {
    let mut said = Vec::new();
    for (level, device) in devices.iter().enumerate() {
        if level > 0 {
            tokio::time::sleep(device.delay).await;
        }
        for _ in 0..=device.retries {
            match run(device, action(device), surroundings).await {
                Ok(()) => return FenceOutcome::Confirmed { by: name(device).to_owned() },
                Err(why) => said.push(why),
            }
        }
    }
    said.dedup();
    FenceOutcome::Failed(if said.is_empty() { "there is no device".to_owned() } else { said.join("; ") })
}

/// Whether a device answers, without doing anything to the node (`action=monitor`).
///
/// # Errors
/// Why it does not, in a sentence.
pub async fn monitor(device: &Fence, surroundings: &Surroundings) -> Result<(), String> {
    run(device, "monitor", surroundings).await
}

/// The device as people know it: the agent's name.
pub fn name(device: &Fence) -> &str {
    device.agent.rsplit('/').next().unwrap_or(&device.agent)
}

fn action(device: &Fence) -> &'static str {
    match device.options.get("action").map(String::as_str) {
        Some("off") => "off",
        _ => DEFAULT_ACTION,
    }
}

/// One run of one device.
async fn run(device: &Fence, action: &'static str, surroundings: &Surroundings) -> Result<(), String> {
    let device_options = device.options.clone();
    let options = tokio::task::spawn_blocking(move || Options::resolve(&device_options, action))
        .await
        .map_err(|error| format!("internal: the options were not put together: {error}"))??;
    let program = program(&device.agent);
    let label = Label {
        group: format!("fence {}", device.node),
        resource: name(device).to_owned(),
        action,
        chatter: if action == "monitor" { Chatter::Routine } else { Chatter::Plain },
        max_lines: MAX_LINES,
        capture: CAPTURE,
        secrets: Arc::new(options.secrets),
    };
    let call = Call {
        program: program.clone(),
        args: Vec::new(),
        env: environment(device, surroundings),
        input: Some(Secret(Zeroizing::new(options.text.as_bytes().to_vec()))),
        user: None,
        scratch: surroundings.scratch.clone(),
        at_work: surroundings.at_work.clone(),
        label,
        timeout: device.timeout,
    };
    let ended = process::execute(call).await;
    match ended.end {
        End::Exit(0) => Ok(()),
        End::TimedOut => {
            Err(format!("{} {action}: no answer within {:?}", program.display(), device.timeout))
        }
        _ => Err(sentence(&program, action, &ended, None)),
    }
}

fn environment(device: &Fence, surroundings: &Surroundings) -> Vec<(OsString, OsString)> {
    let own = [
        ("HBD_NODE", surroundings.node.as_str()),
        ("HBD_CLUSTER", surroundings.cluster.as_str()),
        ("HBD_FENCED_NODE", device.node.as_str()),
    ];
    PLAIN.into_iter().chain(own).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Where the agent is; if it is nowhere any more, running its bare name says so.
fn program(agent: &str) -> PathBuf {
    let candidates = FENCE_FOLDERS.iter().map(|folder| Path::new(folder).join(agent));
    let found = if agent.starts_with('/') { None } else { candidates.into_iter().find(|path| path.exists()) };
    found.unwrap_or_else(|| Path::new("/usr/sbin").join(agent))
}

/// Between two looks at an idle device, `None` for never.
pub fn interval(device: &Fence) -> Option<Duration> {
    device.monitor.filter(|every| !every.is_zero())
}

#[cfg(test)]
mod tests;
