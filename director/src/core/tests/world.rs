//! A director's world: a clock, a kernel, real servers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::check::Outcome;
use crate::check::Spec;
use crate::config::model::{Check, Config, Real, Virtual};
use crate::core::{Action, Core, Event, Memory, Order, RealStatus, Time, VirtualStatus};
use crate::kernel::{Backend, DestCounters, DryRun, Look};
use crate::load::Reading;
use crate::table::{Dest, Flags, Forward, Key, Protocol, Table};

pub const SECOND: Duration = Duration::from_secs(1);

/// `10.0.0.N:80`.
pub fn real(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 80))
}

pub fn vip(n: u8) -> Key {
    Key::Address(Protocol::Tcp, SocketAddr::from(([192, 168, 1, n], 80)))
}

pub fn check() -> Check {
    Check {
        spec: Spec::Connect(Default::default()).into(),
        port: None,
        interval: 2 * SECOND,
        timeout: SECOND,
        fall: 3,
        rise: 2,
    }
}

/// `www` on 192.168.1.`n` with the real servers `reals`, each with weight 10.
pub fn www(n: u8, reals: &[u8]) -> Virtual {
    let one = |n: &u8| Real {
        name: format!("web{n}"),
        address: real(*n),
        weight: 10,
        forward: Forward::Gate,
        upper: 0,
        lower: 0,
        checks: [check()].into(),
        load: None,
    };
    Virtual {
        name: if n == 1 { "www".to_owned() } else { format!("www{n}") },
        key: vip(n),
        behind: Vec::new(),
        scheduler: "wlc".to_owned(),
        flags: Flags::default(),
        persistent: None,
        netmask: u32::MAX,
        engine: None,
        fallback: None,
        quorum: 1,
        hysteresis: 0,
        quorum_up: None,
        quorum_down: None,
        never_below: 0,
        slow_start: Duration::ZERO,
        quiescent: true,
        reals: reals.iter().map(one).collect(),
    }
}

pub fn config(virtuals: Vec<Virtual>) -> Config {
    Config {
        sync: None,
        alerts: Vec::new(),
        maintenance_dir: None,
        drain: 60 * SECOND,
        checks_at_once: 500,
        group: "hbd".to_owned(),
        warm: true,
        virtuals,
        warnings: Vec::new(),
    }
}

pub struct World {
    pub core: Core,
    pub kernel: DryRun,
    pub now: Time,
    /// The real servers that do not answer.
    pub bad: BTreeSet<IpAddr>,
    /// Open connections of real servers.
    pub conns: BTreeMap<SocketAddr, u32>,
    /// What real servers say of their load.
    pub loads: BTreeMap<IpAddr, Result<Reading, String>>,
    /// The names in the maintenance folder.
    pub files: BTreeSet<String>,
    /// Checks that were run.
    pub checks: u64,
    pub events: Vec<Event>,
    pub runs: Vec<Vec<String>>,
    pub memory: Memory,
    /// How often it was to be written.
    pub remembered: u64,
    pub applies: u64,
    /// Looks that a glance was enough for.
    pub glances: u64,
    /// What was read last, unless it was changed from here since.
    glanced: Option<Table>,
    /// What the kernel says instead of reading.
    pub unreadable: Option<String>,
    /// What the kernel says to every change.
    pub refuses: Option<String>,
}

impl World {
    pub fn new(config: Config) -> World {
        World::with(config, DryRun::default(), Memory::default())
    }

    pub fn with(config: Config, kernel: DryRun, memory: Memory) -> World {
        let now = Time::from_secs(1000);
        let core = Core::new(config, memory.clone(), true, 7, now);
        World {
            core,
            kernel,
            now,
            bad: BTreeSet::new(),
            conns: BTreeMap::new(),
            loads: BTreeMap::new(),
            files: BTreeSet::new(),
            checks: 0,
            events: Vec::new(),
            runs: Vec::new(),
            memory,
            remembered: 0,
            applies: 0,
            glances: 0,
            glanced: None,
            unreadable: None,
            refuses: None,
        }
    }

    /// The same world after the director was killed and started again with `config`.
    pub fn restart(self, config: Config) -> World {
        let World { kernel, now, bad, conns, loads, files, memory, .. } = self;
        let core = Core::new(config, memory.clone(), true, 8, now);
        World { now, bad, conns, loads, files, core, ..World::with_kernel(kernel, memory) }
    }

    fn with_kernel(kernel: DryRun, memory: Memory) -> World {
        World::with(config(Vec::new()), kernel, memory)
    }

    /// Lets `span` pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.pump();
        loop {
            let wake = self.core.wake_at();
            if wake > end {
                break;
            }
            self.now = self.now.max(wake);
            self.core.time(self.now);
            self.pump();
        }
        self.now = end;
    }

    fn pump(&mut self) {
        while let Some(action) = self.core.poll_action() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Check { id, question } => {
                self.checks += 1;
                let good = !self.bad.contains(&question.target.address);
                let result = if good { Ok(()) } else { Err("connection refused".to_owned()) };
                let outcome = Outcome { result, took: Duration::from_millis(3), warning: None };
                self.core.outcome(self.now, id, &outcome);
            }
            Action::Load { id, question } => {
                let silent = || Err("no answer".to_owned());
                let reading = self.loads.get(&question.target.address).cloned().unwrap_or_else(silent);
                self.core.reading(self.now, id, &reading);
            }
            Action::Read(Look::Glance) if self.glanced.as_ref() == Some(&self.kernel.table) => {
                self.glances += 1;
                self.core.picture(self.now, Ok(None));
            }
            Action::Read(_) => {
                self.glanced = Some(self.kernel.table.clone());
                let picture = match &self.unreadable {
                    Some(error) => Err(error.clone()),
                    None => self.kernel.read().map(|mut picture| {
                        for (address, counters) in picture.dests.values_mut().flatten() {
                            let active = self.conns.get(address).copied().unwrap_or(0);
                            *counters = DestCounters { active, ..DestCounters::default() };
                        }
                        Some(picture)
                    }),
                };
                self.core.picture(self.now, picture);
            }
            Action::Apply(changes) => {
                self.applies += 1;
                self.glanced = None;
                let results = match &self.refuses {
                    Some(error) => changes.iter().map(|_| Err(error.clone())).collect(),
                    None => self.kernel.apply(&changes),
                };
                self.core.applied(self.now, &results);
            }
            Action::Sync(wanted) => self.kernel.sync = wanted,
            Action::LookInto(_) => self.core.maintenance_files(self.now, self.files.clone()),
            Action::Remember(memory) => {
                self.memory = memory;
                self.remembered += 1;
            }
            Action::Run { program, mut args } => {
                args.insert(0, program.display().to_string());
                self.runs.push(args);
            }
            Action::Event(event) => self.events.push(event),
        }
    }

    pub fn order(&mut self, order: Order) -> Result<String, String> {
        let said = self.core.order(self.now, "root", &order);
        self.pump();
        said
    }

    pub fn reload(&mut self, config: Config) {
        self.core.reload(self.now, config);
        self.pump();
    }

    pub fn dies(&mut self, n: u8) {
        self.bad.insert(real(n).ip());
    }

    pub fn returns(&mut self, n: u8) {
        self.bad.remove(&real(n).ip());
    }

    /// The real servers in the kernel with their weights: `1:10 2:0`.
    pub fn table(&self, n: u8) -> String {
        let Some(entry) = self.kernel.table.get(&vip(n)) else { return "no service".to_owned() };
        let show = |(address, dest): (&SocketAddr, &Dest)| {
            let last = match address.ip() {
                IpAddr::V4(ip) if ip.octets()[0] == 10 => ip.octets()[3].to_string(),
                other => other.to_string(),
            };
            format!("{last}:{}", dest.weight)
        };
        entry.dests.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    pub fn status(&self, service: &str) -> VirtualStatus {
        let status = self.core.status(self.now);
        status.virtuals.into_iter().find(|shown| shown.name == service).expect("a virtual service")
    }

    pub fn real(&self, service: &str, name: &str) -> RealStatus {
        self.status(service).reals.into_iter().find(|shown| shown.name == name).expect("a real server")
    }

    pub fn degraded(&self) -> String {
        self.core.status(self.now).degraded.join("\n")
    }

    /// What was said since the last time, `kind subject: from -> to: why`.
    pub fn said(&mut self) -> Vec<String> {
        let show = |event: Event| {
            let (from, to) = (event.from.unwrap_or_default(), event.to.unwrap_or_default());
            format!("{} {}: {from} -> {to}: {}", event.kind, event.subject, event.why)
        };
        std::mem::take(&mut self.events).into_iter().map(show).collect()
    }
}
