//! Others that have an address of ours too: asked for before or when it is taken, listened for while it is held.
//!
//! ```text
//!  start, report:  set ▶ announce ▶ probe ─ an answer within the lease of a former owner ─▶ wait for its end, announce, probe
//!                                         └ an answer, or a claim at any other time ──────▶ told, announced again (each 10 s
//!                                                                                           at most), probed until nobody answers
//!  start, refuse:  probe ─ nobody answers for 300 ms ─▶ set ▶ announce
//!                        └ somebody does for as long as a lease may last, and longer ─▶ failed
//! ```
//! The rules are those of RFC 5227 (section 2.4, for one who must keep the address), also for IPv6.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{OpId, OpResult, Time};
use sys::claims::{Claim, Listener};

use super::hear::{Ear, Hear};
use super::place::{Interfaces, place};
use super::repeat::Target;
use super::worker::{Worker, spec};
use crate::daemon::report::{Report, Trouble, tell};
use crate::daemon::settings::Entry;
use crate::daemon::when::now;

/// Between two announcements against the same claim (DEFEND_INTERVAL of RFC 5227).
const DEFEND: Duration = Duration::from_secs(10);
/// Between two probes while somebody else has an address.
const ASK: Duration = Duration::from_secs(2);
/// Probes without an answer after which it is over.
const UNANSWERED: u32 = 2;
/// Before an address is set that nobody else may have: so long nobody must have answered.
const QUIET: Duration = Duration::from_millis(300);
/// Between two probes then.
const QUICK: Duration = Duration::from_millis(100);
/// How much longer than a lease an answer is waited out.
const MARGIN: Duration = Duration::from_secs(1);
/// The longest lease of a former owner that is waited for where ours is without end.
const LEASE: Duration = Duration::from_secs(3);
/// A look this late is taken anew: the process was away, and answers may have been lost.
const STALE: Duration = Duration::from_millis(500);

/// Somebody else has an address that is held.
#[derive(Debug)]
pub(super) struct Conflict {
    mac: [u8; 6],
    ifindex: u32,
    announced: Option<Time>,
    told: bool,
    /// Probes since it was last heard, and when the next is due.
    unanswered: u32,
    due: Time,
}

#[cfg(test)]
impl Conflict {
    /// It is to be looked at now.
    pub(super) fn make_due(&mut self) {
        self.due = now();
    }
}

/// Addresses that are to be set when it is certain that nobody has them.
#[derive(Debug)]
pub(super) struct Probing {
    id: OpId,
    entries: Vec<Arc<Entry>>,
    lifetime: Option<Duration>,
    targets: Vec<Target>,
    /// Who answered for which, and when last.
    found: BTreeMap<IpAddr, ([u8; 6], Time)>,
    quiet_from: Time,
    next: Time,
    end: Time,
    /// A start that comes to its end later than this is not carried out.
    latest: Time,
}

impl Probing {
    fn due(&self) -> Time {
        self.next.min(self.quiet_from + QUIET)
    }
}

/// What is listened to.
#[derive(Debug)]
pub(super) struct Listening {
    listener: Arc<Listener>,
    ips: Vec<IpAddr>,
}

impl Worker {
    /// Listens for claims of what is held here, and of what is about to be.
    pub(super) fn listen(&mut self) {
        let mut wanted: BTreeMap<Ear, Vec<IpAddr>> = BTreeMap::new();
        let held = self.held.values().map(|held| (held.set.ifindex, held.set.ip));
        for (ifindex, ip) in
            held.chain(self.probing.iter().flat_map(|probing| probing.targets.iter().copied()))
        {
            wanted.entry((ifindex, ip.is_ipv6())).or_default().push(ip);
        }
        let ears: BTreeSet<Ear> =
            self.listening.keys().copied().filter(|ear| !wanted.contains_key(ear)).collect();
        for ear in ears {
            self.listening.remove(&ear);
            let _ = self.hear.try_send(Hear::End(ear));
        }
        for (ear, mut ips) in wanted {
            ips.sort_unstable();
            if let Err(error) = self.listen_for(ear, ips) {
                // The interface may have gone this moment. Without the privilege nothing would be set either.
                tracing::debug!("claims of addresses are not heard on interface {}: {error}", ear.0);
            }
        }
    }

    fn listen_for(&mut self, ear: Ear, ips: Vec<IpAddr>) -> std::io::Result<()> {
        if let Some(listening) = self.listening.get_mut(&ear) {
            if listening.ips != ips {
                listening.listener.narrow(&ips)?;
                listening.ips = ips;
            }
            return Ok(());
        }
        let listener = Arc::new(Listener::open(ear.0, ear.1)?);
        listener.narrow(&ips)?;
        if self.hear.try_send(Hear::Begin(ear, Arc::clone(&listener))).is_ok() {
            self.listening.insert(ear, Listening { listener, ips });
        }
        Ok(())
    }

    /// Somebody says that it has these.
    pub(super) fn claimed(&mut self, ifindex: u32, claims: &BTreeSet<Claim>) {
        let Ok(interfaces) = Interfaces::read(&mut self.netlink, []) else { return };
        // A machine with two cards on one network answers on both.
        let own: HashSet<[u8; 6]> = interfaces.all().iter().filter_map(|link| link.mac).collect();
        let now = now();
        let mut against = Vec::new();
        for claim in claims.iter().filter(|claim| !own.contains(&claim.mac)) {
            let target = (ifindex, claim.ip);
            for probing in self.probing.iter_mut().filter(|probing| probing.targets.contains(&target)) {
                probing.found.insert(claim.ip, (claim.mac, now));
                probing.quiet_from = now;
            }
            let Some(held) = self.held.values().find(|held| (held.set.ifindex, held.set.ip) == target) else {
                continue;
            };
            let grace = held.since + held.set.lifetime.unwrap_or(LEASE);
            let fresh =
                Conflict { mac: claim.mac, ifindex, announced: None, told: false, unanswered: 0, due: grace };
            let conflict = self.conflicts.entry(claim.ip).or_insert(fresh);
            (conflict.mac, conflict.unanswered) = (claim.mac, 0);
            if now < grace && !conflict.told {
                // The kernel of a former owner, whose daemon is gone, has it until its lease ends.
                tracing::info!(
                    "{} has {} still: looked at again when its lease is over",
                    mac(claim.mac),
                    claim.ip
                );
                continue;
            }
            conflict.due = now + ASK;
            if conflict.announced.is_none_or(|at| now.since(at) >= DEFEND) {
                conflict.announced = Some(now);
                against.push(target);
            }
            if !std::mem::replace(&mut conflict.told, true) {
                let name = interfaces.numbered(ifindex).map_or("its interface", |link| link.name.as_str());
                let sentence = format!(
                    "{} is on another machine too, {} on {name}: it was announced again; find that machine and take the address from it",
                    claim.ip,
                    mac(claim.mac)
                );
                let about = Trouble::Conflict(claim.ip.to_string());
                tell(&self.reports, Report::Trouble { about, sentence: Some(sentence) });
            }
        }
        self.announce_once(&interfaces, &against);
    }

    /// When a conflict or a start is to be looked at.
    pub(super) fn claims_due(&self) -> Option<Time> {
        let conflicts = self.conflicts.values().map(|conflict| conflict.due);
        conflicts.chain(self.probing.iter().map(Probing::due)).min()
    }

    /// Looks at what is due.
    pub(super) fn look_at_claims(&mut self) {
        let now = now();
        self.take_claims();
        self.go_on_probing(now);
        let held: HashSet<Target> = self.held.values().map(|held| (held.set.ifindex, held.set.ip)).collect();
        let (mut ask, mut over, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for (ip, conflict) in &mut self.conflicts {
            let target = (conflict.ifindex, *ip);
            if !held.contains(&target) || conflict.due <= now && conflict.unanswered >= UNANSWERED {
                over.push(*ip);
            } else if conflict.due <= now {
                ask.push(target);
                if !conflict.told && conflict.unanswered == 0 {
                    again.push(target);
                }
                conflict.unanswered += 1;
                conflict.due = now + ASK;
            }
        }
        for ip in over {
            if self.conflicts.remove(&ip).is_some_and(|conflict| conflict.told) {
                let about = Trouble::Conflict(ip.to_string());
                tell(&self.reports, Report::Trouble { about, sentence: None });
            }
        }
        if !ask.is_empty()
            && let Ok(interfaces) = Interfaces::read(&mut self.netlink, [])
        {
            // Whoever asked in the meantime may have been told of the former owner.
            self.announce_once(&interfaces, &again);
            self.probe_on(&interfaces, &ask);
        }
    }

    /// Begins to look whether somebody has these; true if so, and then the answer comes later. What cannot be set anyway says so
    /// at once.
    pub(super) fn begin_probing(
        &mut self,
        id: OpId,
        entries: &[Arc<Entry>],
        lifetime: Option<Duration>,
        latest: Time,
    ) -> bool {
        if !entries.iter().any(|entry| entry.refuse_duplicates) {
            return false;
        }
        let specs = entries.iter().map(|entry| spec(entry));
        let Ok(interfaces) = Interfaces::read(&mut self.netlink, specs) else { return false };
        let places: Result<Vec<_>, String> =
            entries.iter().map(|entry| place(spec(entry), &interfaces)).collect();
        let Ok(places) = places else { return false };
        let audible = |ifindex: u32| {
            interfaces
                .numbered(ifindex)
                .is_some_and(|link| !link.loopback && link.running && link.mac.is_some())
        };
        let targets: Vec<Target> =
            places.iter().map(|set| (set.ifindex, set.ip)).filter(|&(ifindex, _)| audible(ifindex)).collect();
        if targets.is_empty() {
            return false;
        }
        let now = now();
        self.probing.push(Probing {
            id,
            entries: entries.to_vec(),
            lifetime,
            targets: targets.clone(),
            found: BTreeMap::new(),
            quiet_from: now,
            next: now + QUICK,
            end: now + lifetime.unwrap_or(LEASE) + MARGIN,
            latest,
        });
        self.listen();
        self.probe_on(&interfaces, &targets);
        true
    }

    /// Before it is said that nobody answered, what waits in the sockets is taken: the thread that listens may be late.
    fn take_claims(&mut self) {
        let ears: BTreeSet<Ear> = self
            .probing
            .iter()
            .flat_map(|probing| probing.targets.iter().map(|&(ifindex, ip)| (ifindex, ip.is_ipv6())))
            .collect();
        for ear in ears {
            let Some(listening) = self.listening.get(&ear) else { continue };
            let claims: BTreeSet<Claim> = (0..64).map_while(|_| listening.listener.next().ok()).collect();
            if !claims.is_empty() {
                self.claimed(ear.0, &claims);
            }
        }
    }

    fn go_on_probing(&mut self, now: Time) {
        let mut ask = Vec::new();
        for probing in std::mem::take(&mut self.probing) {
            let quiet = now.since(probing.quiet_from) >= QUIET;
            let late = now.since(probing.due()) >= STALE;
            if now > probing.latest {
                let results = vec![OpResult::TimedOut; probing.entries.len()];
                tell(&self.reports, Report::OpDone { id: probing.id, results });
            } else if quiet && !late {
                self.run_start(probing.id, &probing.entries, probing.lifetime);
            } else if now >= probing.end {
                let results = probing.entries.iter().map(|entry| refused(spec(entry).ip, &probing)).collect();
                tell(&self.reports, Report::OpDone { id: probing.id, results });
            } else {
                let mut probing = probing;
                if late {
                    probing.quiet_from = now;
                }
                if probing.next <= now {
                    ask.extend(probing.targets.iter().copied());
                    probing.next = now + QUICK;
                }
                self.probing.push(probing);
            }
        }
        if !ask.is_empty()
            && let Ok(interfaces) = Interfaces::read(&mut self.netlink, [])
        {
            self.probe_on(&interfaces, &ask);
        }
        self.listen();
    }
}

/// Why an address is not set.
fn refused(ip: IpAddr, probing: &Probing) -> OpResult {
    OpResult::Failed(match probing.found.get(&ip) {
        Some((other, _)) => {
            format!("{ip} is on another machine already, {}; duplicate = \"refuse\"", mac(*other))
        }
        None => {
            "another address of its group is on another machine already; duplicate = \"refuse\"".to_owned()
        }
    })
}

/// A hardware address as people write it.
fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}
