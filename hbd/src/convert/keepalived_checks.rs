//! What keepalived asked of real servers, in the director's words.

use std::time::Duration;

use super::doc::{Remark, add};
use super::keepalived::Node;
use super::keepalived_tokens::unescaped;
use super::source::shown;
use super::spelling::{expect, regex_fits};
use super::value::{Value, show, table};

/// The checkers there are.
pub(super) const CHECKERS: [&str; 10] = [
    "TCP_CHECK",
    "HTTP_GET",
    "SSL_GET",
    "SMTP_CHECK",
    "DNS_CHECK",
    "MISC_CHECK",
    "UDP_CHECK",
    "PING_CHECK",
    "FILE_CHECK",
    "BFD_CHECK",
];
/// What all of them may say, and what each may.
const COMMON: [&str; 14] = [
    "connect_ip",
    "connect_port",
    "bindto",
    "bind_if",
    "bind_port",
    "fwmark",
    "connect_timeout",
    "retry",
    "nb_get_retry",
    "delay_before_retry",
    "delay_loop",
    "warmup",
    "alpha",
    "log_all_failures",
];
const OWN: [(&str, &[&str]); 8] = [
    ("HTTP_GET", &["url", "virtualhost"]),
    ("SSL_GET", &["url", "virtualhost", "sni_name", "enable_sni"]),
    ("SMTP_CHECK", &["helo_name", "host"]),
    ("DNS_CHECK", &["type", "name"]),
    ("MISC_CHECK", &["misc_path", "misc_timeout", "misc_dynamic"]),
    ("UDP_CHECK", &["payload", "require_reply"]),
    ("FILE_CHECK", &["track_file", "weight", "dynamic"]),
    ("BFD_CHECK", &["name"]),
];
/// keepalived's own, where nothing is said.
pub(super) const USUAL_LOOP: Duration = Duration::from_secs(60);
/// Status codes of one check.
const MOST_CODES: u32 = 500;

/// What a check needs to know of its service.
pub(super) struct Scope<'s> {
    /// The real server's port.
    pub(super) port: u32,
    /// The service's protocol.
    pub(super) protocol: &'s str,
}

/// Seconds, with a fraction if need be.
pub(super) fn seconds(text: Option<&str>) -> Option<Duration> {
    let number: f64 = text?.parse().ok().filter(|number| (0.02..=86_400.0).contains(number))?;
    Some(Duration::from_millis((number * 1000.0).round() as u64))
}

/// The checks of a real server. Without a checker keepalived asked nothing.
pub(super) fn tables(
    server: &Node,
    service: &Node,
    scope: &Scope<'_>,
    remarks: &mut Vec<Remark>,
) -> Vec<Value> {
    let mut out = Vec::new();
    for checker in server.inner().iter().filter(|node| CHECKERS.contains(&node.name())) {
        out.extend(one(checker, server, service, scope, remarks));
        unread(checker, remarks);
    }
    let lost = server.inner().iter().any(|node| CHECKERS.contains(&node.name()));
    match out.as_slice() {
        [] if lost => {}
        [] => return vec![table([("type", "off".into())])],
        // A connection is what is asked of a TCP service anyway.
        [Value::Table(entries)]
            if scope.protocol == "tcp"
                && entries.len() == 1
                && entries[0].1 == Value::from("connect")
                && scope.port != 0 =>
        {
            return Vec::new();
        }
        _ => {}
    }
    out
}

fn one(
    checker: &Node,
    server: &Node,
    service: &Node,
    scope: &Scope<'_>,
    remarks: &mut Vec<Remark>,
) -> Vec<Value> {
    let mut checks = match checker.name() {
        "TCP_CHECK" => vec![vec![("type", Value::from("connect"))]],
        "HTTP_GET" | "SSL_GET" => web(checker, server, service, remarks),
        "SMTP_CHECK" => {
            let hello = checker.text("helo_name").map(|name| ("hello", name.into()));
            vec![[("type", "smtp".into())].into_iter().chain(hello).collect()]
        }
        "DNS_CHECK" => vec![dns(checker, scope)],
        "PING_CHECK" => vec![vec![("type", "ping".into())]],
        "UDP_CHECK" => {
            if let Some(payload) = checker.said("payload").or(checker.said("require_reply")) {
                let why = "payload and require_reply are bytes in hexadecimal; send and expect are texts: write them";
                add(remarks, Remark::todo(Some(payload.place.clone()), why));
            }
            vec![vec![("type", "udp".into())]]
        }
        "MISC_CHECK" => program(checker, remarks).into_iter().collect(),
        name => {
            let why = match name {
                "FILE_CHECK" => {
                    "FILE_CHECK: a share in percent can come from a file: weights = { type = \"file\", path = \"/run/load/%h\" }"
                }
                _ => {
                    "BFD_CHECK: the director does not speak BFD; a short interval of another check is as quick"
                }
            };
            add(remarks, Remark::todo(Some(checker.place.clone()), why));
            Vec::new()
        }
    };
    for check in &mut checks {
        common(checker, check, remarks);
        if checker.name() == "MISC_CHECK" {
            // It had until the next one was due.
            let said = checker
                .text("misc_timeout")
                .or_else(|| [checker, server, service].into_iter().find_map(|node| node.text("delay_loop")));
            check.push(("timeout", show(seconds(said).unwrap_or(USUAL_LOOP)).into()));
        }
    }
    checks.into_iter().map(table).collect()
}

type Entries = Vec<(&'static str, Value)>;

/// What all checkers may say.
fn common(checker: &Node, check: &mut Entries, remarks: &mut Vec<Remark>) {
    // SMTP_CHECK may have them in a block of their own.
    let said = |name: &str| checker.said(name).or_else(|| checker.said("host")?.said(name));
    let port = said("connect_port")
        .and_then(|said| said.word(1))
        .and_then(|port| port.parse::<u32>().ok())
        .filter(|port| (1..=65_535).contains(port));
    if let Some(port) = port {
        check.insert(1, ("port", port.into()));
    }
    let timeout = seconds(checker.text("connect_timeout"));
    check.extend(
        timeout.filter(|_| checker.name() != "MISC_CHECK").map(|time| ("timeout", show(time).into())),
    );
    check.extend(seconds(checker.text("delay_loop")).map(|time| ("interval", show(time).into())));
    let retry = checker.text("retry").or(checker.text("nb_get_retry"));
    let retry = retry.and_then(|text| text.parse::<u32>().ok()).filter(|retry| *retry < 1000);
    // Unlike all others, a program was not asked again and DNS more often.
    let usual = match checker.name() {
        "MISC_CHECK" => Some(0),
        "DNS_CHECK" => Some(3),
        _ => None,
    };
    check.extend(retry.or(usual).map(|retry| ("fall", (retry + 1).into())));
    for name in ["connect_ip", "bindto", "bind_if", "bind_port", "fwmark"] {
        if let Some(said) = said(name) {
            let why =
                "a check goes to the real server's address, and comes from where the kernel has it come from";
            add(remarks, Remark::lost(said.place.clone(), name, why));
        }
    }
}

/// What it says and nobody reads.
fn unread(checker: &Node, remarks: &mut Vec<Remark>) {
    let own = OWN.iter().find(|(name, _)| *name == checker.name()).map_or(&[][..], |(_, own)| own);
    for said in checker.inner() {
        let why = match said.name() {
            name if COMMON.contains(&name) || own.contains(&name) => continue,
            "user" => "the program of a check runs as the director does: have it change the user itself",
            _ => "a check has no such option here",
        };
        add(remarks, Remark::lost(said.place.clone(), &shown(said.name()), why));
    }
}

/// Each `url` is a check.
fn web(checker: &Node, server: &Node, service: &Node, remarks: &mut Vec<Remark>) -> Vec<Entries> {
    let tls = checker.name() == "SSL_GET";
    let mut checks = Vec::new();
    for url in checker.inner().iter().filter(|node| node.name() == "url") {
        let mut check: Entries = vec![("type", if tls { "https" } else { "http" }.into())];
        check.extend(url.text("path").filter(|path| *path != "/").map(|path| ("path", path.into())));
        let host = [url, checker, server, service].into_iter().find_map(|node| node.text("virtualhost"));
        check.extend(host.map(|host| ("host", host.into())));
        check.extend(url.said("status_code").and_then(status).map(|codes| ("status", codes)));
        if let Some(regex) = url.said("regex") {
            match unescaped(&regex.rest()) {
                pattern if regex_fits(&pattern) => check.push(("expect", expect(&pattern).into())),
                pattern => {
                    let why =
                        format!("regex: the director cannot say /{}/, write another expect", shown(&pattern));
                    add(remarks, Remark::todo(Some(regex.place.clone()), why));
                }
            }
        }
        if let Some(digest) = url.said("digest") {
            let why = "digest: expect a text of the page instead; a status from 200 to 299 alone is good until then";
            add(remarks, Remark::todo(Some(digest.place.clone()), why));
        }
        for name in ["regex_no_match", "regex_options", "regex_stack", "regex_min_offset", "regex_max_offset"]
        {
            if let Some(said) = url.said(name) {
                add(
                    remarks,
                    Remark::todo(
                        Some(said.place.clone()),
                        format!("{name}: the director has no such option, write another expect"),
                    ),
                );
            }
        }
        if tls {
            // keepalived looked at no certificate.
            check.push(("verify", false.into()));
            check.extend(checker.text("sni_name").map(|name| ("tls_name", name.into())));
        }
        checks.push(check);
    }
    if checks.is_empty() {
        let why = "there is no url in it: / is asked for";
        add(remarks, Remark::todo(Some(checker.place.clone()), why));
        checks.push(vec![("type", if tls { "https" } else { "http" }.into())]);
        if tls {
            checks[0].push(("verify", false.into()));
        }
    }
    checks
}

/// Codes and ranges of codes; nothing for 200 to 299.
fn status(said: &Node) -> Option<Value> {
    let mut codes: Vec<u32> = Vec::new();
    for word in said.words.iter().skip(1).flat_map(|word| word.split(',')) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else { continue };
        codes.extend((first.max(100)..=last.min(599)).take(MOST_CODES as usize));
    }
    codes.sort_unstable();
    codes.dedup();
    let usual = codes.len() == 100 && codes[0] == 200 && codes[99] == 299;
    (!usual && !codes.is_empty()).then(|| codes.into_iter().map(Value::from).collect())
}

fn dns(checker: &Node, scope: &Scope<'_>) -> Entries {
    let mut check: Entries = vec![("type", "dns".into())];
    let name = checker.text("name").filter(|name| *name != ".");
    check.extend(name.map(|name| ("name", name.into())));
    // Of the root it asked for the SOA, to see whether somebody is there.
    let record = checker.text("type").map(str::to_ascii_uppercase).or(name.map(|_| "SOA".to_owned()));
    check.extend(
        record.filter(|record| name.is_some() && record != "A").map(|record| ("record", record.into())),
    );
    if scope.protocol == "tcp" {
        check.push(("tcp", false.into()));
    }
    check
}

fn program(checker: &Node, remarks: &mut Vec<Remark>) -> Option<Entries> {
    let path = checker.said("misc_path")?;
    let command = path.rest();
    if !command.starts_with('/') {
        add(remarks, Remark::todo(Some(path.place.clone()), "misc_path: write its whole path"));
    }
    if !command.contains(char::is_whitespace) {
        let why = "a program without arguments is called with four: VIP VPORT RIP RPORT";
        add(remarks, Remark::changed(path.place.clone(), "misc_path", why));
    }
    if let Some(dynamic) = checker.said("misc_dynamic").filter(|_| checker.flag("misc_dynamic")) {
        let why = "misc_dynamic: a program that prints a share in percent can set the weight: weights = { type = \"exec\", program = \"/path\" }; \
                   until then any exit code but 0 is a failure";
        add(remarks, Remark::todo(Some(dynamic.place.clone()), why));
    }
    Some(vec![("type", "script".into()), ("program", command.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::doc::Place;

    #[test]
    fn status_codes_are_written_out() {
        let said = |words: &str| {
            let place = Place { file: String::new(), line: 1 };
            let words = format!("status_code {words}").split(' ').map(str::to_owned).collect();
            status(&Node { words, place, block: None }).map(|value| value.to_string())
        };
        assert_eq!(said("200 301-303").as_deref(), Some("[200, 301, 302, 303]"));
        assert_eq!(said("200-299"), None);
        assert_eq!(said("x"), None);
        assert_eq!(said("0-4294967295").map(|codes| codes.len() > 2000), Some(true));
    }
}
