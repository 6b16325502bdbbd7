//! `[director]`.

use std::time::Duration;

use base::config::file;
use base::config::net::check_interface;
use base::config::problem::Report;
use base::config::suggest::nearest;
use base::config::table::{Table, shown};

use super::checks::Timing;
use super::model::{Alert, Config, Sync};

/// What virtual services have unless told otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// The checks' timing.
    pub(super) timing: Timing,
    /// Whether what is down keeps its connections.
    pub(super) quiescent: bool,
    /// Whether connections are synchronised: the kernel then refuses mixed families.
    pub(super) sync: bool,
}

/// The whole of it, without the virtual services.
pub(super) fn read<'a>(root: &Table<'a>, report: &'a Report<'a>) -> (Config, Usual) {
    let mut usual = Usual { timing: Timing::default(), quiescent: true, sync: false };
    let mut config = Config {
        sync: None,
        alerts: Vec::new(),
        maintenance_dir: None,
        drain: Duration::from_secs(60),
        checks_at_once: 512,
        group: "hbd".to_owned(),
        warm: true,
        virtuals: Vec::new(),
        warnings: Vec::new(),
    };
    let Some(table) = root.table("director", "[director]") else { return (config, usual) };
    usual.timing = usual.timing.read(&table);
    usual.quiescent = table.boolean("quiescent").is_none_or(|at| at.value);
    config.sync = sync(&table, report);
    usual.sync = config.sync.is_some();
    config.alerts = alerts(&table, report);
    config.maintenance_dir = table.string("maintenance_dir").and_then(|at| file::path(report, &at));
    let week = Duration::from_secs(7 * 24 * 3600);
    if let Some(at) = table.duration("drain", Duration::ZERO, week) {
        config.drain = at.value;
    }
    if let Some(at) = table.integer("checks_at_once", 1, 100_000) {
        config.checks_at_once = usize::try_from(at.value).unwrap_or(config.checks_at_once);
    }
    if let Some(at) = table.string("group") {
        at.value.clone_into(&mut config.group);
    }
    config.warm = warm(&table, report);
    table.finish();
    (config, usual)
}

fn sync(table: &Table<'_>, report: &Report<'_>) -> Option<Sync> {
    let sync = table.table("sync", "'sync'")?;
    let help = "name the interface to the other director: interface = \"eth1\"";
    let interface = sync.required_string("interface", help);
    let id = sync.integer("id", 0, 255).and_then(|at| u8::try_from(at.value).ok()).unwrap_or(0);
    sync.finish();
    let interface = interface.filter(|at| check_interface(report, at.value, &at.span))?;
    Some(Sync { interface: interface.value.to_owned(), id })
}

fn alerts(table: &Table<'_>, report: &Report<'_>) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for one in table.tables("alerts", "an alert") {
        let exec = one.required_string("exec", "name the program: exec = \"/usr/local/bin/tell\"");
        let after =
            one.integer("after", 1, 1_000_000).and_then(|at| u32::try_from(at.value).ok()).unwrap_or(1);
        let longest = Duration::from_secs(30 * 24 * 3600);
        let every = one.duration("every", Duration::ZERO, longest).map_or(Duration::ZERO, |at| at.value);
        one.finish();
        if let Some(exec) = exec.and_then(|at| file::program(report, &at, "director")) {
            alerts.push(Alert { exec, after, every });
        }
    }
    alerts
}

fn warm(table: &Table<'_>, report: &Report<'_>) -> bool {
    let Some(at) = table.string("standby") else { return true };
    match at.value {
        "warm" => true,
        "cold" => false,
        other => {
            let help = match nearest(other, ["warm", "cold"]) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => {
                    "\"warm\": the director runs on both nodes; \"cold\": only where the address is".into()
                }
            };
            report.error(&at.span, format!("a standby cannot be '{}'", shown(other)), help);
            true
        }
    }
}
