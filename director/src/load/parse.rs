//! `weights = { … }` as it stands in the configuration.

use std::time::Duration;

use base::config::file;
use base::config::problem::Report;
use base::config::suggest::{listed, nearest};
use base::config::table::{Table, shown};

use super::{Policy, Source};
use crate::check::proto::text::unescaped;
use crate::check::web;

/// The types of sources there are.
const TYPES: [&str; 4] = ["agent", "http", "exec", "file"];
const SECOND: Duration = Duration::from_secs(1);

/// Reads the table of `weights`. `None` if it cannot be used: then that is in the report.
pub fn read(table: &Table<'_>, report: &Report<'_>) -> Option<Policy> {
    let source = source(table, report);
    let day = Duration::from_secs(24 * 3600);
    let interval =
        table.duration("interval", Duration::from_millis(100), day).map_or(5 * SECOND, |at| at.value);
    let timeout = table.duration("timeout", Duration::from_millis(10), day).map_or(SECOND, |at| at.value);
    let stale = table.duration("stale", interval, day).map_or(3 * interval + timeout, |at| at.value);
    let percent = |key, least, usual| {
        table.integer(key, least, 10_000).and_then(|at| u32::try_from(at.value).ok()).unwrap_or(usual)
    };
    let policy = Policy {
        source: Source::File { path: String::new() },
        interval,
        timeout,
        min_percent: percent("min", 0, 10),
        max_percent: percent("max", 1, 100),
        smooth_percent: percent("smooth", 1, 50).min(100),
        dead_band_percent: percent("dead_band", 0, 10),
        stale,
    };
    if policy.min_percent > policy.max_percent {
        let help = "min and max are percents of the configured weight: min = 10, max = 100";
        report.error(&table.span, "'min' is above 'max'", help);
    }
    table.finish();
    Some(Policy { source: source?, ..policy })
}

fn source(table: &Table<'_>, report: &Report<'_>) -> Option<Source> {
    let help = "say where the load is asked: type = \"agent\"";
    let kind = table.required_string("type", help)?;
    let port = |usual: Option<u16>| match table.integer("port", 1, 65_535) {
        Some(at) => u16::try_from(at.value).ok(),
        None if table.has("port") => None,
        None => usual.or_else(|| table.lacks("port", "name the port the load is asked on: port = 7777")),
    };
    match kind.value {
        "agent" => {
            let send = table.string("send");
            if let Some(at) = &send
                && let Err(why) = unescaped(at.value)
            {
                report.error(
                    &at.span,
                    format!("this cannot be sent: {why}"),
                    "write a backslash twice: \"\\\\\"",
                );
            }
            Some(Source::Agent { port: port(None)?, send: send.map(|at| at.value.to_owned()) })
        }
        "http" => {
            let path = table.string("path");
            let asked = web::rooted(path.as_ref().map_or("/", |at| at.value));
            if let Some(at) = &path
                && let Err(why) = web::document(&asked)
            {
                report.error(&at.span, why, "write the way to the document: path = \"/load\"");
            }
            let field = table.string("field").map_or("percent".to_owned(), |at| at.value.to_owned());
            let busy_at =
                table.integer("busy_at", 1, 1_000_000_000).and_then(|at| u32::try_from(at.value).ok());
            Some(Source::Http { port: port(Some(80))?, path: asked, field, busy_at })
        }
        "exec" => {
            let args = table.strings("args").map(|at| at.value).unwrap_or_default();
            let program =
                table.required_string("program", "name the program: program = \"/usr/local/bin/load\"")?;
            let args = args.into_iter().map(|at| at.value.to_owned()).collect();
            Some(Source::Exec { program: file::program(report, &program, "director")?, args })
        }
        "file" => {
            let path = table.required_string("path", "name the file: path = \"/run/load/%n\"")?;
            file::path(report, &path)?;
            Some(Source::File { path: path.value.to_owned() })
        }
        _ => {
            let help = match nearest(kind.value, TYPES) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("the types are {}", listed(&TYPES)),
            };
            report.error(&kind.span, format!("no weight comes from '{}'", shown(kind.value)), help);
            None
        }
    }
}
