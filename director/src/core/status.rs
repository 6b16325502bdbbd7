//! What the core shows of itself: the fields of `director status --json`.

use serde::Serialize;

use super::Core;
use super::health::{Health, Verdict};
use super::io::{Place, Time};
use super::real::Real;
use super::service::Service;
use crate::config::model::Virtual;
use crate::kernel::Counters;
use crate::table::Key;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The virtual services.
    pub virtuals: Vec<VirtualStatus>,
    /// `active` or `standby`.
    pub role: &'static str,
    /// How many changes of others were undone.
    pub drift_repaired: u64,
    /// Different questions that are asked, and how many of them are late.
    pub checks: usize,
    /// How many of them wait although their time has come.
    pub checks_late: usize,
    /// What is not as it should be, a plain sentence each.
    pub degraded: Vec<String>,
}

/// A virtual service.
#[derive(Clone, Debug, Serialize)]
pub struct VirtualStatus {
    /// Its name.
    pub name: String,
    /// `192.168.1.30:80`, or `fwmark 1`.
    pub address: String,
    /// `tcp`, `udp`, `sctp` or `fwmark`.
    pub protocol: String,
    /// Its scheduler.
    pub scheduler: String,
    /// For how many seconds a client comes back to the same real server.
    pub persistent: Option<u32>,
    /// Enough real servers are up.
    pub up: bool,
    /// How many serve, and how many must.
    pub serving: u32,
    /// So many must.
    pub quorum: u32,
    /// The fallback serves.
    pub fallback_active: bool,
    /// The fallback.
    pub fallback: Option<String>,
    /// Real servers are in service although their checks fail (`never_below`).
    pub panic: bool,
    /// For how long it is up, or down.
    pub since_ms: u64,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Its real servers.
    pub reals: Vec<RealStatus>,
}

/// What passes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Traffic {
    /// Connections since it was added.
    pub conns: u64,
    /// Connections each second.
    pub cps: u64,
    /// Packets from clients each second.
    pub in_pps: u64,
    /// Packets to clients each second (NAT only).
    pub out_pps: u64,
    /// Bytes from clients each second.
    pub in_bps: u64,
    /// Bytes to clients each second (NAT only).
    pub out_bps: u64,
}

impl From<Counters> for Traffic {
    fn from(of: Counters) -> Traffic {
        Traffic {
            conns: of.connections,
            cps: of.connections_rate,
            in_pps: of.packets_in_rate,
            out_pps: of.packets_out_rate,
            in_bps: of.bytes_in_rate,
            out_bps: of.bytes_out_rate,
        }
    }
}

/// A real server.
#[derive(Clone, Debug, Serialize)]
pub struct RealStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// How packets get there.
    pub forward: String,
    /// `unknown`, `up`, `down`, `drain` or `maintenance`.
    pub state: &'static str,
    /// Why.
    pub why: String,
    /// For how long.
    pub since_ms: u64,
    /// Its weight while it serves: configured or by hand.
    pub weight: u32,
    /// The weight is by hand.
    pub weight_by_hand: bool,
    /// What its load makes of the weight, in percent.
    pub load_percent: Option<f64>,
    /// Its weight in the kernel; 0 also if it is not there.
    pub kernel_weight: u32,
    /// Whether it is in the kernel's table.
    pub in_kernel: bool,
    /// Connections that are open.
    pub active_conns: u32,
    /// Connections that are closing, or of protocols without an end.
    pub inactive_conns: u32,
    /// How long the last check took (the longest, if there are several).
    pub last_check_ms: Option<u64>,
    /// What was wrong at the last check.
    pub last_error: Option<String>,
    /// What somebody should know: a certificate that ends.
    pub warning: Option<String>,
    /// It has to be good for longer than usual, since it keeps falling.
    pub damped: bool,
    /// How long a drain or maintenance takes yet at most.
    pub deadline_ms: Option<u64>,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: Traffic,
}

fn ms(span: Time) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Core {
    /// What there is to see now.
    pub fn status(&self, now: Time) -> Status {
        let virtuals: Vec<VirtualStatus> = self
            .config
            .virtuals
            .iter()
            .zip(&self.services)
            .map(|(settings, service)| self.service_status(now, settings, service))
            .collect();
        Status {
            degraded: self.degraded(&virtuals),
            virtuals,
            role: if self.active { "active" } else { "standby" },
            drift_repaired: self.kernel.drift_repaired,
            checks: self.probes.count() + self.loads.count(),
            checks_late: self.probes.late() + self.loads.late(),
        }
    }

    fn service_status(&self, now: Time, settings: &Virtual, service: &Service) -> VirtualStatus {
        let (address, protocol) = match settings.key {
            Key::Address(protocol, address) => (address.to_string(), protocol.to_string()),
            Key::Mark(mark, _) => (format!("fwmark {mark}"), "fwmark".to_owned()),
        };
        let reals = service.reals.iter().enumerate();
        VirtualStatus {
            name: settings.name.clone(),
            address,
            protocol,
            scheduler: settings.scheduler.clone(),
            persistent: settings.persistent,
            up: service.up.unwrap_or(false),
            serving: service.serving(settings),
            quorum: service.needed(settings),
            fallback_active: service.fallback,
            fallback: settings.fallback.map(|(address, _)| address.to_string()),
            panic: !service.kept.is_empty(),
            since_ms: ms(now.saturating_sub(service.since)),
            traffic: self.kernel.services.get(&settings.key).copied().unwrap_or_default().into(),
            reals: reals.map(|(place, real)| self.real_status(now, settings, place, real)).collect(),
        }
    }

    fn real_status(&self, now: Time, settings: &Virtual, place: usize, real: &Real) -> RealStatus {
        let says = &settings.reals[place];
        let in_kernel = self.kernel.weight(&settings.key, &real.address);
        let deadline = real.place().and(real.place_ends()).filter(|_| !real.emptied);
        RealStatus {
            name: says.name.clone(),
            address: says.address.to_string(),
            forward: says.forward.to_string(),
            state: real.standing.name(),
            why: real.why.clone().into_owned(),
            since_ms: ms(now.saturating_sub(real.since)),
            weight: real.by_hand().unwrap_or(says.weight),
            weight_by_hand: real.by_hand().is_some(),
            load_percent: real.load(says).and_then(|(load, policy)| load.percent(now, policy)),
            kernel_weight: in_kernel.unwrap_or(0),
            in_kernel: in_kernel.is_some(),
            active_conns: real.counters.active,
            inactive_conns: real.counters.inactive,
            last_check_ms: real.health.iter().filter_map(|health| health.took).max().map(ms),
            last_error: real.health.iter().find_map(Health::error).map(str::to_owned),
            warning: real.health.iter().find_map(Health::warning).map(str::to_owned),
            damped: real.health.iter().any(Health::is_damped),
            deadline_ms: deadline.map(|end| ms(end.saturating_sub(now))),
            traffic: real.counters.traffic.into(),
        }
    }

    /// What is not as it should be.
    fn degraded(&self, virtuals: &[VirtualStatus]) -> Vec<String> {
        let mut said = Vec::new();
        said.extend(self.kernel.trouble.clone());
        said.extend(self.kernel.refused.values().map(|why| format!("the kernel refused {why}")));
        for (at, shown) in virtuals.iter().enumerate() {
            said.extend(of_service(shown));
            for (place, real) in self.services[at].reals.iter().enumerate() {
                said.extend(of_real(shown, place, real));
                said.extend(self.of_load(shown, at, place));
            }
        }
        if self.probes.late() > self.config.checks_at_once {
            said.push(format!(
                "{} checks are late: raise checks_at_once, or check less often",
                self.probes.late()
            ));
        }
        said
    }

    fn of_load(&self, shown: &VirtualStatus, at: usize, place: usize) -> Option<String> {
        let real = &self.services[at].reals[place];
        let error = real.load.as_ref()?.error.as_ref().filter(|_| real.verdict == Verdict::Up)?;
        Some(format!("{}/{} does not tell its load: {error}", shown.name, shown.reals[place].name))
    }
}

fn of_service(shown: &VirtualStatus) -> Option<String> {
    let name = &shown.name;
    if shown.fallback_active {
        Some(format!(
            "{name}: the fallback serves: {} of {} real servers are up",
            shown.serving,
            shown.reals.len()
        ))
    } else if shown.panic {
        Some(format!(
            "{name}: real servers stay in service although their checks fail: so many at once is probably this \
             machine's trouble"
        ))
    } else if !shown.up {
        Some(format!("{name} is down: {} real servers are up, and {} must be", shown.serving, shown.quorum))
    } else {
        None
    }
}

fn of_real(shown: &VirtualStatus, place: usize, real: &Real) -> Vec<String> {
    let seen = &shown.reals[place];
    let name = format!("{}/{}", shown.name, seen.name);
    let mut said = Vec::new();
    if seen.state == "down" {
        said.push(format!("{name} is down: {}", seen.why));
    }
    if let Some(Place::Drain { .. } | Place::Maintenance { .. }) = real.place() {
        said.push(format!("{name} is out by order of {}", real.by()));
    } else if real.by_file {
        said.push(format!("{name} is out: {}", seen.why));
    }
    if seen.weight_by_hand {
        said.push(format!("{name} has weight {} by hand", seen.weight));
    }
    said.extend(seen.warning.as_ref().map(|warning| format!("{name}: {warning}")));
    said
}
