//! What operators order, by command and by files in the maintenance folder.

use std::time::Duration;

use base::config::suggest::{listed, nearest};

use super::io::{Level, Order, Override, Place, Time};
use super::{Action, Core};
use crate::table::MAX_WEIGHT;

/// One real server of one virtual service, by their places in the configuration.
type Spot = (usize, usize);

impl Core {
    /// Carries out what `by` orders; gives a sentence.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn order(&mut self, now: Time, by: &str, order: &Order) -> Result<String, String> {
        let said = match order {
            Order::Role { active } => self.set_role(*active, by),
            Order::Drain { real, service, deadline_ms } => {
                let place = Place::Drain { deadline_ms: *deadline_ms };
                let end = deadline_ms.map(|ms| base::config::duration::show(Duration::from_millis(ms)));
                let end = end.map_or("when its connections have ended".into(), |end| {
                    format!("when its connections have ended, in {end} at the latest")
                });
                self.put(
                    now,
                    by,
                    (real, service.as_deref()),
                    Some(place),
                    &format!("drains: it is removed {end}"),
                )
            }
            Order::Maintain { real, service, deadline_ms } => {
                let place = Place::Maintenance { deadline_ms: *deadline_ms };
                self.put(now, by, (real, service.as_deref()), Some(place), "is in maintenance")
            }
            Order::Enable { real, service } => {
                self.put(now, by, (real, service.as_deref()), None, "is no longer out by order")
            }
            Order::Weight { real, service, weight } => {
                self.weigh(now, by, (real, service.as_deref()), *weight)
            }
        };
        self.settle(now);
        said
    }

    fn set_role(&mut self, active: bool, by: &str) -> Result<String, String> {
        let name = |active| if active { "active" } else { "standby" };
        if self.active != active {
            self.active = active;
            let why = format!("ordered by {by}");
            self.say(Level::Info, "role", "director".into(), Some(name(!active)), Some(name(active)), why);
        }
        // Also when it is no news: a sync daemon that somebody stopped runs again.
        self.sync();
        Ok(format!("this director is {}", name(active)))
    }

    fn put(
        &mut self,
        now: Time,
        by: &str,
        (real, service): (&str, Option<&str>),
        place: Option<Place>,
        said: &str,
    ) -> Result<String, String> {
        let spots = self.find(real, service)?;
        self.remember(&spots, by, |kept| kept.place = place);
        for &(at, spot) in &spots {
            let found = &mut self.services[at].reals[spot];
            if found.place().is_some() && place.is_none() {
                // Back into a service that others kept going.
                found.rising_from = Some(now);
            }
            let orders = found.orders.get_or_insert_default();
            orders.place = place;
            orders.place_since = now;
            by.clone_into(&mut orders.by);
            found.emptied = false;
            found.empty_looks = 0;
            self.stand(now, at, spot);
            self.unsettled.insert(at);
        }
        Ok(self.sentence(&spots, said))
    }

    fn weigh(
        &mut self,
        now: Time,
        by: &str,
        (real, service): (&str, Option<&str>),
        weight: Option<u32>,
    ) -> Result<String, String> {
        if let Some(weight) = weight.filter(|weight| *weight > MAX_WEIGHT) {
            return Err(format!("{weight} is no weight: the kernel takes 0 to {MAX_WEIGHT}"));
        }
        let spots = self.find(real, service)?;
        self.remember(&spots, by, |kept| kept.weight = weight);
        for &(at, spot) in &spots {
            self.services[at].reals[spot].orders.get_or_insert_default().weight = weight;
            self.unsettled.insert(at);
            let said = weight.map_or("as configured".to_owned(), |weight| weight.to_string());
            let why = format!("weight by hand, ordered by {by}");
            self.say(Level::Info, "real", self.name(at, spot), None, Some(&format!("weight {said}")), why);
        }
        let _ = now;
        let said = match weight {
            Some(weight) => format!("has weight {weight}"),
            None => "has its configured weight".to_owned(),
        };
        Ok(self.sentence(&spots, &said))
    }

    /// `web1 drains in www and ftp`.
    fn sentence(&self, spots: &[Spot], said: &str) -> String {
        let names: Vec<String> = spots.iter().map(|&(at, spot)| self.name(at, spot)).collect();
        format!("{} {said}", names.join(", "))
    }

    /// The real servers called `real`, by name, address and port, or address alone; of `service` or of all.
    fn find(&self, real: &str, service: Option<&str>) -> Result<Vec<Spot>, String> {
        let virtuals = &self.config.virtuals;
        if let Some(name) = service
            && !virtuals.iter().any(|settings| settings.name == name)
        {
            let names: Vec<&str> = virtuals.iter().map(|settings| settings.name.as_str()).collect();
            return Err(no_such("virtual service", name, &names));
        }
        let wanted = |name: &str| service.is_none_or(|service| service == name);
        let mut spots = Vec::new();
        for (at, settings) in virtuals.iter().enumerate().filter(|(_, settings)| wanted(&settings.name)) {
            let found = settings.reals.iter().enumerate().filter(|(_, says)| is_called(says, real));
            spots.extend(found.map(|(spot, _)| (at, spot)));
        }
        if !spots.is_empty() {
            return Ok(spots);
        }
        let reals =
            virtuals.iter().filter(|settings| wanted(&settings.name)).flat_map(|settings| &settings.reals);
        let mut names: Vec<&str> = reals.map(|says| says.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        Err(no_such("real server", real, &names))
    }

    fn remember(&mut self, spots: &[Spot], by: &str, change: impl Fn(&mut Override)) {
        for &(at, spot) in spots {
            let settings = &self.config.virtuals[at];
            let of_service = self.memory.overrides.entry(settings.name.clone()).or_default();
            let kept = of_service.entry(settings.reals[spot].name.clone()).or_default();
            change(kept);
            by.clone_into(&mut kept.by);
            of_service.retain(|_, kept| kept.place.is_some() || kept.weight.is_some());
        }
        self.memory.overrides.retain(|_, of_service| !of_service.is_empty());
        self.actions.push_back(Action::Remember(self.memory.clone()));
    }

    /// Puts what is remembered onto the real servers that are new.
    pub(super) fn take_orders(&mut self, now: Time) {
        for (at, settings) in self.config.virtuals.iter().enumerate() {
            let Some(of_service) = self.memory.overrides.get(&settings.name) else { continue };
            for (spot, says) in settings.reals.iter().enumerate() {
                let Some(kept) = of_service.get(&says.name) else { continue };
                let orders = self.services[at].reals[spot].orders.get_or_insert_default();
                orders.weight = kept.weight;
                if orders.place != kept.place {
                    orders.place = kept.place;
                    orders.place_since = now;
                }
                orders.by.clone_from(&kept.by);
            }
        }
        self.take_files(now);
    }

    /// Puts the real servers there are files for into maintenance, and the others out of it.
    pub(super) fn take_files(&mut self, now: Time) {
        for at in 0..self.services.len() {
            for spot in 0..self.services[at].reals.len() {
                let says = &self.config.virtuals[at].reals[spot];
                let by_file = self.files.iter().any(|name| is_called(says, name));
                let real = &mut self.services[at].reals[spot];
                if std::mem::replace(&mut real.by_file, by_file) && !by_file {
                    real.rising_from = Some(now);
                }
                self.stand(now, at, spot);
            }
        }
    }
}

/// Whether `name` is the name of a real server, its address, or either with its port.
fn is_called(says: &crate::config::model::Real, name: &str) -> bool {
    says.name == name
        || says.address.to_string() == name
        || says.address.ip().to_string() == name
        || name
            .rsplit_once(':')
            .is_some_and(|(host, port)| says.name == host && port.parse() == Ok(says.address.port()))
}

fn no_such(what: &str, name: &str, names: &[&str]) -> String {
    let shown = base::config::table::shown(name);
    match nearest(name, names.iter().copied()) {
        Some(meant) => format!("there is no {what} '{shown}': did you mean '{meant}'?"),
        None => {
            let some: Vec<&str> = names.iter().take(20).copied().collect();
            let more = if names.len() > some.len() { " and others" } else { "" };
            format!("there is no {what} '{shown}': there are {}{more}", listed(&some))
        }
    }
}
