//! `check = { … }`, or a list of them; and the timing that it has from above.

use std::sync::Arc;
use std::time::Duration;

use base::config::problem::Report;
use base::config::table::{Table, Value};
use toml::de::DeValue;

use super::model::Check;
use crate::check::{self, Spec, spec::Dialogue};
use crate::table::Protocol;

/// Bounds of what has any use.
const FASTEST: Duration = Duration::from_millis(20);
const SLOWEST: Duration = Duration::from_secs(24 * 3600);

/// What a check has unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// Between two checks.
    pub(super) interval: Duration,
    /// For one check.
    pub(super) timeout: Duration,
    /// Failures in a row.
    pub(super) fall: u32,
    /// Successes in a row.
    pub(super) rise: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { interval: Duration::from_secs(2), timeout: Duration::from_secs(1), fall: 3, rise: 2 }
    }
}

impl Timing {
    /// With what `table` says of it.
    pub(super) fn read(self, table: &Table<'_>) -> Timing {
        let count = |key, usual| {
            table.integer(key, 1, 1000).and_then(|at| u32::try_from(at.value).ok()).unwrap_or(usual)
        };
        Timing {
            interval: table.duration("interval", FASTEST, SLOWEST).map_or(self.interval, |at| at.value),
            timeout: table.duration("timeout", FASTEST, SLOWEST).map_or(self.timeout, |at| at.value),
            fall: count("fall", self.fall),
            rise: count("rise", self.rise),
        }
    }

    fn check(self, spec: Spec, port: Option<u16>) -> Check {
        let Timing { interval, timeout, fall, rise } = self;
        Check { spec: Arc::new(spec), port, interval, timeout, fall, rise }
    }
}

/// The checks under `check`; `None` if the table says nothing of it.
pub(super) fn read<'a>(table: &Table<'a>, timing: Timing, report: &'a Report<'a>) -> Option<Vec<Check>> {
    let value = table.value("check")?;
    let mut checks = Vec::new();
    match value.get_ref() {
        DeValue::Array(list) if list.is_empty() => {
            let help = "write check = { type = \"off\" } for a server that is not checked";
            report.error(&value.span(), "there is no check in the list", help);
        }
        DeValue::Array(list) => checks.extend(list.iter().filter_map(|value| one(value, timing, report))),
        _ => checks.extend(one(value, timing, report)),
    }
    // A server that is not checked has no checks.
    checks.retain(|check| *check.spec != Spec::Off);
    Some(checks)
}

fn one<'a>(value: Value<'a>, timing: Timing, report: &'a Report<'a>) -> Option<Check> {
    let DeValue::Table(map) = value.get_ref() else {
        let help = match value.get_ref() {
            DeValue::String(kind) => {
                format!("write check = {{ type = \"{}\" }}", base::config::table::shown(kind))
            }
            _ => "write check = { type = \"http\" }".to_owned(),
        };
        base::config::table::wrong_type(report, "a check", "a table", value, help);
        return None;
    };
    let table = Table::new("the check".to_owned(), value.span(), map, report);
    let spec = check::parse::read(&table, report);
    let timing = timing.read(&table);
    let port = table.integer("port", 1, 65_535).and_then(|at| u16::try_from(at.value).ok());
    if spec.is_some() {
        table.finish();
    }
    Some(timing.check(spec?, port))
}

/// What is asked if nothing is said: that which needs to know least of the service. Nothing if there is no port.
pub(super) fn usual(protocol: Protocol, timing: Timing, port: u16) -> Vec<Check> {
    let spec = match protocol {
        Protocol::Tcp if port != 0 => Spec::Connect(Dialogue::default()),
        Protocol::Udp if port != 0 => Spec::Udp(Dialogue::default()),
        _ => Spec::Ping,
    };
    vec![timing.check(spec, None)]
}
