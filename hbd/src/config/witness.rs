//! `[witness]`: the third party, and how its times go with the others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::settings::{Requires, WitnessSettings};

use super::cluster::{Timing, beside};
use super::duration::show;
use super::model::{Agent, Group, Watchdog, Witness};
use super::problem::{Problem, Report, Span};
use super::safety::whole_seconds;
use super::table::{At, Table, shown};
use crate::http;

const SECOND: Duration = Duration::from_secs(1);
const ENDPOINTS: &str = "write endpoints = [\"http://192.168.45.9:2379\"]";
/// The shortest lease that is not given.
const TTL: Duration = Duration::from_secs(5);
/// What all keys begin with, unless told otherwise.
const PREFIX: &str = "/hbd";

/// Reads `[witness]` of the file at `path`; also gives where its lease time stands.
pub(super) fn read(
    root: &Table<'_>,
    path: &Path,
    timing: &Timing,
    report: &Report<'_>,
) -> Option<(Witness, Span)> {
    let table = root.table("witness", "[witness]")?;
    let kind = table.required_string("type", "write type = \"etcd\"");
    let endpoints = endpoints(&table, report);
    let ttl = ttl(&table, timing, report);
    let (timeout, prefix) = (timeout(&table, ttl.value, report), prefix(&table, report));
    let (user, password_file) = (table.string("user"), table.string("password_file"));
    let (ca, cert, key) = (table.string("ca"), table.string("cert"), table.string("key"));
    table.finish();
    if let Some(kind) = kind
        && kind.value != "etcd"
    {
        let message = format!("there is no witness type '{}'", shown(kind.value));
        report.error(&kind.span, message, "the only one is \"etcd\"");
    }
    both(report, ("user", &user), ("password_file", &password_file));
    both(report, ("cert", &cert), ("key", &key));
    let endpoints = endpoints?;
    check_tls(report, &endpoints, [&ca, &cert, &key], &user);
    let file = |at: Option<At<&str>>| at.map(|at| beside(path, at.value));
    let witness = Witness {
        endpoints: endpoints.iter().map(|at| at.value.to_owned()).collect(),
        ttl: ttl.value,
        timeout: timeout.unwrap_or_else(|| {
            let patience = patience(ttl.value);
            if endpoints.len() > 1 { patience / 2 } else { patience }
        }),
        prefix,
        user: user.map(|at| at.value.to_owned()),
        password_file: file(password_file),
        ca: file(ca),
        identity: file(cert).zip(file(key)),
    };
    Some((witness, ttl.span))
}

/// What the core waits for an answer, in whole milliseconds.
fn patience(ttl: Duration) -> Duration {
    let patience = WitnessSettings { ttl, watchdog: None }.patience();
    patience - Duration::from_nanos(u64::from(patience.subsec_nanos() % 1_000_000))
}

fn endpoints<'a>(table: &Table<'a>, report: &Report<'_>) -> Option<Vec<At<&'a str>>> {
    let endpoints = table.required_strings("endpoints", ENDPOINTS)?;
    if endpoints.value.is_empty() {
        report.error(&endpoints.span, "the witness has no endpoint", ENDPOINTS);
    }
    for at in &endpoints.value {
        if let Err(help) = check_url(at.value) {
            report.error(&at.span, format!("\"{}\" is no endpoint", shown(at.value)), help);
        }
    }
    Some(endpoints.value)
}

fn ttl(table: &Table<'_>, timing: &Timing, report: &Report<'_>) -> At<Duration> {
    let deadtime = timing.deadtime.value;
    // Twice deadtime, in whole seconds.
    let least = Duration::from_secs((deadtime * 2).as_millis().div_ceil(1000) as u64);
    let Some(at) = table.duration("ttl", SECOND * 2, SECOND * 3600) else {
        return At { value: least.max(TTL), span: table.span.clone() };
    };
    whole_seconds(report, &at, "ttl", "etcd counts leases in whole seconds");
    if at.value < least {
        let message =
            format!("the lease time {} is less than two deadtimes of {}", show(at.value), show(deadtime));
        let help = format!(
            "a lease must outlast the time in which a silent peer is noticed: set ttl to at least {}, or deadtime to less",
            show(least)
        );
        report.error(&at.span, message, help);
    }
    at
}

fn timeout(table: &Table<'_>, ttl: Duration, report: &Report<'_>) -> Option<Duration> {
    let at = table.duration("timeout", Duration::from_millis(20), SECOND * 60)?;
    let most = patience(ttl);
    if at.value > most {
        let message = format!("a timeout of {} is too long for a lease of {}", show(at.value), show(ttl));
        let help = format!("an answer later than {} (a sixth of ttl) is too late for everybody", show(most));
        report.error(&at.span, message, help);
    }
    Some(at.value)
}

fn prefix(table: &Table<'_>, report: &Report<'_>) -> String {
    let Some(at) = table.string("prefix") else { return PREFIX.to_owned() };
    let text = at.value.trim_end_matches('/');
    if text.is_empty() || text.len() > 200 || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("\"{}\" can be no prefix of keys", shown(at.value));
        report.error(&at.span, message, "write a path of its own: prefix = \"/hbd\"");
    }
    text.to_owned()
}

/// Two keys that are of use together only.
fn both(report: &Report<'_>, one: (&str, &Option<At<&str>>), other: (&str, &Option<At<&str>>)) {
    for ((name, there), (lacking, missing)) in [(one, other), (other, one)] {
        if let (Some(at), None) = (there, missing) {
            let message = format!("'{name}' is given, and '{lacking}' is not");
            report.missing(&at.span, message, format!("write {lacking} = \"…\" too, or remove {name}"));
        }
    }
}

/// What TLS is for, and what goes without it.
fn check_tls(
    report: &Report<'_>,
    endpoints: &[At<&str>],
    files: [&Option<At<&str>>; 3],
    user: &Option<At<&str>>,
) {
    let plain = |at: &&At<&str>| at.value.starts_with("http://");
    let all_plain = endpoints.iter().filter(plain).count() == endpoints.len();
    if let (true, Some(at)) = (all_plain, files.into_iter().flatten().next()) {
        report.warning(
            &at.span,
            "a file for TLS is given, and no endpoint is https://",
            "write https:// in endpoints, or remove ca, cert and key",
        );
    }
    if let (Some(_), Some(at)) = (user, endpoints.iter().find(plain)) {
        report.warning(
            &at.span,
            "the password goes over the network as it is",
            "let etcd speak TLS, and write https:// and ca = \"…\" here",
        );
    }
}

/// Whether what requires the witness is certain to have ended when its lease has.
pub(super) fn check_times(
    witness: &Option<(Witness, Span)>,
    watchdog: Option<&Watchdog>,
    groups: &[Group],
    report: &Report<'_>,
) {
    let Some((witness, span)) = witness else { return };
    let settings = WitnessSettings { ttl: witness.ttl, watchdog: watchdog.map(|dog| dog.timeout) };
    let groups = groups.iter().filter(|group| group.requires == Requires::Witness);
    for group in groups {
        let agents = group.resources.iter().filter(|one| !matches!(one.agent, Agent::Address(_)));
        let stop: Duration = agents.map(|resource| resource.stop_timeout).sum();
        if stop.is_zero() {
            // Addresses end by themselves.
            continue;
        }
        let begin = settings.stopping();
        if watchdog.is_none() {
            let message = format!(
                "nothing ends the group '{}' if hbd hangs, and its lease goes to another node",
                group.name
            );
            let help = "add a [watchdog]: it resets this machine before the lease ends";
            report.warning(span, message, help);
        } else if stop > begin {
            let message = format!(
                "stopping the group '{}' may take {}, and begins {} before the lease ends: the machine is reset then",
                group.name,
                show(stop),
                show(begin)
            );
            let help = "set the stop_timeout of its resources to what they need, or make ttl longer (two fifths of it are for stopping)";
            report.warning(span, message, help);
        }
    }
    if let Some(timeout) = settings.watchdog
        && timeout * 10 > witness.ttl * 9
    {
        let message = format!(
            "the watchdog's timeout {} is too long for a lease of {}: it could hardly ever be petted",
            show(timeout),
            show(witness.ttl)
        );
        let help = format!("set its timeout to {} or less, or make ttl longer", show(witness.ttl / 2));
        report.error(span, message, help);
    }
}

/// What is wrong with the files that a witness needs.
pub(super) fn check_files(witness: &Witness) -> Vec<Problem> {
    let of = |(file, message): (PathBuf, String)| Problem::whole(&file.display().to_string(), message, None);
    crate::witness::wrong_files(witness).into_iter().map(of).collect()
}

/// `http(s)://HOST[:PORT][/]`; on failure what would be right.
fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest else {
        return Err(match url.split_once("://") {
            None if !url.is_empty() => format!("write the whole URL: \"http://{}\"", shown(url)),
            _ => "it must begin with http:// or https://".to_owned(),
        });
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        return Err("a password does not belong into a URL".to_owned());
    }
    if authority.is_empty()
        || authority
            .contains(|c: char| c == '/' || c == '?' || c == '#' || c.is_whitespace() || c.is_control())
    {
        return Err("write scheme, host and port only: \"http://192.168.45.9:2379\"".to_owned());
    }
    let is_ipv6 = |bracketed: &str| {
        bracketed.split_once(']').is_some_and(|(host, _)| host.parse::<std::net::Ipv6Addr>().is_ok())
    };
    match authority.strip_prefix('[') {
        Some(bracketed) if !is_ipv6(bracketed) => {
            return Err("the brackets must hold an IPv6 address: \"http://[fd00::9]:2379\"".to_owned());
        }
        None if authority.matches(':').count() > 1 => {
            return Err("put an IPv6 address in brackets: \"http://[fd00::9]:2379\"".to_owned());
        }
        _ => {}
    }
    http::host_and_port(authority).map(|_| ()).map_err(|why| {
        format!("{why}; write a host and a port from 1 to 65535: \"http://192.168.45.9:2379\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_of_a_host() {
        for url in
            ["http://192.168.45.9:2379", "https://etcd.example.com", "http://[fd00::9]:2379/", "http://e:1"]
        {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "etcd:2379",
            "ftp://a",
            "http://",
            "http://:2379",
            "http://a:0",
            "http://a:x",
            "http://a/b",
            "http://fd00::9:2379",
            "http://[fd00]:1",
            "http://u:p@h",
            "http://a b",
            "http://et%63d:1",
            "http://[fd00::9]x",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
