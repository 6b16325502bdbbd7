//! Another configuration: what stays keeps all that is known of it, and what is new or gone is the difference.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::health::{Health, Verdict};
use super::io::{Level, Time};
use super::probes::Asker;
use super::real::Real;
use super::service::{Leaving, Service};
use super::{Core, LoadQuestion, Question};
use crate::check::{ServiceName, Spec, Target};
use crate::config::model::{Check, Config, Real as Settings, Virtual};
use crate::load::Target as LoadTarget;
use crate::table::{Key, Protocol};

impl Core {
    /// Takes `config` over.
    pub fn reload(&mut self, now: Time, config: Config) {
        let before = std::mem::replace(&mut self.config, config);
        if self.config.maintenance_dir != before.maintenance_dir {
            self.next_folder = now;
        }
        if self.config.maintenance_dir.is_none() {
            self.files.clear();
        }
        let mut old: BTreeMap<Key, (Virtual, Service)> = before
            .virtuals
            .into_iter()
            .zip(std::mem::take(&mut self.services))
            .map(|(settings, service)| (settings.key, (settings, service)))
            .collect();
        let drain = now + self.config.drain;
        for settings in &self.config.virtuals {
            let service = match old.remove(&settings.key) {
                Some((said, service)) => carry_over(now, drain, (said, service), settings),
                None => Service::new(now, settings),
            };
            self.services.push(service);
        }
        self.unsettled = (0..self.services.len()).collect();
        for (at, service) in self.services.iter_mut().enumerate() {
            let key = self.config.virtuals[at].key;
            // What the kernel does not have needs no farewell.
            service.leaving.retain(|address, leaving| match self.kernel.entry(&key) {
                Some(entry) => entry.dests.get(address).is_some_and(|dest| {
                    leaving.dest = *dest;
                    true
                }),
                None => false,
            });
        }
        for (said, _) in old.into_values() {
            let why = "it is no longer in the configuration".to_owned();
            self.say(Level::Info, "virtual", said.name, None, Some("removed"), why);
        }
        self.forget_overrides();
        let keep = self.config.virtuals.iter().map(|settings| settings.key).collect();
        self.kernel.forget_desires(&keep);
        self.own();
        self.plan_probes(now);
        self.take_orders(now);
        self.sync();
        self.settle(now);
    }

    /// Orders for what is not there any more.
    fn forget_overrides(&mut self) {
        let virtuals = &self.config.virtuals;
        let before = self.memory.overrides.clone();
        self.memory.overrides.retain(|name, of_service| {
            let Some(settings) = virtuals.iter().find(|settings| settings.name == *name) else {
                return false;
            };
            of_service.retain(|real, _| settings.reals.iter().any(|says| says.name == *real));
            !of_service.is_empty()
        });
        if self.memory.overrides != before {
            self.actions.push_back(super::Action::Remember(self.memory.clone()));
        }
    }

    /// Tells the probes who asks what.
    pub(super) fn plan_probes(&mut self, now: Time) {
        let (mut checks, mut loads) = (Vec::new(), Vec::new());
        for (service, settings) in self.config.virtuals.iter().enumerate() {
            for (real, says) in settings.reals.iter().enumerate() {
                for (check, what) in says.checks.iter().enumerate() {
                    let asker = Asker { service, real, check };
                    checks.push((Arc::new(question(settings, says, what)), what.interval, asker));
                }
                if let Some(policy) = &says.load {
                    let target = LoadTarget { address: says.address.ip(), name: says.name.clone() };
                    let question = LoadQuestion {
                        source: policy.source.clone(),
                        target,
                        interval: policy.interval,
                        deadline: policy.timeout,
                    };
                    loads.push((Arc::new(question), policy.interval, Asker { service, real, check: 0 }));
                }
            }
        }
        self.probes.set(now, self.config.checks_at_once, checks);
        self.loads.set(now, self.config.checks_at_once, loads);
    }
}

/// What is asked of whom.
fn question(settings: &Virtual, says: &Settings, check: &Check) -> Question {
    let (protocol, address, mark) = match settings.key {
        Key::Address(protocol, address) => (protocol, Some(address), None),
        Key::Mark(mark, _) => (Protocol::Tcp, None, Some(mark)),
    };
    let told = matches!(*check.spec, Spec::Script(_));
    let service = told.then(|| Box::new(ServiceName { address, mark, real_port: says.address.port() }));
    let port = check.port.unwrap_or(says.address.port());
    let target = Target { address: says.address.ip(), port, protocol, service };
    Question { spec: Arc::clone(&check.spec), target, interval: check.interval, deadline: check.timeout }
}

/// A service that stays.
fn carry_over(now: Time, drain: Time, old: (Virtual, Service), settings: &Virtual) -> Service {
    let (said, before) = old;
    let mut reals: BTreeMap<_, (Settings, Real)> =
        said.reals.into_iter().zip(before.reals).map(|(said, real)| (real.address, (said, real))).collect();
    let carried = settings
        .reals
        .iter()
        .map(|says| match reals.remove(&says.address) {
            Some((said, real)) => carry_real(now, &said, real, says),
            None => Real::new(now, says),
        })
        .collect();
    let mut leaving = before.leaving;
    leaving.retain(|address, _| !settings.reals.iter().any(|says| says.address == *address));
    for (address, (said, _)) in reals {
        let fallback = settings.fallback.is_some_and(|(fallback, _)| fallback == address);
        if !fallback {
            let dest =
                crate::table::Dest { weight: 0, forward: said.forward, upper: said.upper, lower: said.lower };
            leaving.insert(address, Leaving { dest, until: drain, empty_looks: 0 });
        }
    }
    Service { reals: carried, leaving, ..before }
}

/// A real server that stays. A check that is new is presumed to say what the old ones said, until it has spoken.
fn carry_real(now: Time, said: &Settings, mut real: Real, says: &Settings) -> Real {
    let same = |a: &Check, b: &Check| a.spec == b.spec && a.port == b.port;
    let verdict = real.verdict;
    let health: Vec<Health> = says
        .checks
        .iter()
        .map(|check| {
            let place = said.checks.iter().position(|other| same(check, other));
            place.and_then(|place| real.health.get(place).cloned()).unwrap_or_else(|| Health::new(verdict))
        })
        .collect();
    real.health = health;
    let judged = real.sum_of_checks();
    if judged != real.verdict {
        real.verdict = judged;
        real.verdict_since = now;
        real.admitted |= judged == Verdict::Up;
    }
    let same_source = |a: &Settings, b: &Settings| {
        a.load.as_ref().map(|policy| &policy.source) == b.load.as_ref().map(|policy| &policy.source)
    };
    if !same_source(said, says) {
        real.load = None;
    }
    if real.rising_from.is_some_and(|from| now > from + Duration::from_secs(24 * 3600)) {
        real.rising_from = None;
    }
    real
}
