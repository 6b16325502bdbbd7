//! Heartbeat's `ha.cf`: a directive and its words in each line.

use std::time::Duration;

use base::config::problem::Problems;
use base::config::suggest::nearest;

use super::cluster_file::{Draft, Failback, Node, Ping};
use super::doc::{Remark, add};
use super::ha_extra::{self, Media};
use super::source::{Line, Reading, Source, shown};

/// What has no counterpart, and why.
const NOTHING: [(&[&str], &str); 7] = [
    (
        &[
            "logfile",
            "debugfile",
            "logfacility",
            "use_logd",
            "conn_logd_time",
            "syslogmsgfmt",
            "log_badpack",
            "debug",
        ],
        "hbd logs to standard error, so to the journal; HBD_LOG sets the level",
    ),
    (&["deadping"], "a ping point is down after a deadtime"),
    (&["rtprio", "memreserve"], "hbd runs real-time with locked memory by itself"),
    (&["coredumps", "coreroot", "env"], "the unit says it: systemctl edit hbd"),
    (
        &[
            "crm",
            "pacemaker",
            "crm_daemon_dir",
            "crmd_spawns_pengine",
            "record_config_changes",
            "record_pengine_inputs",
            "enable_config_writes",
        ],
        "what Pacemaker manages is in its own configuration: write the groups by hand",
    ),
    (&["tipc", "rds", "hbaping", "quorum_server"], "hbd has nothing like it"),
    (
        &[
            "autojoin",
            "apiauth",
            "compression",
            "compression_threshold",
            "traditional_compression",
            "hopfudge",
            "uuidfrom",
            "hbgenmethod",
            "msgfmt",
            "max_rexmit_delay",
            "normalpoll",
            "use_apphbd",
        ],
        "not needed",
    ),
];

/// What is read; the rest is in [`NOTHING`].
const DIRECTIVES: [&str; 26] = [
    "keepalive",
    "deadtime",
    "warntime",
    "initdead",
    "node",
    "cluster",
    "auto_failback",
    "nice_failback",
    "bcast",
    "udp",
    "ucast",
    "ucast6",
    "mcast",
    "mcast6",
    "serial",
    "baud",
    "udpport",
    "ping",
    "ping6",
    "ping_group",
    "stonith",
    "stonith_host",
    "watchdog",
    "respawn",
    "failfast",
    "realtime",
];

/// Heartbeat's own defaults, where they are not ours.
const DEADTIME: Duration = Duration::from_secs(30);
/// Heartbeat's bound on nodes, and on media.
const MOST_NODES: usize = 100;
/// Ping points that hbd takes.
const MOST_PINGS: usize = 64;
/// What a cluster is called that has no name.
const NAME: &str = "linux-ha";

/// Reads the file into `draft`.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read(source: &Source, draft: &mut Draft) -> Result<(), Problems> {
    let reading = Reading::new(source);
    draft.cluster.name = NAME.to_owned();
    draft.cluster.deadtime = Some(DEADTIME);
    let (mut media, mut failback) = (Media::default(), None);
    for line in reading.lines().take_while(|_| !reading.is_hopeless()) {
        let text = line.text.split('#').next().unwrap_or("");
        let mut words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let Some(name) = words.next() else { continue };
        let directive = Directive { name, words: words.collect(), text, line, reading: &reading };
        one(&directive, draft, &mut media, &mut failback);
    }
    let nodes: Vec<String> = draft.nodes.iter().map(|node| node.name.clone()).collect();
    media.finish(&nodes, draft);
    ha_extra::fit_watchdog(draft);
    draft.cluster.failback = failback.unwrap_or_else(|| {
        let why =
            "auto_failback is not said, and Heartbeat gave groups back then; false keeps them where they are";
        add(&mut draft.cluster.remarks, Remark::todo(None, why));
        Failback::On
    });
    reading.finish()
}

/// A line with its words.
pub(super) struct Directive<'s> {
    pub(super) name: &'s str,
    pub(super) words: Vec<&'s str>,
    /// The line without its comment.
    pub(super) text: &'s str,
    pub(super) line: Line<'s>,
    pub(super) reading: &'s Reading<'s>,
}

impl<'s> Directive<'s> {
    /// A mistake in `part` of it.
    pub(super) fn wrong(&self, part: &str, message: impl Into<String>, help: impl Into<String>) {
        self.reading.wrong(self.line.span(part), message, help);
    }

    pub(super) fn place(&self) -> super::doc::Place {
        self.reading.place(self.line.number)
    }

    /// All behind its name, blanks and all.
    pub(super) fn rest(&self) -> &'s str {
        self.text.trim_start().strip_prefix(self.name).unwrap_or("").trim()
    }

    /// Its first word, or a mistake.
    pub(super) fn first(&self) -> Option<&'s str> {
        let first = self.words.first().copied();
        if first.is_none() {
            self.wrong(
                self.name,
                format!("'{}' says nothing", self.name),
                "write its value behind it, or remove the line",
            );
        }
        first
    }

    fn time(&self) -> Option<Duration> {
        let word = self.first()?;
        let time = time(word).filter(|_| self.words.len() == 1);
        if time.is_none() {
            let help = "Heartbeat counts seconds, or milliseconds as 200ms, without a blank between";
            self.wrong(self.rest(), format!("'{}' is no time", shown(self.rest())), help);
        }
        time
    }
}

/// Seconds, with a fraction if need be, or milli- or microseconds.
fn time(word: &str) -> Option<Duration> {
    let digits = word.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(word.len());
    let number: f64 = word.get(..digits)?.parse().ok().filter(|number| (0.0..1e7).contains(number))?;
    Some(match &word[digits..] {
        "" => Duration::from_millis((number * 1000.0).round() as u64),
        unit if unit.starts_with("ms") => Duration::from_millis(number.round() as u64),
        "us" | "usec" => Duration::from_micros(number.round() as u64),
        _ => return None,
    })
}

fn one(directive: &Directive<'_>, draft: &mut Draft, media: &mut Media, failback: &mut Option<Failback>) {
    let name = directive.name;
    if let Some((_, why)) = NOTHING.iter().find(|(names, _)| names.contains(&name)) {
        return add(&mut draft.cluster.remarks, Remark::lost(directive.place(), name, *why));
    }
    match name {
        "keepalive" => draft.cluster.keepalive = directive.time().or(draft.cluster.keepalive),
        "deadtime" => draft.cluster.deadtime = directive.time().or(draft.cluster.deadtime),
        "warntime" => draft.cluster.warntime = directive.time(),
        "initdead" => draft.cluster.initdead = directive.time(),
        "cluster" => {
            if let Some(name) = directive.first() {
                name.clone_into(&mut draft.cluster.name);
            }
        }
        "node" => nodes(directive, draft),
        "auto_failback" => *failback = auto_failback(directive).or(*failback),
        // Its old name, when it said the opposite.
        "nice_failback" => {
            let nice = auto_failback(directive);
            let failback_of = |nice| if nice == Failback::On { Failback::Off } else { Failback::On };
            *failback = nice.map(failback_of).or(*failback);
        }
        "ping" | "ping6" => {
            for host in &directive.words {
                ping(directive, host, &[host], draft);
            }
        }
        "ping_group" => {
            if let Some(name) = directive.first() {
                ping(directive, name, directive.words.get(1..).unwrap_or_default(), draft);
            }
        }
        "bcast" | "udp" | "ucast" | "ucast6" | "mcast" | "mcast6" | "serial" | "baud" | "udpport" => {
            media.read(directive)
        }
        "stonith" | "stonith_host" => ha_extra::stonith(directive, draft),
        "watchdog" => ha_extra::watchdog(directive, draft),
        "respawn" | "failfast" => ha_extra::respawn(directive, draft),
        "realtime" => ha_extra::realtime(directive, draft),
        _ => {
            let known = NOTHING.iter().flat_map(|(names, _)| names.iter().copied()).chain(DIRECTIVES);
            let help = match nearest(name, known) {
                Some(meant) => format!("did you mean '{meant}'?"),
                None => "Heartbeat would refuse it too: correct or remove the line".to_owned(),
            };
            directive.wrong(name, format!("ha.cf has no directive '{}'", shown(name)), help);
        }
    }
}

fn nodes(directive: &Directive<'_>, draft: &mut Draft) {
    for word in &directive.words {
        if super::names::name(word, "") != **word {
            let help = "letters, digits, '-', '_' and '.', as hostname prints it";
            directive.wrong(word, format!("'{}' cannot be the name of a node", shown(word)), help);
        } else if draft.nodes.len() == MOST_NODES {
            directive.wrong(
                word,
                format!("more than {MOST_NODES} nodes"),
                "Heartbeat took no more, and hbd has two",
            );
            return;
        } else if !draft.nodes.iter().any(|node| node.name.eq_ignore_ascii_case(word)) {
            let mut node = Node { name: (*word).to_owned(), remarks: Vec::new() };
            if draft.nodes.len() == 2 {
                let why = "more than two nodes need a [witness]: see hbd.toml(5), or keep two";
                node.remarks.push(Remark::todo(Some(directive.place()), why));
            }
            draft.nodes.push(node);
        }
    }
    directive.first();
}

fn auto_failback(directive: &Directive<'_>) -> Option<Failback> {
    let word = directive.first()?;
    match word.to_ascii_lowercase().as_str() {
        "on" | "yes" | "y" | "true" | "1" | "legacy" => Some(Failback::On),
        "off" | "no" | "n" | "false" | "0" => Some(Failback::Off),
        _ => {
            directive.wrong(
                word,
                format!("{} cannot be '{}'", directive.name, shown(word)),
                "write on, off or legacy",
            );
            None
        }
    }
}

fn ping(directive: &Directive<'_>, name: &str, hosts: &[&str], draft: &mut Draft) {
    let is_address = |host: &&&str| host.parse::<std::net::IpAddr>().is_ok();
    for host in hosts.iter().filter(|host| !is_address(host)) {
        let why = format!(
            "{} is a name, and names are not looked up: write a [[ping]] with its address",
            shown(host)
        );
        add(&mut draft.cluster.remarks, Remark::todo(Some(directive.place()), why));
    }
    let addresses: Vec<String> = hosts.iter().filter(is_address).map(|host| (*host).to_owned()).collect();
    let what = format!("{} {name}", directive.name);
    if !addresses.is_empty() && draft.pings.len() == MOST_PINGS {
        directive.wrong(name, format!("more than {MOST_PINGS} ping points"), "hbd takes no more");
    } else if !addresses.is_empty() {
        draft.pings.push(Ping { name: name.to_owned(), addresses, place: directive.place(), what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_heartbeats() {
        let ms = |word: &str| time(word).map(|time| time.as_millis());
        assert_eq!(ms("2"), Some(2000));
        assert_eq!(ms("1.7"), Some(1700));
        assert_eq!(ms("200ms"), Some(200));
        assert_eq!(ms("1500msec"), Some(1500));
        assert_eq!(ms("3000us"), Some(3));
        for word in ["", "s", "10s", "10sec", "-1", "1.2.3", "1e9", "9999999999999", "ms"] {
            assert_eq!(ms(word), None, "{word}");
        }
    }
}
