//! `[[alert]]` and `[[respawn]]`: programs beside the groups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::Level;

use super::environment::{Environment, Program};
use super::model::{Alert, Channel, Respawn, Webhook};
use super::problem::Report;
use super::suggest::{listed, nearest};
use super::table::{At, Table, shown};
use crate::http::Url;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// More than anybody needs; each has a queue of its own.
const MOST: usize = 32;
/// What events are about.
const KINDS: [&str; 15] = [
    "node",
    "peer",
    "link",
    "group",
    "resource",
    "address",
    "fence",
    "witness",
    "watchdog",
    "ping",
    "operator",
    "config",
    "maintenance",
    "state",
    "daemon",
];

/// Reads all `[[alert]]`.
pub(super) fn alerts(root: &Table<'_>, env: &dyn Environment, report: &Report<'_>) -> Vec<Alert> {
    let tables = root.tables("alert", "[[alert]]");
    too_many(&tables, "alerts", report);
    tables.iter().filter_map(|table| alert(table, env, report)).collect()
}

fn alert(table: &Table<'_>, env: &dyn Environment, report: &Report<'_>) -> Option<Alert> {
    let channel = channel(table, env, report);
    let levels = [("info", Level::Info), ("warn", Level::Warn), ("error", Level::Error)];
    let level = table.string("level").and_then(|at| word(&at, "level", &levels, report));
    let events = table.strings("events").map(|list| {
        for at in list.value.iter().filter(|at| !KINDS.contains(&at.value)) {
            let help = nearest(at.value, KINDS).map_or_else(
                || format!("one of {}", listed(&KINDS)),
                |meant| format!("did you mean \"{meant}\"?"),
            );
            report.error(&at.span, format!("no event is about '{}'", shown(at.value)), help);
        }
        list.value.iter().map(|at| at.value.to_owned()).collect::<Vec<_>>()
    });
    let timeout = table.duration("timeout", SECOND, SECOND * 600).map_or(SECOND * 30, |at| at.value);
    let retries = table.integer("retries", 0, 100).map_or(2, |at| u32::try_from(at.value).unwrap_or(0));
    let every = table.duration("every", Duration::ZERO, DAY).map_or(Duration::ZERO, |at| at.value);
    let repeat = table.duration("repeat", SECOND, DAY).map(|at| at.value);
    table.finish();
    Some(Alert { channel: channel?, level, events, timeout, retries, every, repeat })
}

fn channel(table: &Table<'_>, env: &dyn Environment, report: &Report<'_>) -> Option<Channel> {
    const HELP: &str = "write exec = \"/usr/local/bin/tell\", mail = \"root@example.com\" or url = \"https://tell.example.com/hook\"";
    let (exec, args) = (table.string("exec"), table.strings("args"));
    let (mail, url) = (table.string("mail"), table.string("url"));
    let header_file = table.string("header_file").and_then(|at| absolute(&at, "header_file", report));
    let ca = table.string("ca").and_then(|at| absolute(&at, "ca", report));
    let ways: Vec<&At<&str>> = [&exec, &mail, &url].into_iter().flatten().collect();
    if let [_, second, ..] = ways[..] {
        report.error(&second.span, "an alert goes one way: exec, mail or url", "write a second [[alert]]");
        return None;
    }
    if let Some(exec) = exec {
        runnable(&exec, env, report);
        let args = args.map(|list| list.value.iter().map(|at| at.value.to_owned()).collect());
        Some(Channel::Exec { program: PathBuf::from(exec.value), args: args.unwrap_or_default() })
    } else if let Some(mail) = mail {
        check_mail(&mail, report);
        Some(Channel::Mail { to: mail.value.to_owned() })
    } else if let Some(at) = url {
        match Url::parse(at.value) {
            Ok(url) => Some(Channel::Webhook(Webhook { url, header_file, ca })),
            Err(why) => {
                let message = format!("this is no URL to tell alerts to: {}", shown(&why));
                report.error(&at.span, message, "write url = \"https://tell.example.com/hook\"");
                None
            }
        }
    } else {
        if !["exec", "mail", "url"].iter().any(|way| table.has(way)) {
            report.missing(&table.span, "the alert does not say how to tell", HELP);
        }
        None
    }
}

/// It becomes an argument and a header line.
fn check_mail(mail: &At<&str>, report: &Report<'_>) {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != ',';
    if !mail.value.contains('@') && !mail.value.chars().all(|c| c.is_ascii_alphanumeric())
        || mail.value.starts_with('-')
        || !mail.value.chars().all(plain)
    {
        let message = format!("'{}' is no mail address", shown(mail.value));
        report.error(&mail.span, message, "write one address: mail = \"root@example.com\"");
    }
}

/// A file named by its whole path.
fn absolute(at: &At<&str>, key: &str, report: &Report<'_>) -> Option<PathBuf> {
    if Path::new(at.value).is_absolute() {
        return Some(PathBuf::from(at.value));
    }
    let message = format!("{key} = '{}' is no absolute path", shown(at.value));
    report.error(&at.span, message, format!("write the whole path: {key} = \"/etc/hbd/…\""));
    None
}

/// Reads all `[[respawn]]`.
pub(super) fn respawns(root: &Table<'_>, env: &dyn Environment, report: &Report<'_>) -> Vec<Respawn> {
    let tables = root.tables("respawn", "[[respawn]]");
    too_many(&tables, "processes", report);
    tables.iter().filter_map(|table| respawn(table, env, report)).collect()
}

fn respawn(table: &Table<'_>, env: &dyn Environment, report: &Report<'_>) -> Option<Respawn> {
    const HELP: &str = "write command = [\"/usr/lib/heartbeat/ipfail\"]: the program, then its arguments";
    let command = table.required_strings("command", HELP);
    let user = table.string("user");
    table.finish();
    if let Some(at) = &user
        && !env.user_exists(at.value)
    {
        let message = format!("this machine has no user '{}'", shown(at.value));
        report.error(&at.span, message, "correct the name, or: useradd --system NAME");
    }
    let command = command?;
    let Some(program) = command.value.first() else {
        report.error(&command.span, "there is nothing to run", HELP);
        return None;
    };
    runnable(program, env, report);
    let command = command.value.iter().map(|at| at.value.to_owned()).collect();
    Some(Respawn { command, user: user.map(|at| at.value.to_owned()) })
}

fn too_many(tables: &[Table<'_>], what: &str, report: &Report<'_>) {
    if let Some(extra) = tables.get(MOST) {
        let message = format!("{} {what} are too many", tables.len());
        report.error(&extra.span, message, format!("there can be {MOST}"));
    }
}

/// Whether a program named by its whole path can be run on this machine.
fn runnable(at: &At<&str>, env: &dyn Environment, report: &Report<'_>) {
    let path = at.value;
    let (message, help) = if !Path::new(path).is_absolute() {
        let message = format!("the program '{}' is no absolute path", shown(path));
        (message, "write the whole path: \"/usr/local/bin/tell\"".to_owned())
    } else {
        match env.program(Path::new(path)) {
            Program::Executable => return,
            Program::NotExecutable => {
                (format!("{} is not executable", shown(path)), format!("chmod +x {}", shown(path)))
            }
            Program::Missing => (
                format!("there is no program {}", shown(path)),
                "install it, or correct the path; the same file serves on both nodes".to_owned(),
            ),
        }
    };
    report.error(&at.span, message, help);
}

/// What one of several words stands for.
pub(super) fn word<T: Copy>(
    at: &At<&str>,
    key: &str,
    words: &[(&'static str, T)],
    report: &Report<'_>,
) -> Option<T> {
    let meant = words.iter().find(|(word, _)| *word == at.value).map(|(_, meant)| *meant);
    if meant.is_none() {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = nearest(at.value, all.iter().copied())
            .map_or_else(|| format!("one of {}", listed(&all)), |meant| format!("did you mean \"{meant}\"?"));
        report.error(&at.span, format!("{key} cannot be '{}'", shown(at.value)), help);
    }
    meant
}
