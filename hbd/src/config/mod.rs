//! `hbd.toml`: reading it, and saying what is wrong with it, all at once and as a compiler does.
//!
//! ```text
//! text ─▶ toml::de::DeTable ─▶ one reader per table ─▶ Config
//!          (spans kept)          cluster link safety       and its warnings
//!                                daemon group
//!                   └──── every mistake ────┴──▶ Problems
//! ```
//!
//! The tables are walked by hand rather than by serde, which stops at the first mistake and, with
//! tagged tables, forgets where it was.
pub mod authkeys;
pub mod environment;
pub mod model;

mod address;
mod agent;
mod cluster;
mod daemon;
mod digest;
mod extra;
mod group;
mod keys;
mod link;
mod safety;
mod size;
mod witness;

pub use base::config::{duration, problem};
pub use digest::shared_parts;
pub use environment::{Environment, Machine, Program, Unit, Willing};
pub use keys::known_keys;
pub use model::*;
pub use problem::{Problem, Problems, Severity};
pub use safety::FENCE_FOLDERS;

use std::path::{Path, PathBuf};

use ::cluster::settings::Failback;
use base::config::{net, read_text, reason, suggest, syntax, table};
use toml::de::DeTable;

use problem::Report;
use table::Table;

/// The configuration unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/hbd/hbd.toml";

/// What [`load`] does besides reading the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Read the authkeys file too, and the files of the witness, and report what is wrong with them.
    pub authkeys: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { authkeys: true }
    }
}

/// Reads the configuration at `path` for this machine: `node` if given, else its host name.
///
/// # Errors
/// All that is wrong with the file and, if `options` say so, with the authkeys file it names.
pub fn load(path: &Path, node: Option<&str>, options: LoadOptions) -> Result<Config, Problems> {
    let text = read_text(path, Path::new(DEFAULT_PATH))?;
    let node = node.map_or_else(environment::host_name, str::to_owned);
    let (mut problems, config, keys) = match examine(&text, path, &node, &Machine) {
        Ok(config) => {
            let keys = config.cluster.authkeys.clone();
            (Problems::default(), Some(config), Some(keys))
        }
        Err((problems, keys)) => (problems, None, keys),
    };
    if let Some(keys) = keys.filter(|_| options.authkeys)
        && let Err(more) = authkeys::read(&keys)
    {
        problems.list.extend(more.list);
    }
    if let Some(witness) = config.as_ref().and_then(|config| config.witness.as_ref())
        && options.authkeys
    {
        problems.list.extend(witness::check_files(witness));
    }
    match config {
        Some(config) if problems.list.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

/// Reads the configuration `text`, the content of `path`, for the machine called `node`.
///
/// # Errors
/// All that is wrong with it, and its warnings with that.
pub fn parse(text: &str, path: &Path, node: &str, env: &dyn Environment) -> Result<Config, Problems> {
    examine(text, path, node, env).map_err(|(problems, _)| problems)
}

/// [`parse`]; on failure also the path of the authkeys, if it can be told.
fn examine(
    text: &str,
    path: &Path,
    node: &str,
    env: &dyn Environment,
) -> Result<Config, (Problems, Option<PathBuf>)> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut report = Report::new(path, text);
    for error in &errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let (message, help) = syntax(error.message(), text.get(span.clone()).unwrap_or_default());
        report.syntax(&span, message, help);
    }
    let root = Table::new(table::ROOT.to_owned(), 0..0, document.get_ref(), &report);
    let mut config = tables(root, path, node, env, &report);
    if report.has_errors() {
        let keys = (!report.is_broken()).then_some(config.cluster.authkeys);
        return Err((report.into_problems(), keys));
    }
    config.warnings = report.into_problems().list.iter().map(Problem::in_one_line).collect();
    config.digest = digest::of(&digest::shared_parts(&config));
    Ok(config)
}

/// All tables of the file.
fn tables<'a>(
    root: Table<'a>,
    path: &Path,
    node: &str,
    env: &dyn Environment,
    report: &'a Report<'a>,
) -> Config {
    let (cluster, timing) = cluster_table(&root, path, report);
    let witness = witness::read(&root, path, &timing, report);
    let named = cluster::nodes(&root, root.has("witness"), report);
    let me = cluster::me(node, &named, report);
    let nodes: Vec<String> = named.iter().map(|at| at.value.to_owned()).collect();
    let (links, lines) = link::read(&root, &link::Scope { nodes: &nodes, me: me.as_deref(), report });
    let pings = safety::pings(&root, report);
    let fences = safety::fences(&root, &nodes, me.as_deref(), env, report);
    let watchdog = safety::watchdog(&root, &timing, report);
    let daemon = daemon::read(&root, env, report);
    let console = daemon::console(&root, report);
    let alerts = extra::alerts(&root, env, report);
    let respawns = extra::respawns(&root, env, report);
    let finder = agent::Finder { folders: &daemon.agent_path, env, report };
    let witness_there = root.has("witness");
    let scope = group::Scope {
        nodes: &nodes,
        me: me.as_deref(),
        links: &links,
        pings: &pings,
        fences: &fences,
        witness: witness_there,
        finder,
        report,
    };
    let groups = group::read(&root, &scope);
    check_failback(&cluster, &timing, &groups, report);
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    size::check(
        size::heartbeat_bytes(&nodes, links.len(), &names, witness.is_some()),
        &lines,
        &timing,
        report,
    );
    safety::check_delays(&root, &fences, &groups, report);
    witness::check_times(&witness, watchdog.as_ref(), &groups, report);
    root.finish();
    let me = me.unwrap_or_default();
    let (warnings, digest) = (Vec::new(), 0);
    Config {
        me,
        cluster,
        nodes,
        links,
        pings,
        fences,
        witness: witness.map(|(witness, _)| witness),
        watchdog,
        daemon,
        console,
        alerts,
        respawns,
        groups,
        warnings,
        digest,
    }
}

/// `[cluster]`, or what to go on with if there is none.
fn cluster_table<'a>(root: &Table<'a>, path: &Path, report: &'a Report<'a>) -> (Cluster, cluster::Timing) {
    if let Some(table) = root.table("cluster", "[cluster]") {
        let read = cluster::read(&table, path, report);
        table.finish();
        return read;
    }
    if !root.has("cluster") {
        let help = "begin the file with [cluster] and name = \"…\", the same on both nodes";
        report.missing(&(0..0), "there is no [cluster]", help);
    }
    cluster::absent(path)
}

/// A failback that has nowhere to go back to.
fn check_failback(cluster: &Cluster, timing: &cluster::Timing, groups: &[Group], report: &Report<'_>) {
    let homeless = groups.iter().all(|group| group.preferred.is_none());
    if cluster.failback != Failback::Off && !groups.is_empty() && homeless {
        let help = "write preferred = \"…\" in a [[group]], or auto_failback = false";
        report.warning(
            &timing.failback,
            "auto_failback is on, and no group has a preferred node to go back to",
            help,
        );
    }
}
