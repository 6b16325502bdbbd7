//! The jobs of the net thread, one function each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use cluster::{Ground, OpId, OpKind, OpResult, ResourceKey, Time};
use sys::announce::Announcer;
use sys::netlink::{Address, AddressKey, AddressSet, Netlink};
use tokio::sync::mpsc::Sender;

use super::Job;
use super::claims::{Conflict, Listening, Probing};
use super::ground::Fights;
use super::hear::{Ear, Hear};
use super::mend::Held;
use super::place::{Interfaces, MARK, broadcast, is, place};
use super::repeat::{Repeats, Target};
use super::said::Said;
use super::struggle::Struggle;
use crate::config::{AddressSpec, Agent};
use crate::daemon::links::Interface;
use crate::daemon::report::{Report, Reports, Trouble, tell};
use crate::daemon::settings::Entry;
use crate::daemon::when::now;

/// The state of the net thread.
pub(super) struct Worker {
    pub(super) reports: Reports,
    pub(super) netlink: Netlink,
    /// What is set here now, as it was last set.
    pub(super) held: HashMap<ResourceKey, Held>,
    /// What was told of the interfaces.
    pub(super) seen: Vec<Interface>,
    /// Put back, put right, and removed: what was told of each.
    pub(super) put_back: Said,
    pub(super) put_right: Said,
    pub(super) evicted: Said,
    /// The configured addresses, and the interface each was last seen to belong to.
    pub(super) watched: Vec<Arc<Entry>>,
    pub(super) homes: HashMap<ResourceKey, u32>,
    /// What was told of the ground.
    pub(super) ground: Ground,
    pub(super) fights: Fights,
    /// A fight was given up, and that was said.
    pub(super) fighting: bool,
    /// Held addresses that somebody removes again and again.
    pub(super) struggle: Struggle,
    /// Maintenance is on: nothing is put back or put right.
    pub(super) frozen: bool,
    /// Removed since the last look, and removed by this thread itself, of which the kernel tells in the same way.
    pub(super) gone: HashSet<Target>,
    pub(super) own_removals: HashSet<Target>,
    /// Where it is told what is to be listened to, and what is.
    pub(super) hear: Sender<Hear>,
    pub(super) listening: BTreeMap<Ear, Listening>,
    /// Held addresses that somebody else has too, and those to be set if nobody has.
    pub(super) conflicts: BTreeMap<IpAddr, Conflict>,
    pub(super) probing: Vec<Probing>,
    /// To be asked for, with what else is to be listened to, as soon as there is nothing more urgent.
    unasked: Vec<Target>,
    ask_at: Option<Time>,
    /// How often what is held is announced again, and when it last was.
    pub(super) refresh: Option<Duration>,
    pub(super) refreshed: Time,
    announcers: HashMap<u32, ([u8; 6], Announcer)>,
    repeats: Repeats,
    /// What was last said to be wrong with renewals and announcements.
    said: Option<String>,
}

impl Worker {
    pub(super) fn new(reports: Reports, hear: Sender<Hear>) -> Result<Worker, String> {
        let netlink = Netlink::open().map_err(|error| error.to_string())?;
        Ok(Worker {
            reports,
            netlink,
            held: HashMap::new(),
            seen: Vec::new(),
            put_back: Said::default(),
            put_right: Said::default(),
            evicted: Said::default(),
            watched: Vec::new(),
            homes: HashMap::new(),
            ground: Ground::default(),
            fights: Fights::default(),
            fighting: false,
            struggle: Struggle::default(),
            frozen: false,
            gone: HashSet::new(),
            own_removals: HashSet::new(),
            hear,
            listening: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            probing: Vec::new(),
            unasked: Vec::new(),
            ask_at: None,
            refresh: None,
            refreshed: now(),
            announcers: HashMap::new(),
            repeats: Repeats::default(),
            said: None,
        })
    }

    pub(super) fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            let job = match self.due() {
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => jobs.recv_timeout(due.since(now())),
            };
            match job {
                Ok(job) => self.job(job),
                Err(RecvTimeoutError::Timeout) => self.time(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// When there is something to be done without a job.
    pub(super) fn due(&self) -> Option<Time> {
        let refresh = self.refresh.filter(|_| !self.held.is_empty()).map(|every| self.refreshed + every);
        [self.repeats.due(), self.fights.due(), self.struggle.due(), self.claims_due(), refresh, self.ask_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn time(&mut self) {
        let now = now();
        if self.refresh.is_some_and(|every| self.refreshed + every <= now) {
            self.refreshed = now;
            let held = self.held.values().map(|held| (held.set.ifindex, held.set.ip)).collect();
            self.repeats.once(held, now);
        }
        self.repeat();
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask_now();
        }
        if self.claims_due().is_some_and(|due| due <= now) {
            self.look_at_claims();
        }
        if self.fights.due().is_some_and(|due| due <= now) {
            self.fight_on();
        }
        if self.struggle.due().is_some_and(|due| due <= now) {
            self.struggle_on();
        }
    }

    pub(super) fn job(&mut self, job: Job) {
        match job {
            Job::Run { id, op, entries, timeout, lifetime, queued } => {
                let results = match op {
                    OpKind::Start if now().since(queued) > timeout => vec![OpResult::TimedOut; entries.len()],
                    OpKind::Start if self.begin_probing(id, &entries, lifetime, queued + timeout) => return,
                    OpKind::Start => return self.run_start(id, &entries, lifetime),
                    OpKind::Stop => self.stop(&entries),
                    OpKind::Status => self.status(&entries),
                };
                tell(&self.reports, Report::OpDone { id, results });
                self.ask_soon();
            }
            Job::Lease { entries, lifetime, queued, max_age } => {
                if now().since(queued) > max_age {
                    tracing::warn!("a renewal of addresses came too late and was dropped");
                } else {
                    self.lease(&entries, lifetime);
                }
            }
            Job::Announce { entries } => {
                let held = entries.iter().filter_map(|entry| self.held.get(&entry.key));
                let targets = held.map(|held| (held.set.ifindex, held.set.ip)).collect();
                self.announce(targets);
            }
            Job::Sweep { keep } => self.sweep(&keep),
            Job::Changed => {
                self.changed();
                self.ask_soon();
            }
            Job::Configured { entries, refresh } => self.configured(entries, refresh),
            Job::Gone(gone) => self.gone.extend(gone),
            Job::Frozen(frozen) => {
                self.frozen = frozen;
                self.changed();
            }
            Job::Claimed { ifindex, claims } => self.claimed(ifindex, &claims),
            Job::Evict { entries, why } => self.evict(&entries, &why),
        }
    }

    /// Sets the addresses and says so; then asks whether somebody else has them. In this order: nobody is to wait for that.
    pub(super) fn run_start(&mut self, id: OpId, entries: &[Arc<Entry>], lifetime: Option<Duration>) {
        let results = self.start(entries, lifetime);
        tell(&self.reports, Report::OpDone { id, results });
        let held = entries.iter().filter_map(|entry| self.held.get(&entry.key));
        self.unasked.extend(held.map(|held| (held.set.ifindex, held.set.ip)));
        self.ask_soon();
    }

    /// Listening and asking wait until the starts of a takeover, of which there may be many, are done.
    fn ask_soon(&mut self) {
        self.ask_at.get_or_insert_with(|| now() + SOON);
    }

    fn ask_now(&mut self) {
        self.ask_at = None;
        self.listen();
        let targets = std::mem::take(&mut self.unasked);
        if let Ok(interfaces) = Interfaces::read(&mut self.netlink, []) {
            self.probe_on(&interfaces, &targets);
        }
    }

    fn start(&mut self, entries: &[Arc<Entry>], lifetime: Option<Duration>) -> Vec<OpResult> {
        let specs = entries.iter().map(|entry| spec(entry));
        let interfaces = match Interfaces::read(&mut self.netlink, specs) {
            Ok(interfaces) => interfaces,
            Err(error) => return vec![OpResult::Failed(error); entries.len()],
        };
        let mut results = Vec::with_capacity(entries.len());
        let (mut sets, mut whose) = (Vec::new(), Vec::new());
        for entry in entries {
            results.push(match place(spec(entry), &interfaces) {
                Ok(set) => {
                    whose.push((results.len(), entry));
                    sets.push(AddressSet { lifetime, ..set });
                    OpResult::Ok
                }
                Err(why) => OpResult::Failed(why),
            });
        }
        let begun = now();
        let done = match self.netlink.set_addresses(&sets) {
            Ok(done) => done,
            Err(error) => sets.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut targets = Vec::with_capacity(sets.len());
        for (((at, entry), set), done) in whose.into_iter().zip(sets).zip(done) {
            match done {
                Ok(()) => {
                    targets.push((set.ifindex, set.ip));
                    self.held.insert(entry.key, Held::new(entry, set, begun));
                }
                Err(error) => results[at] = OpResult::Failed(error.to_string()),
            }
        }
        // Before anything else: from here on the neighbours know.
        self.announce_on(&interfaces, targets);
        results
    }

    fn stop(&mut self, entries: &[Arc<Entry>]) -> Vec<OpResult> {
        let ips: Vec<IpAddr> = entries.iter().map(|entry| spec(entry).ip).collect();
        self.repeats.cancel(&ips);
        for entry in entries {
            self.held.remove(&entry.key);
        }
        self.say_struggle();
        let (interfaces, addresses) = match self.look() {
            Ok(found) => found,
            Err(error) => return vec![OpResult::Failed(error); entries.len()],
        };
        let mut results = vec![OpResult::Ok; entries.len()];
        let (mut keys, mut whose) = (Vec::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            for address in
                addresses.of(spec(entry).ip).filter(|address| is(address, spec(entry), &interfaces))
            {
                keys.push(address.key());
                whose.push(at);
            }
        }
        self.own_removals.extend(keys.iter().map(|key| (key.ifindex, key.ip)));
        match self.netlink.remove_addresses(&keys) {
            Ok(done) => {
                for (at, done) in whose.into_iter().zip(done) {
                    if let Err(error) = done {
                        results[at] = OpResult::Failed(error.to_string());
                    }
                }
            }
            Err(error) => whose.into_iter().for_each(|at| results[at] = OpResult::Failed(error.to_string())),
        }
        results
    }

    fn status(&mut self, entries: &[Arc<Entry>]) -> Vec<OpResult> {
        let (interfaces, addresses) = match self.look() {
            Ok(found) => found,
            Err(error) => return vec![OpResult::Failed(error); entries.len()],
        };
        entries
            .iter()
            .map(|entry| {
                let mut there =
                    addresses.of(spec(entry).ip).filter(|address| is(address, spec(entry), &interfaces));
                match there.find(|address| !address.dad_failed()) {
                    Some(address) => {
                        // Adopted: from now on it is renewed as if it had been set by this process.
                        self.held.entry(entry.key).or_insert_with(|| adopted(address, entry));
                        OpResult::Running
                    }
                    None => {
                        // Found stopped: no renewal may put it back.
                        self.held.remove(&entry.key);
                        OpResult::NotRunning
                    }
                }
            })
            .collect()
    }

    fn lease(&mut self, entries: &[Arc<Entry>], lifetime: Option<Duration>) {
        let begun = now();
        let mut sets = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(held) = self.held.get_mut(&entry.key) {
                held.set.lifetime = lifetime;
                held.until = lifetime.map(|lifetime| begun + lifetime);
                sets.push(held.set.clone());
            }
        }
        if sets.is_empty() {
            return;
        }
        let mut lost = false;
        let failed = match self.netlink.set_addresses(&sets) {
            Ok(done) => done
                .into_iter()
                .filter_map(Result::err)
                .inspect(|error| lost |= error.is_interface_gone())
                .last(),
            Err(error) => Some(error),
        };
        if lost {
            self.replace_lost(entries);
        }
        self.say(failed.map(|error| format!("addresses could not be renewed: {error}")));
    }

    /// An interface went away; one of the same name may have come since, with another number.
    fn replace_lost(&mut self, entries: &[Arc<Entry>]) {
        let specs = entries.iter().map(|entry| spec(entry));
        let Ok(interfaces) = Interfaces::read(&mut self.netlink, specs) else { return };
        for entry in entries {
            let Some(held) = self.held.get_mut(&entry.key) else { continue };
            if interfaces.numbered(held.set.ifindex).is_none()
                && let Ok(set) = place(spec(entry), &interfaces)
            {
                held.set = AddressSet { lifetime: held.set.lifetime, ..set };
            }
        }
    }

    fn sweep(&mut self, keep: &[Arc<Entry>]) {
        let (interfaces, addresses) = match self.look() {
            Ok(found) => found,
            Err(error) => {
                tracing::error!("leftover addresses could not be looked for: {error}");
                return;
            }
        };
        let specs: HashMap<IpAddr, &AddressSpec> =
            keep.iter().map(|entry| (spec(entry).ip, spec(entry))).collect();
        let ours = addresses.0.iter().filter(|address| address.mark == MARK);
        let left: Vec<AddressKey> = ours
            .filter(|address| {
                !specs.get(&address.ip).is_some_and(|spec| {
                    is(address, spec, &interfaces)
                        && spec.prefix.is_none_or(|prefix| prefix == address.prefix)
                })
            })
            .map(Address::key)
            .collect();
        if left.is_empty() {
            return;
        }
        match self.netlink.remove_addresses(&left) {
            Ok(done) => {
                for (key, done) in left.iter().zip(done) {
                    match done {
                        Ok(_) => tracing::warn!("{key} was left by a former hbd and is in no group: removed"),
                        Err(error) => {
                            tracing::error!("{key} was left by a former hbd and cannot be removed: {error}")
                        }
                    }
                }
            }
            Err(error) => tracing::error!("leftover addresses could not be removed: {error}"),
        }
    }

    pub(super) fn look(&mut self) -> Result<(Interfaces, Addresses), String> {
        let specs = self.watched.iter().map(|entry| spec(entry));
        let interfaces = Interfaces::read(&mut self.netlink, specs)?;
        let addresses = self.netlink.addresses().map_err(|error| error.to_string())?;
        Ok((interfaces, Addresses::sorted(addresses)))
    }

    /// For the first time, and from now on a few times more.
    fn announce(&mut self, targets: Vec<Target>) {
        match Interfaces::read(&mut self.netlink, []) {
            Ok(interfaces) => self.announce_on(&interfaces, targets),
            Err(error) => self.say(Some(format!("addresses could not be announced: {error}"))),
        }
    }

    pub(super) fn announce_on(&mut self, interfaces: &Interfaces, targets: Vec<Target>) {
        self.announce_once(interfaces, &targets);
        self.repeats.begin(targets, now());
    }

    /// Nothing is to be announced again.
    #[cfg(test)]
    pub(super) fn repeats_forget(&mut self) {
        self.repeats = Repeats::default();
    }

    fn repeat(&mut self) {
        let targets = self.repeats.take(now());
        if targets.is_empty() {
            return;
        }
        if let Ok(interfaces) = Interfaces::read(&mut self.netlink, []) {
            self.announce_once(&interfaces, &targets);
        }
    }

    pub(super) fn announce_once(&mut self, interfaces: &Interfaces, targets: &[Target]) {
        self.send(interfaces, targets, |announcer, ips| announcer.announce(ips).map(drop));
    }

    /// Asks whether somebody else has these.
    pub(super) fn probe_on(&mut self, interfaces: &Interfaces, targets: &[Target]) {
        self.send(interfaces, targets, |announcer, ips| announcer.probe(ips));
    }

    fn send(&mut self, interfaces: &Interfaces, targets: &[Target], how: How) {
        let numbers: HashSet<u32> = targets.iter().map(|&(ifindex, _)| ifindex).collect();
        for ifindex in numbers {
            let ips: Vec<IpAddr> =
                targets.iter().filter(|target| target.0 == ifindex).map(|&(_, ip)| ip).collect();
            // Nobody listens on a loopback, and there are no neighbours on a link without hardware addresses.
            let Some(link) = interfaces.numbered(ifindex).filter(|link| !link.loopback) else { continue };
            let Some(mac) = link.mac else { continue };
            if let Err(error) = self.send_from(ifindex, mac, &ips, how) {
                self.announcers.remove(&ifindex);
                tracing::warn!("addresses could not be announced on {}: {error}", link.name);
            }
        }
    }

    fn send_from(&mut self, ifindex: u32, mac: [u8; 6], ips: &[IpAddr], how: How) -> Result<(), String> {
        // A bond or a bridge may have changed its hardware address since.
        let stale = self.announcers.get(&ifindex).is_none_or(|(old, _)| *old != mac);
        if stale {
            let announcer = Announcer::open(ifindex, mac).map_err(|error| error.to_string())?;
            self.announcers.insert(ifindex, (mac, announcer));
        }
        match self.announcers.get_mut(&ifindex) {
            Some((_, announcer)) => how(announcer, ips).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Tells the loop when it is news.
    fn say(&mut self, sentence: Option<String>) {
        if sentence != self.said {
            self.said.clone_from(&sentence);
            tell(&self.reports, Report::Trouble { about: Trouble::Addresses, sentence });
        }
    }
}

/// After what was urgent, those who have our addresses too are listened to and asked.
const SOON: Duration = Duration::from_millis(20);

/// What is sent for addresses.
type How = fn(&Announcer, &[IpAddr]) -> io::Result<()>;

/// The addresses of this machine, by address.
pub(super) struct Addresses(Vec<Address>);

impl Addresses {
    fn sorted(mut all: Vec<Address>) -> Addresses {
        all.sort_by_key(|address| address.ip);
        Addresses(all)
    }

    /// Those of an interface that are not ours: what the machine has of its own.
    pub(super) fn on(&self, index: u32) -> Vec<IpAddr> {
        let own = self.0.iter().filter(|address| address.ifindex == index && address.mark != MARK);
        own.filter(|address| !address.dad_failed()).map(|address| address.ip).collect()
    }

    pub(super) fn of(&self, ip: IpAddr) -> impl Iterator<Item = &Address> {
        let from = self.0.partition_point(|address| address.ip < ip);
        self.0[from..].iter().take_while(move |address| address.ip == ip)
    }
}

fn adopted(address: &Address, entry: &Arc<Entry>) -> Held {
    let Address { ifindex, ip, prefix, .. } = *address;
    let (lifetime, spec) = (address.valid, spec(entry));
    let set = AddressSet {
        ifindex,
        ip,
        prefix,
        label: spec.label.clone(),
        broadcast: broadcast(spec, prefix),
        lifetime,
        mark: MARK,
    };
    Held::new(entry, set, now())
}

/// The loop gives this thread addresses only; anything else would be set nowhere.
pub(super) fn spec(entry: &Entry) -> &AddressSpec {
    static NONE: AddressSpec = AddressSpec {
        ip: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        prefix: None,
        interface: None,
        label: None,
        broadcast: None,
    };
    match &entry.resource.agent {
        Agent::Address(spec) => spec,
        _ => &NONE,
    }
}
