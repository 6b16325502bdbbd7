//! One real server of one virtual service.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::alerts::Told;
use super::health::{Health, Verdict};
use super::io::{Place, Time};
use super::weight::{self, Load};
use crate::config::model::{Real as Settings, Virtual};
use crate::kernel::DestCounters;
use crate::load::{Policy, Wish};
use crate::table::Dest;

/// Looks at the table without a connection until a drained server counts as empty: one that was just on its way to
/// it when it was drained is seen by then.
const EMPTY_LOOKS: u32 = 2;

/// Where a real server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known of it yet.
    Unknown,
    /// In service.
    Up,
    /// Its checks fail, or it says itself that it is down.
    Down,
    /// Finishing its connections.
    Drain,
    /// Out by order.
    Maintenance,
}

impl Standing {
    /// As `status` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Unknown => "unknown",
            Standing::Up => "up",
            Standing::Down => "down",
            Standing::Drain => "drain",
            Standing::Maintenance => "maintenance",
        }
    }
}

/// What is known of a real server.
#[derive(Clone, Debug)]
pub struct Real {
    /// Its address.
    pub address: SocketAddr,
    /// One for each of its checks.
    pub health: Vec<Health>,
    /// What they say together.
    pub verdict: Verdict,
    /// Since when it stands where it stands.
    pub since: Time,
    /// Where it stands.
    pub standing: Standing,
    /// Why.
    pub why: Cow<'static, str>,
    /// Since when its checks say so.
    pub verdict_since: Time,
    /// What the kernel had of it when the director came, until its checks have spoken.
    pub found: Option<u32>,
    /// It has been in service.
    pub admitted: bool,
    /// When it came back into a service that others were serving.
    pub rising_from: Option<Time>,
    /// What was ordered for it. Few have any: those that have none need no room for it.
    pub orders: Option<Box<Orders>>,
    /// Out by a file in the maintenance folder.
    pub by_file: bool,
    /// Drained to the end: it is removed.
    pub emptied: bool,
    /// Looks at the table in a row without a connection.
    pub empty_looks: u32,
    /// Its load, if it was heard of.
    pub load: Option<Box<Load>>,
    /// Its connections at the last look.
    pub counters: DestCounters,
    /// What was told of it.
    pub told: Vec<Told>,
}

/// What was ordered for a real server.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Its weight.
    pub weight: Option<u32>,
    /// Out.
    pub place: Option<Place>,
    /// Since when.
    pub place_since: Time,
    /// Who ordered it, and the weight.
    pub by: String,
}

impl Real {
    /// One of which nothing is known.
    pub fn new(now: Time, settings: &Settings) -> Real {
        // A server that is not checked is up: there is nothing to wait for.
        let verdict = if settings.checks.is_empty() { Verdict::Up } else { Verdict::Unknown };
        Real {
            address: settings.address,
            health: settings.checks.iter().map(|_| Health::new(Verdict::Unknown)).collect(),
            verdict,
            since: now,
            standing: Standing::Unknown,
            why: "not checked yet".into(),
            verdict_since: now,
            found: None,
            admitted: false,
            rising_from: None,
            orders: None,
            by_file: false,
            emptied: false,
            empty_looks: 0,
            load: None,
            counters: DestCounters::default(),
            told: Vec::new(),
        }
    }

    /// What its checks say together.
    pub fn sum_of_checks(&self) -> Verdict {
        let any = |verdict| self.health.iter().any(|health| health.verdict == verdict);
        match () {
            () if any(Verdict::Down) => Verdict::Down,
            () if any(Verdict::Unknown) => Verdict::Unknown,
            () => Verdict::Up,
        }
    }

    /// Out by order.
    pub fn place(&self) -> Option<Place> {
        self.orders.as_ref()?.place
    }

    /// Its weight by hand.
    pub fn by_hand(&self) -> Option<u32> {
        self.orders.as_ref()?.weight
    }

    /// Who ordered what was ordered.
    pub fn by(&self) -> &str {
        self.orders.as_ref().map_or("", |orders| &orders.by)
    }

    /// Its load, and what is to be made of that.
    pub fn load<'a>(&'a self, settings: &'a Settings) -> Option<(&'a Load, &'a Policy)> {
        self.load.as_deref().zip(settings.load.as_deref())
    }

    /// Where it stands now, and why.
    pub fn stands(&self, now: Time, settings: &Settings) -> (Standing, Cow<'static, str>) {
        match self.place() {
            _ if self.by_file => {
                return (Standing::Maintenance, "there is a file for it in the maintenance folder".into());
            }
            Some(Place::Maintenance { .. }) => {
                return (Standing::Maintenance, format!("ordered by {}", self.by()).into());
            }
            Some(Place::Drain { .. }) if self.emptied => {
                return (Standing::Drain, format!("ordered by {}; removed", self.by()).into());
            }
            Some(Place::Drain { .. }) => {
                return (Standing::Drain, format!("ordered by {}", self.by()).into());
            }
            None => {}
        }
        match self.verdict {
            Verdict::Down => return (Standing::Down, self.first_error().into()),
            Verdict::Unknown => return (Standing::Unknown, self.waiting_for().into()),
            Verdict::Up => {}
        }
        let said =
            self.load(settings).and_then(|(load, policy)| Some((load.wish(now, policy)?, load.words())));
        let (standing, why, words) = match said {
            Some((Wish::Down, words)) => (Standing::Down, "it says itself that it is down", words),
            Some((Wish::Drain, words)) => (Standing::Drain, "it wants no new connections", words),
            Some((Wish::Maintenance, words)) => (Standing::Maintenance, "it wants maintenance", words),
            Some((Wish::Up, _)) | None => return (Standing::Up, good_because(settings).into()),
        };
        (standing, words.map_or(why.into(), |words| format!("{why}: {words}").into()))
    }

    fn waiting_for(&self) -> String {
        let error = self.health.iter().find_map(|health| health.error());
        error.map_or_else(|| "not checked yet".to_owned(), |error| format!("not seen good yet: {error}"))
    }

    /// What is wrong with it.
    pub fn first_error(&self) -> String {
        let down = self.health.iter().filter(|health| health.verdict == Verdict::Down);
        down.filter_map(Health::error).next().unwrap_or("its checks failed").to_owned()
    }

    /// Whether it takes part in what quorum, fallback and panic threshold count.
    pub fn counts(&self) -> bool {
        !matches!(self.standing, Standing::Drain | Standing::Maintenance)
    }

    /// Whether it serves, as far as it alone is concerned; so does one that was found at work and has not been
    /// checked yet.
    pub fn serves(&self) -> bool {
        self.standing == Standing::Up
            || (self.standing == Standing::Unknown && self.found.is_some_and(|w| w > 0))
    }

    /// Whether it is good and yet given nothing new: its weight is 0, by configuration or by hand.
    pub fn is_idle(&self, settings: &Settings) -> bool {
        self.standing == Standing::Up && self.by_hand().unwrap_or(settings.weight) == 0
    }

    /// Whether it is still open what it will be.
    pub fn is_open(&self) -> bool {
        self.standing == Standing::Unknown && !self.serves()
    }

    /// Its weight while it serves.
    pub fn weight(&self, now: Time, service: &Virtual, settings: &Settings) -> u32 {
        if let (Standing::Unknown, Some(found)) = (self.standing, self.found) {
            return found;
        }
        let mut weight = self.by_hand().unwrap_or(settings.weight);
        if let (None, Some((load, policy))) = (self.by_hand(), self.load(settings)) {
            weight = load.of(now, policy, weight);
        }
        match self.rising_from {
            Some(from) => weight::rising(now, from, service.slow_start, weight),
            None => weight,
        }
    }

    /// As the kernel shall have it, if it shall; `serving` as the service decides.
    pub fn dest(&self, now: Time, service: &Virtual, settings: &Settings, serving: bool) -> Option<Dest> {
        let at = |weight| {
            Some(Dest { weight, forward: settings.forward, upper: settings.upper, lower: settings.lower })
        };
        if serving {
            return at(self.weight(now, service, settings));
        }
        let known = self.admitted || self.found.is_some();
        match self.standing {
            Standing::Drain if self.emptied || !known => None,
            Standing::Drain => at(0),
            Standing::Maintenance if self.emptied => None,
            // As it was found, until its checks have spoken.
            Standing::Unknown if known => at(0),
            // It finishes its connections, whoever is given the new ones.
            Standing::Up if self.is_idle(settings) => at(0),
            _ if service.quiescent && known => at(0),
            _ => None,
        }
    }

    /// Whether it finishes its connections by order, and has not yet.
    pub fn is_draining(&self) -> bool {
        matches!(self.place(), Some(Place::Drain { .. })) && !self.emptied
    }

    /// When an order to take it out ends, if it has an end.
    pub fn place_ends(&self) -> Option<Time> {
        let orders = self.orders.as_ref()?;
        match orders.place? {
            Place::Drain { deadline_ms } | Place::Maintenance { deadline_ms } => {
                Some(orders.place_since + std::time::Duration::from_millis(deadline_ms?))
            }
        }
    }

    /// Takes in what a look at the table showed; whether it is empty now that it is drained.
    pub fn watch(&mut self, counters: DestCounters, counts_inactive: bool) -> bool {
        self.counters = counters;
        let open = counters.active + if counts_inactive { counters.inactive } else { 0 };
        self.empty_looks = if open == 0 { self.empty_looks.saturating_add(1) } else { 0 };
        let empty = self.is_draining() && self.empty_looks >= EMPTY_LOOKS;
        self.emptied |= empty;
        empty
    }
}

fn good_because(settings: &Settings) -> &'static str {
    match settings.checks.len() {
        0 => "it is not checked",
        _ => "its checks are good",
    }
}
