//! The services of the live lab: an agent that writes down the beginning and the end of each call, in true time.
//!
//! A service "runs" while its file in /run/live exists, so it dies with its machine and outlives hbd. All calls of all
//! nodes are lines of one file, `UPTIME NODE SERVICE OP begin|end|lied|overlap [CODE]`; a line `begin` is written before
//! anything is done and `end` after all is done, so between the two lines, and between a start's `begin` and a stop's
//! `end 0`, the service may run and outside of them it does not.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use nix::time::{ClockId, clock_gettime};

use super::act::{Mood, OCF};
use crate::Result;
use crate::error::Context;
use crate::net::World;

const RUNNING: &str = "/run/live";
const WISHES: &str = "/etc/live";
/// Where OCF agents are looked for, and what is there in a node of the live lab.
const OCF_AGENTS: (&str, &str) = ("/usr/lib/ocf/resource.d", "/etc/live-ocf");

/// Whoever is told of everything that happens, and normally takes no time for it.
pub const ALERTS: &str =
    "\n[[alert]]\nexec = \"/etc/hbd/live-alert\"\nlevel = \"info\"\ntimeout = \"1s\"\nretries = 1\n";

/// A resource of the agent, as a TOML value.
pub fn resource(name: &str) -> String {
    let agent = if name == OCF {
        format!("agent = \"ocf:lab:live\", params = {{ service = \"{name}\" }}")
    } else {
        format!("agent = \"live\", args = [\"{name}\"]")
    };
    format!(
        "{{ name = \"{name}\", {agent}, monitor = \"1s\", monitor_timeout = \"2s\", \
         start_timeout = \"2s\", stop_timeout = \"2s\" }}"
    )
}

/// The code with which the agent of a service says that it does not run.
pub fn not_running(service: &str) -> &'static str {
    if service == OCF { "7" } else { "3" }
}

/// Puts the OCF agents of a node that has just booted where they are looked for.
///
/// # Errors
/// The node is off, or this machine has no place for OCF agents (Debian: resource-agents).
pub fn attach(world: &World, node: &str) -> Result<()> {
    let (place, ours) = OCF_AGENTS;
    world.must(node, &["mount", "--bind", ours, place]).map(drop)
}

/// Installs the agent on a node.
///
/// # Errors
/// The node is off.
pub fn install(world: &World, node: &str) -> Result<()> {
    let log = ledger_path(world);
    let text = format!(
        "#!/bin/sh\n\
         service=$1 op=$2 pid={RUNNING}/$1.pid\n\
         note() {{ read -r up _ </proc/uptime; echo \"$up $HBD_NODE $service $op $*\" >>'{}'; }}\n\
         mkdir -p {RUNNING}\n\
         if read -r other 2>/dev/null <$pid && kill -0 \"$other\" 2>/dev/null; then note overlap; fi\n\
         echo $$ >$pid\n\
         note begin\n\
         trap 'code=$?; rm -f $pid; note end $code' EXIT\n\
         if [ -e {WISHES}/$service.$op ]; then . {WISHES}/$service.$op; fi\n\
         case $op in\n\
         start) : >{RUNNING}/$service ;;\n\
         stop) rm -f {RUNNING}/$service ;;\n\
         status) [ -e {RUNNING}/$service ] || exit ${{NOT_RUNNING:-3}} ;;\n\
         *) exit 2 ;;\n\
         esac\n",
        log.display()
    );
    world.write_file(node, "/etc/hbd/resource.d/live", &text, 0o755)?;
    let ocf = "#!/bin/sh\n\
         case $1 in monitor) op=status ;; start | stop) op=$1 ;; *) exit 3 ;; esac\n\
         NOT_RUNNING=7 exec /etc/hbd/resource.d/live \"$OCF_RESKEY_service\" $op\n";
    world.write_file(node, &format!("{}/lab/live", OCF_AGENTS.1), ocf, 0o755)?;
    let alert =
        format!("#!/bin/sh\nif [ -e {WISHES}/alert ]; then trap '' TERM; while :; do sleep 1000; done; fi\n");
    world.write_file(node, "/etc/hbd/live-alert", &alert, 0o755)
}

/// From now on whoever is told of alerts on a node never ends.
///
/// # Errors
/// The node is off.
pub fn hang_alerts(world: &World, node: &str) -> Result<()> {
    world.write_file(node, &format!("{WISHES}/alert"), "", 0o644)
}

/// From now on an operation of a service on a node goes like this.
///
/// # Errors
/// The node is off.
pub fn mood(world: &World, node: &str, service: &str, op: &str, mood: Mood) -> Result<()> {
    let code;
    let wish = match (mood, op) {
        (Mood::Fails, "status") => "echo 'it is not well' >&2; exit 3",
        (Mood::Fails, _) => "echo 'it will not' >&2; exit 1",
        (Mood::Hangs, _) => "sleep 1000",
        (Mood::Lies, _) => "note lied; exit 0",
        (Mood::Slow, _) => "sleep 1",
        (Mood::Forks, _) => "setsid sleep 600 &",
        (Mood::Deaf, _) => "trap '' TERM; while :; do sleep 1000; done",
        (Mood::Dies, _) => "note end 137; trap - EXIT; rm -f $pid; kill -9 $$",
        // "It runs", whether it does or not.
        (Mood::Code(number @ (8 | 190)), "status") => {
            code = format!("note lied; exit {number}");
            &code
        }
        (Mood::Code(number), _) => {
            code = format!("echo 'an odd end' >&2; exit {number}");
            &code
        }
        (Mood::Floods, _) => "head -c 3000000 /dev/zero | tr '\\0' x",
    };
    world.write_file(node, &format!("{WISHES}/{service}.{op}"), &format!("{wish}\n"), 0o644)
}

/// All services of a node behave again.
///
/// # Errors
/// The node is off.
pub fn behave(world: &World, node: &str) -> Result<()> {
    world.must(node, &["rm", "-rf", WISHES]).map(drop)
}

/// A service dies on a node, if it runs there.
///
/// # Errors
/// The node is off.
pub fn die(world: &World, node: &str, service: &str) -> Result<()> {
    world.must(node, &["rm", "-f", &format!("{RUNNING}/{service}")]).map(drop)
}

/// The services that run on a node.
///
/// # Errors
/// The node is off.
pub fn running(world: &World, node: &str) -> Result<Vec<String>> {
    let names = world.must(node, &["sh", "-c", &format!("mkdir -p {RUNNING}; ls {RUNNING}")])?;
    Ok(names.lines().filter(|name| !name.ends_with(".pid")).map(str::to_owned).collect())
}

/// Where the calls are written down.
pub fn ledger_path(world: &World) -> PathBuf {
    world.dir().join("ledger.log")
}

/// Writes a line of the lab's own into the ledger: what it did or saw.
///
/// # Errors
/// The file cannot be written.
pub fn mark(world: &World, text: &str) -> Result<()> {
    let path = ledger_path(world);
    let what = || format!("cannot write {}", path.display());
    let mut file = fs::File::options().create(true).append(true).open(&path).context(what)?;
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).context(|| "no clock".to_owned())?;
    writeln!(file, "{}.{:02} = {text}", up.tv_sec(), up.tv_nsec() / 10_000_000).context(what)
}
