//! `director.toml` as it is put together from an old set-up, whichever that was. What most have in common is said once,
//! above: in `[director]`, or in `[[virtual]]` for its real servers.

use std::collections::HashSet;
use std::time::Duration;

use super::doc::{Doc, Kind as RemarkKind, Remark, Section, add};
use super::names::Names;
use super::spelling::split_port;
use super::value::Value;

/// When a check counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) fall: u32,
    pub(super) rise: u32,
    pub(super) quiescent: bool,
}

/// What a virtual service is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Address and port; as text, since an old file may have names there.
    Address(String),
    /// A mark, and whether it is IPv6's.
    Mark(u32, bool),
}

/// How packets get to a real server, with what a tunnel needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) way: &'static str,
    pub(super) port: Option<u32>,
    pub(super) checksum: Option<&'static str>,
}

impl Forward {
    pub(super) fn plain(way: &'static str) -> Forward {
        Forward { way, port: None, checksum: None }
    }

    fn write(&self, section: &mut Section) {
        section.set("forward", self.way);
        section.set_some("tunnel_port", self.port);
        section.set_some("tunnel_checksum", self.checksum);
    }
}

/// `[[virtual.real]]`.
#[derive(Debug)]
pub(super) struct Real {
    pub(super) name: Option<String>,
    pub(super) address: String,
    pub(super) weight: u32,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) forward: Forward,
    /// What is asked of it; nothing said is a connection, or what else asks least.
    pub(super) checks: Vec<Value>,
    pub(super) timing: Timing,
    pub(super) weights: Option<Value>,
    pub(super) remarks: Vec<Remark>,
}

/// `[[virtual]]`.
#[derive(Debug)]
pub(super) struct Virtual {
    /// What it would be called if nobody else is.
    pub(super) name: String,
    pub(super) key: Key,
    pub(super) protocol: &'static str,
    pub(super) scheduler: String,
    /// Other keys, in the order they are written.
    pub(super) more: Vec<(&'static str, Value)>,
    pub(super) timing: Timing,
    pub(super) reals: Vec<Real>,
    pub(super) remarks: Vec<Remark>,
    /// No other service is the same.
    pub(super) fits: bool,
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) remarks: Vec<Remark>,
    /// Keys of `[director]` beside the timing.
    pub(super) director: Vec<(&'static str, Value)>,
    pub(super) director_remarks: Vec<Remark>,
    pub(super) virtuals: Vec<Virtual>,
}

/// Ours, if nothing is said.
const USUAL: Timing = Timing {
    interval: Duration::from_secs(2),
    timeout: Duration::from_secs(1),
    fall: 3,
    rise: 2,
    quiescent: true,
};

impl Timing {
    /// Writes what differs from `above`.
    fn write(&self, above: &Timing, section: &mut Section) {
        section.set_some("interval", Some(self.interval).filter(|time| *time != above.interval));
        section.set_some("timeout", Some(self.timeout).filter(|time| *time != above.timeout));
        section.set_some("fall", Some(self.fall).filter(|count| *count != above.fall));
        section.set_some("rise", Some(self.rise).filter(|count| *count != above.rise));
        section.set_some("quiescent", Some(self.quiescent).filter(|kept| *kept != above.quiescent));
    }
}

/// What most of `all` are, the first of them if it is even.
fn common<T: PartialEq + Clone>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: Vec<(T, usize)> = Vec::new();
    for one in all {
        match counts.iter_mut().find(|(other, _)| *other == one) {
            Some((_, count)) => *count += 1,
            None => counts.push((one, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(one, _)| one)
}

impl Draft {
    /// Notes what has to be said of `[director]`.
    pub(super) fn remark(&mut self, remark: Remark) {
        add(&mut self.director_remarks, remark);
    }

    /// The file, without what goes without saying.
    pub(super) fn finish(self) -> Doc {
        let timings = || self.virtuals.iter().map(|one| one.timing);
        let usual = Timing {
            interval: common(timings().map(|timing| timing.interval)).unwrap_or(USUAL.interval),
            timeout: common(timings().map(|timing| timing.timeout)).unwrap_or(USUAL.timeout),
            fall: common(timings().map(|timing| timing.fall)).unwrap_or(USUAL.fall),
            rise: common(timings().map(|timing| timing.rise)).unwrap_or(USUAL.rise),
            quiescent: common(timings().map(|timing| timing.quiescent)).unwrap_or(USUAL.quiescent),
        };
        let mut doc = Doc { remarks: self.remarks, ..Doc::default() };
        let mut director = Section::new("[director]");
        usual.write(&USUAL, &mut director);
        director.entries.extend(self.director.into_iter().map(|(key, value)| (key.to_owned(), value)));
        director.remarks = self.director_remarks;
        if !director.is_empty() {
            doc.sections.push(director);
        }
        let (mut names, mut known) = (Names::default(), HashSet::new());
        for mut one in self.virtuals {
            one.name = names.unique(&service_name(&one.name));
            one.keep_what_fits(&mut known);
            one.write(&usual, &mut doc);
        }
        doc
    }
}

/// A name that the director takes.
fn service_name(text: &str) -> String {
    let fit: String =
        text.chars().map(|c| if c.is_whitespace() || c.is_control() || c == '/' { '-' } else { c }).collect();
    let mut fit = fit;
    while fit.len() > 63 {
        fit.pop();
    }
    if fit.is_empty() { "service".to_owned() } else { fit }
}

impl Virtual {
    /// Its address, if it has one.
    pub(super) fn address(&self) -> Option<&str> {
        match &self.key {
            Key::Address(address) => Some(address),
            Key::Mark(..) => None,
        }
    }

    /// Whether a check of this type is among its checks.
    pub(super) fn asks(&self, kind: &str) -> bool {
        let kind = Value::from(kind);
        let is = |check: &Value| matches!(check, Value::Table(entries) if entries.first().is_some_and(|(_, it)| *it == kind));
        self.reals.iter().flat_map(|real| &real.checks).any(is)
    }

    /// Takes out what the director would refuse: real servers of another family than the service, or that are there twice,
    /// and all of them if the service is there already; `known` are the services so far.
    fn keep_what_fits(&mut self, known: &mut HashSet<(Key, &'static str)>) {
        let ipv6 = match &self.key {
            Key::Address(address) => split_port(address).0.contains(':'),
            Key::Mark(_, ipv6) => *ipv6,
        };
        let mut lost: Vec<(String, &str)> = Vec::new();
        let mut seen = HashSet::new();
        self.reals.retain(|real| {
            let other = split_port(&real.address).0.contains(':') != ipv6 && real.forward.way != "ipip";
            let twice = !seen.insert(real.address.clone());
            if other || twice {
                let why =
                    if other { "it is of another family than its service" } else { "it is there already" };
                lost.push((real.address.clone(), why));
            }
            !(other || twice)
        });
        // Piranha calls each of them [server_name] until somebody changes it.
        let mut names = Names::default();
        for name in self.reals.iter_mut().filter_map(|real| real.name.as_mut()) {
            *name = names.unique(&service_name(name));
        }
        for (address, why) in lost {
            let why = format!("the real server {address}: {why}");
            add(&mut self.remarks, Remark::todo(None, why).of(RemarkKind::Lost));
        }
        // A mark is the same whatever the protocol.
        let protocol = if matches!(self.key, Key::Mark(..)) { "" } else { self.protocol };
        self.fits = known.insert((self.key.clone(), protocol));
        if !self.fits {
            add(
                &mut self.remarks,
                Remark::todo(None, "the service is there already: put the real servers together"),
            );
        }
    }

    fn write(self, usual: &Timing, doc: &mut Doc) {
        let forward = common(self.reals.iter().map(|real| real.forward.clone()));
        let checks = common(self.reals.iter().map(|real| real.checks.clone())).unwrap_or_default();
        let weights = common(self.reals.iter().map(|real| real.weights.clone())).flatten();
        let mut section = Section::new("[[virtual]]").with("name", self.name);
        match &self.key {
            Key::Address(address) => section.set("address", address.as_str()),
            Key::Mark(mark, ipv6) => {
                section.set("fwmark", *mark);
                section.set_some("family", ipv6.then_some("ipv6"));
            }
        }
        section.set_some("protocol", Some(self.protocol).filter(|protocol| *protocol != "tcp"));
        section.set_some("scheduler", Some(self.scheduler).filter(|name| name != "wlc"));
        section.entries.extend(self.more.into_iter().map(|(key, value)| (key.to_owned(), value)));
        if let Some(forward) = forward.iter().find(|forward| **forward != Forward::plain("gate")) {
            forward.write(&mut section);
        }
        self.timing.write(usual, &mut section);
        set_checks(&checks, &mut section);
        section.set_some("weights", weights.clone());
        section.remarks = self.remarks;
        let disabled = !self.fits || self.reals.is_empty() && !section.has("fallback");
        if disabled && self.fits {
            section.remark(Remark::todo(None, "it has no real servers, and is left out until it has"));
        }
        section.disabled = disabled;
        doc.sections.push(section);
        for real in self.reals {
            let same = Some(&real.forward) == forward.as_ref();
            let mut section = Section::new("[[virtual.real]]");
            section.disabled = disabled;
            section.set_some("name", real.name);
            section.set("address", real.address);
            section.set_some("weight", Some(real.weight).filter(|weight| *weight != 1));
            section.set_some("upper", Some(real.upper).filter(|bound| *bound != 0));
            section.set_some("lower", Some(real.lower).filter(|bound| *bound != 0));
            if !same {
                real.forward.write(&mut section);
            }
            let timing = Timing { quiescent: self.timing.quiescent, ..real.timing };
            timing.write(&self.timing, &mut section);
            if real.checks != checks {
                set_checks(&real.checks, &mut section);
            }
            section.set_some("weights", real.weights.filter(|own| Some(own) != weights.as_ref()));
            section.remarks = real.remarks;
            doc.sections.push(section);
        }
    }
}

/// `check`: one table, or a list of them; none where a connection is asked for anyway.
fn set_checks(checks: &[Value], section: &mut Section) {
    match checks {
        [] => {}
        [one] => section.set("check", one.clone()),
        several => section.set("check", Value::List(several.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_have_is_common() {
        assert_eq!(common([1, 2, 2].into_iter()), Some(2));
        assert_eq!(common([1, 2].into_iter()), Some(1));
        assert_eq!(common(std::iter::empty::<u8>()), None);
    }
}
