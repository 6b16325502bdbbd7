//! A resource agent for scenarios: it does what the scenario says, and writes down each time it is called.
//!
//! A resource of it is a *service*, known by its name: `{ agent = "rec", args = ["web"] }`. It "runs" while its file
//! in /run/rec exists, so it dies with its machine and outlives hbd, as a real one. All services of all nodes write to
//! one file of the world, which so knows the order of all calls.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::net::World;
use crate::{LabError, Result};

/// Where services "run", inside a node.
const RUNNING: &str = "/run/rec";
/// Where a scenario's wishes are, inside a node.
const WISHES: &str = "/etc/rec";

/// Between two looks at where a service runs.
const LOOK: Duration = Duration::from_millis(1);

/// One call of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The node it was called on.
    pub node: String,
    /// The service.
    pub service: String,
    /// `start`, `stop` or `status`.
    pub op: String,
}

/// A resource of the agent, as a TOML value: `more` is appended to its table (`, start_timeout = "1s"`).
pub fn service(name: &str, more: &str) -> String {
    format!("{{ agent = \"rec\", args = [\"{name}\"]{more} }}")
}

/// Installs the agent on a node, for the Heartbeat class (`/etc/hbd/resource.d/rec`) and as an LSB script
/// (`/etc/init.d/rec-lsb`, the service `lsb`).
///
/// # Errors
/// The node is off.
pub fn install(world: &World, node: &str) -> Result<()> {
    let text = script(world);
    world.write_file(node, "/etc/hbd/resource.d/rec", &text, 0o755)?;
    let lsb = "#!/bin/sh\nexec /etc/hbd/resource.d/rec lsb \"$1\"\n";
    world.write_file(node, "/etc/init.d/rec-lsb", lsb, 0o755)
}

/// Written for a plain sh. A wish is sourced: it may `exit`, sleep, start something.
fn script(world: &World) -> String {
    let log = log_path(world);
    format!(
        "#!/bin/sh\n\
         service=$1 op=$2\n\
         echo \"$HBD_NODE $service $op\" >>'{}'\n\
         mkdir -p {RUNNING}\n\
         if [ -e {WISHES}/$service.$op ]; then . {WISHES}/$service.$op; fi\n\
         case $op in\n\
         start) : >{RUNNING}/$service ;;\n\
         stop) rm -f {RUNNING}/$service ;;\n\
         status)\n\
             if [ -e {RUNNING}/$service ]; then echo running; exit 0; fi\n\
             echo stopped; exit 3 ;;\n\
         *) echo \"what is $op?\" >&2; exit 2 ;;\n\
         esac\n",
        log.display()
    )
}

fn log_path(world: &World) -> PathBuf {
    world.dir().join("calls.log")
}

/// From now on `op` of a service on a node does what the shell lines `wish` say first.
///
/// # Errors
/// The node is off.
pub fn wish(world: &World, node: &str, service: &str, op: &str, wish: &str) -> Result<()> {
    world.timeline.note(format!("{node}: {op} of {service} will: {wish}"));
    world.write_file(node, &format!("{WISHES}/{service}.{op}"), &format!("{wish}\n"), 0o644)
}

/// All wishes on a node end.
///
/// # Errors
/// The node is off.
pub fn behave(world: &World, node: &str) -> Result<()> {
    world.timeline.note(format!("{node}: all services behave again"));
    world.must(node, &["rm", "-rf", WISHES]).map(drop)
}

/// Does the service run on the node?
///
/// # Errors
/// The node is off.
pub fn runs(world: &World, node: &str, service: &str) -> Result<bool> {
    Ok(world.exec(node, &["test", "-e", &format!("{RUNNING}/{service}")])?.ok())
}

/// The nodes that are up and run the service.
///
/// # Errors
/// A node could not be asked.
pub fn runners(world: &World, service: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for node in world.nodes() {
        if world.is_up(&node) && runs(world, &node, service)? {
            found.push(node);
        }
    }
    Ok(found)
}

/// Does `work`, and looks all the while that no two nodes run the service at once.
///
/// # Errors
/// Two did; or those of `work`.
pub fn never_twice<T>(world: &World, service: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let end = AtomicBool::new(false);
    let (nodes, file) = (world.nodes(), format!("{RUNNING}/{service}"));
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                let runners: Vec<&String> = nodes.iter().filter(|node| world.has_file(node, &file)).collect();
                // A service may move between the looks at two nodes: only what is still so is so.
                if runners.len() > 1 && runners.iter().all(|node| world.has_file(node, &file)) {
                    let said = format!("{service} ran on {runners:?} at once");
                    world.timeline.note(said.clone());
                    return Err(LabError(said));
                }
                std::thread::sleep(LOOK);
            }
            Ok(())
        });
        let done = work();
        end.store(true, Ordering::Relaxed);
        let watched = watch.join().unwrap_or_else(|_| Err(LabError::new("the watch panicked")));
        watched.and(done)
    })
}

/// All calls so far, of all nodes, in order.
pub fn calls(world: &World) -> Vec<Call> {
    let text = fs::read_to_string(log_path(world)).unwrap_or_default();
    let parse = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some(Call { node: words.next()?, service: words.next()?, op: words.next()? })
    };
    text.lines().filter_map(parse).collect()
}

/// The calls since the first `after`, without looks (`status`): what changed something, as `a start web`.
pub fn deeds(world: &World, after: usize) -> Vec<String> {
    let all = calls(world).into_iter().skip(after).filter(|call| call.op != "status");
    all.map(|call| format!("{} {} {}", call.node, call.op, call.service)).collect()
}
