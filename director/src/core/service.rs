//! One virtual service: which of its real servers serve, and the kernel's entry that follows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::health::Verdict;
use super::io::Time;
use super::real::{Real, Standing};
use super::weight;
use crate::config::model::Virtual;
use crate::table::{Dest, Key, Protocol, Service as Entry};

/// What is known of a virtual service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its real servers, in the order of the configuration.
    pub reals: Vec<Real>,
    /// Real servers no longer configured that finish their connections, until when, and their empty looks.
    pub leaving: BTreeMap<SocketAddr, Leaving>,
    /// Enough real servers are up.
    pub up: Option<bool>,
    /// The fallback serves.
    pub fallback: bool,
    /// Real servers that stay in service although their checks say they are down.
    pub kept: Vec<usize>,
    /// Since when it is up, or down.
    pub since: Time,
    /// When something of it changes by itself, as seen when it was looked at last.
    pub wake: Option<Time>,
}

/// A real server on its way out of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// As it is in the kernel.
    pub dest: Dest,
    /// Until when at most.
    pub until: Time,
    /// Looks at the table in a row without a connection.
    pub empty_looks: u32,
}

impl Service {
    /// One of which nothing is known.
    pub fn new(now: Time, settings: &Virtual) -> Service {
        Service {
            reals: settings.reals.iter().map(|real| Real::new(now, real)).collect(),
            leaving: BTreeMap::new(),
            up: None,
            fallback: false,
            kept: Vec::new(),
            since: now,
            wake: None,
        }
    }

    /// Whether "inactive" connections are open ones: those of protocols without an end.
    pub fn counts_inactive(key: &Key) -> bool {
        matches!(key, Key::Address(Protocol::Udp, _))
    }

    /// Whether a real server of it finishes its connections and goes when there is none left.
    pub fn is_finishing(&self) -> bool {
        !self.leaving.is_empty() || self.reals.iter().any(Real::is_draining)
    }

    /// How many real servers serve of themselves.
    pub fn serving(&self, settings: &Virtual) -> u32 {
        let reals = self.reals.iter().zip(&settings.reals);
        reals.filter(|(real, says)| real.serves() && !real.is_idle(says)).count() as u32
    }

    /// How many real servers must serve for the service to be up, as it is now.
    pub fn needed(&self, settings: &Virtual) -> u32 {
        match self.up {
            None => settings.quorum,
            Some(true) => settings.quorum.saturating_sub(settings.hysteresis),
            Some(false) => settings.quorum.saturating_add(settings.hysteresis),
        }
    }

    /// Decides who serves.
    pub fn decide(&mut self, settings: &Virtual) {
        let serving = self.serving(settings);
        let open = self.reals.iter().any(Real::is_open);
        let enough = serving >= self.needed(settings);
        // Before all have been heard nobody can say that it is not enough.
        if enough || !open {
            self.up = Some(enough);
        }
        if settings.fallback.is_none() || enough {
            self.fallback = false;
        } else if !open {
            self.fallback = true;
        }
        self.kept = if self.fallback { Vec::new() } else { self.keep(settings, serving) };
    }

    /// The real servers that failed last, as many as are missing to `never_below`.
    fn keep(&self, settings: &Virtual, serving: u32) -> Vec<usize> {
        let reals = self.reals.iter().zip(&settings.reals);
        let total = reals.filter(|(real, says)| real.counts() && !real.is_idle(says)).count() as u64;
        let least = (total * u64::from(settings.never_below)).div_ceil(100);
        let missing = least.saturating_sub(u64::from(serving));
        let failed = |(_, real): &(usize, &Real)| {
            real.standing == Standing::Down && real.verdict == Verdict::Down && real.admitted
        };
        let mut failed: Vec<(usize, &Real)> = self.reals.iter().enumerate().filter(failed).collect();
        failed.sort_by_key(|(place, real)| (std::cmp::Reverse(real.verdict_since), *place));
        let mut kept: Vec<usize> = failed
            .into_iter()
            .take(usize::try_from(missing).unwrap_or(usize::MAX))
            .map(|(place, _)| place)
            .collect();
        kept.sort_unstable();
        kept
    }

    /// Whether the real server at `place` serves.
    pub fn is_serving(&self, place: usize) -> bool {
        !self.fallback && (self.reals[place].serves() || self.kept.contains(&place))
    }

    /// The entry the kernel shall have.
    pub fn entry(&self, now: Time, settings: &Virtual) -> Entry {
        let leaving = self.leaving.iter();
        let leaving = leaving.map(|(address, leaving)| (*address, Dest { weight: 0, ..leaving.dest }));
        let reals = self.reals.iter().zip(&settings.reals).enumerate().filter_map(|(place, (real, says))| {
            let dest = real.dest(now, settings, says, self.is_serving(place))?;
            Some((real.address, dest))
        });
        let fallback = settings.fallback.filter(|_| self.fallback);
        let fallback =
            fallback.map(|(address, forward)| (address, Dest { weight: 1, forward, upper: 0, lower: 0 }));
        // Of the same address the last one counts. Collected the map has full nodes; filled one by one it has half of
        // each empty.
        let dests = Arc::new(leaving.chain(reals).chain(fallback).collect());
        Entry {
            scheduler: settings.scheduler.clone(),
            flags: settings.flags,
            persistent: settings.persistent,
            netmask: settings.netmask,
            engine: settings.engine.clone(),
            dests,
        }
    }

    /// When something of it changes by itself.
    pub fn wake_at(&self, settings: &Virtual, now: Time) -> Option<Time> {
        let of_real = |(real, says): (&Real, &crate::config::model::Real)| {
            let rise = real.rising_from.and_then(|from| weight::next_step(now, from, settings.slow_start));
            let place = real.place_ends().filter(|_| !real.emptied);
            let stale = real
                .load(says)
                .and_then(|(load, policy)| load.stale_at(policy).filter(|_| !load.is_stale(now, policy)));
            [rise, place, stale].into_iter().flatten().min()
        };
        let reals = self.reals.iter().zip(&settings.reals).filter_map(of_real).min();
        let leaving = self.leaving.values().map(|leaving| leaving.until).min();
        [reals, leaving].into_iter().flatten().min()
    }
}
