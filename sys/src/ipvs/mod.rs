//! The kernel's load balancer, IPVS, by generic netlink (linux/ip_vs.h): what ipvsadm(8) does, without it.
//!
//! ```text
//!  service, destination   what is in the table, both ways      change   what can be done to it, with its refusals
//!  daemon, stats          connection sync, counters            check    what makes no sense, as sentences
//!  support                what this kernel has                 numbers  linux/ip_vs.h
//!  glance                 whether the table is another one
//! ```
//! The family has neither notifications (the table must be polled) nor words for its refusals: what it would refuse is
//! found before it is asked, and its errnos are explained.

mod change;
pub mod check;
mod daemon;
mod destination;
mod error;
pub mod glance;
mod numbers;
mod service;
mod stats;
pub mod support;

use std::collections::HashSet;
use std::hash::Hash;

pub use change::Change;
pub use check::{TIMEOUT_MAX, WEIGHT_MAX};
pub use daemon::{Daemon, Role};
pub use destination::{Checksum, Destination, DestinationState, Forward, Tunnel};
pub use error::Error;
pub use service::{Family, Protocol, Service, ServiceKey, ServiceState};
pub use stats::Stats;

use crate::netlink::request::{Consistency, Requests, Talk};
use crate::netlink::wire::{Attributes, Writer, number32};
use crate::netlink::{Reason, generic};
use numbers::{FAMILY, VERSION, command, info, top};

/// The table of the network namespace of the thread that opened it. Blocks; every wait is bounded by 10 s for each
/// thousand changes. After an `Err` it can still be used.
#[derive(Debug)]
pub struct Ipvs {
    requests: Requests,
    family: u16,
}

/// What GET_INFO tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The version of IPVS: 1.2.1 for ages.
    pub version: (u8, u8, u8),
    /// Slots of the connection table.
    pub table_size: u32,
}

/// How long connections without traffic are kept, in seconds. On setting, 0 leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Of established TCP connections.
    pub tcp: u32,
    /// Of TCP connections after the first FIN.
    pub tcp_fin: u32,
    /// Of UDP.
    pub udp: u32,
}

/// Changes with one deadline.
const CHUNK: usize = 1000;

impl Ipvs {
    /// Finds IPVS in the kernel, and loads its module when it is not there.
    ///
    /// # Errors
    /// When there is none, or no right to load it; what to do is in the error.
    pub fn open() -> Result<Ipvs, Error> {
        let mut requests = Requests::open(Talk::GENERIC)?;
        let found = generic::family(&mut requests, FAMILY).or_else(|error| {
            if error.raw_errno() == Some(libc::ENOENT) && support::load("ip_vs") {
                generic::family(&mut requests, FAMILY)
            } else {
                Err(error)
            }
        });
        match found {
            Ok(family) => Ok(Ipvs { requests, family }),
            Err(error) if error.raw_errno() == Some(libc::ENOENT) => Err(Error {
                what: "open IPVS".into(),
                reason: Reason::Invalid(missing()),
                advice: String::new(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Its version and size.
    ///
    /// # Errors
    /// The kernel's refusal, or its silence.
    pub fn info(&mut self) -> Result<Info, Error> {
        let body = generic::header(command::GET_INFO, VERSION);
        let answer = self.requests.ask("ask IPVS for its version", self.family, &body, |body| {
            let mut numbers = [None; 2];
            for (kind, payload) in Attributes::after(body, generic::HEADER) {
                match kind {
                    info::VERSION => numbers[0] = number32(payload, 0),
                    info::CONN_TAB_SIZE => numbers[1] = number32(payload, 0),
                    _ => {}
                }
            }
            let [_, major, minor, patch] = numbers[0]?.to_be_bytes();
            Some(Info { version: (major, minor, patch), table_size: numbers[1].unwrap_or(0) })
        })?;
        answer.ok_or_else(|| Error::invalid("ask IPVS for its version", "the answer had none"))
    }

    /// All services. Those of a protocol or family that is not known here are left out.
    ///
    /// # Errors
    /// The kernel's refusal, or its silence.
    pub fn services(&mut self) -> Result<Vec<ServiceState>, Error> {
        let body = generic::header(command::GET_SERVICE, VERSION);
        let found = self.dump("list services", &body, |body| service::parse(nest(body, top::SERVICE)?))?;
        Ok(unique(found, |state| state.service.key))
    }

    /// The real servers of a service, newest last; none of a service that is not there.
    ///
    /// # Errors
    /// The kernel's refusal, or its silence.
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationState>, Error> {
        let body = generic::body(&generic::header(command::GET_DEST, VERSION), |writer| {
            writer.nest(top::SERVICE, |writer| key.write(writer));
        });
        let family = key.family();
        let what = format!("list the real servers of {key}");
        let found = self.dump(&what, &body, |body| destination::parse(family, nest(body, top::DEST)?))?;
        Ok(unique(found, |state| state.destination.address))
    }

    /// Changes the table, in the order given; the results are in that order too. A thousand changes are a few system
    /// calls, and one that is refused does not keep the others from being made.
    ///
    /// # Errors
    /// Per change what the kernel has against it, or what is wrong with it. For all of them only if the socket is
    /// broken or the kernel silent; then some may have been made.
    pub fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Error>>, Error> {
        let mut results = Vec::with_capacity(changes.len());
        for chunk in changes.chunks(CHUNK) {
            results.extend(self.apply_chunk(chunk)?);
        }
        Ok(results)
    }

    fn apply_chunk(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Error>>, Error> {
        let mut results: Vec<Result<(), Error>> = changes
            .iter()
            .map(|change| change.check().map_err(|sentence| Error::invalid(change.to_string(), sentence)))
            .collect();
        let places: Vec<usize> = (0..changes.len()).filter(|place| results[*place].is_ok()).collect();
        let family = self.family;
        let what = format!("change the table in {} places", places.len());
        let answers = self.requests.burst(&what, places.len(), |place, writer, sequence| {
            changes[places[place]].write(writer, family, sequence);
        })?;
        for (place, answer) in places.into_iter().zip(answers) {
            if let Err(refusal) = answer {
                results[place] = Err(changes[place].refused(refusal.errno));
            }
        }
        Ok(results)
    }

    /// The synchronisation daemons that run.
    ///
    /// # Errors
    /// The kernel's refusal, or its silence.
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let body = generic::header(command::GET_DAEMON, VERSION);
        self.dump("list sync daemons", &body, |body| Daemon::parse(nest(body, top::DAEMON)?))
    }

    /// Starts a synchronisation daemon.
    ///
    /// # Errors
    /// What is wrong with it, or the kernel's refusal; EEXIST when one of that role runs.
    pub fn start_daemon(&mut self, daemon: &Daemon) -> Result<(), Error> {
        let what = format!("start the {} sync daemon on {}", daemon.role, daemon.interface);
        check::daemon(daemon).map_err(|sentence| Error::invalid(&what, sentence))?;
        let advice = |errno| match errno {
            libc::EEXIST => "one runs already",
            libc::ENODEV => "there is no such interface",
            libc::EINVAL => "it cannot run while a real server of the other address family is in the table",
            libc::EADDRNOTAVAIL => "the interface has no address to send from",
            _ => "",
        };
        self.order(&what, command::NEW_DAEMON, |writer| daemon.write(writer), advice)
    }

    /// Ends a synchronisation daemon.
    ///
    /// # Errors
    /// The kernel's refusal; ESRCH when none of that role runs.
    pub fn stop_daemon(&mut self, role: Role) -> Result<(), Error> {
        let what = format!("stop the {role} sync daemon");
        let advice = |errno| if errno == libc::ESRCH { "none runs" } else { "" };
        self.order(&what, command::DEL_DAEMON, |writer| daemon::write_stop(writer, role), advice)
    }

    /// The timeouts of connections.
    ///
    /// # Errors
    /// The kernel's refusal, or its silence.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let body = generic::header(command::GET_CONFIG, VERSION);
        let answer = self.requests.ask("ask for timeouts", self.family, &body, |body| {
            let mut timeouts = Timeouts::default();
            for (kind, payload) in Attributes::after(body, generic::HEADER) {
                let value = number32(payload, 0)?;
                match kind {
                    top::TIMEOUT_TCP => timeouts.tcp = value,
                    top::TIMEOUT_TCP_FIN => timeouts.tcp_fin = value,
                    top::TIMEOUT_UDP => timeouts.udp = value,
                    _ => {}
                }
            }
            Some(timeouts)
        })?;
        answer.ok_or_else(|| Error::invalid("ask for timeouts", "the answer had none"))
    }

    /// Sets the timeouts of connections; those that are 0 stay.
    ///
    /// # Errors
    /// One that is too long, or the kernel's refusal.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Error> {
        let what = "set timeouts";
        let values = [
            (top::TIMEOUT_TCP, timeouts.tcp),
            (top::TIMEOUT_TCP_FIN, timeouts.tcp_fin),
            (top::TIMEOUT_UDP, timeouts.udp),
        ];
        if let Some((_, long)) = values.iter().find(|(_, seconds)| *seconds > TIMEOUT_MAX) {
            return Err(Error::invalid(what, format!("{long} s is more than {TIMEOUT_MAX} s (31 days)")));
        }
        let write = |writer: &mut Writer| {
            for (kind, seconds) in values {
                writer.attribute(kind, &seconds.to_ne_bytes());
            }
        };
        self.order(what, command::SET_CONFIG, write, |_| "")
    }

    /// Zeroes the counters of a service and its real servers, or of everything.
    ///
    /// # Errors
    /// The kernel's refusal; ESRCH when the service is not there.
    pub fn zero(&mut self, key: Option<&ServiceKey>) -> Result<(), Error> {
        let write = |writer: &mut Writer| {
            if let Some(key) = key {
                service::write_bare(writer, key);
            }
        };
        let advice = |errno| if errno == libc::ESRCH { "the service is not in the table" } else { "" };
        self.order("zero the counters", command::ZERO, write, advice)
    }

    fn order(
        &mut self,
        what: &str,
        command: u8,
        fill: impl FnOnce(&mut Writer),
        advice: impl FnOnce(i32) -> &'static str,
    ) -> Result<(), Error> {
        let body = generic::body(&generic::header(command, VERSION), fill);
        match self.requests.ask(what, self.family, &body, |_| None::<()>) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_errno() {
                Some(errno) => Err(Error::errno(what, errno, advice(errno))),
                None => Err(error.into()),
            },
        }
    }

    fn dump<T>(
        &mut self,
        what: &str,
        body: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let kinds = (self.family, self.family);
        Ok(self.requests.dump(what, kinds, body, Consistency::Needed, parse)?)
    }
}

/// The nest of that kind in a body.
fn nest(body: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes::after(body, generic::HEADER).find(|(found, _)| *found == kind).map(|(_, payload)| payload)
}

/// A dump is not read at one instant: what moved meanwhile may come twice.
fn unique<T, K: Eq + Hash>(mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = HashSet::with_capacity(rows.len());
    rows.retain(|row| seen.insert(key(row)));
    rows
}

/// What to say where there is no IPVS.
fn missing() -> String {
    match support::module("ip_vs") {
        support::Support::Missing => "this kernel comes without it: boot one that has the module ip_vs \
            (Debian: linux-image-amd64)"
            .into(),
        _ => "the kernel has no IPVS: load it with `modprobe ip_vs` (as root, on the host where this is a container)"
            .into(),
    }
}

/// Feeds bytes to everything that reads IPVS's answers; for tests and fuzzers.
pub fn walk_untrusted(bytes: &[u8]) {
    for message in crate::netlink::wire::Messages::new(bytes) {
        for (_, payload) in Attributes::after(message.body, generic::HEADER) {
            let _ = (service::parse(payload), Daemon::parse(payload), Stats::parse(payload));
            let _ = (destination::parse(Family::V4, payload), destination::parse(Family::V6, payload));
        }
    }
}

#[cfg(test)]
mod tests;
