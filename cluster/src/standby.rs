//! Taking this node out and letting it take part again.

use proto::GroupState;

use crate::command::{Origin, Part, Pending};
use crate::core::Core;
use crate::event::Level;
use crate::group::Local;
use crate::life::Phase;

/// Whether this node is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StandbyState {
    /// It takes part.
    Off,
    /// Its groups are being handed over; if that fails it stays in.
    Going,
    /// It takes nothing.
    On,
}

impl Core {
    pub(crate) fn go_standby(&mut self, origin: Origin, force: bool) -> Pending {
        if self.standby == StandbyState::On {
            return Pending::done(origin, "already on standby");
        }
        if let Some(why) = self.not_now() {
            return Pending::refused(origin, why);
        }
        for g in 0..self.groups.len() {
            let group = &self.groups[g];
            if group.local == Local::Blocked {
                return Pending::refused(
                    origin,
                    format!("{} is blocked here: {}", group.settings.name, group.why),
                );
            }
            if group.held() && self.heir(g).is_none() && !force {
                let why = self.why_nobody(g);
                let (name, me) = (&self.groups[g].settings.name, &self.settings.me);
                return Pending::refused(
                    origin,
                    format!(
                        "nobody can take {name} ({why}); on {me} hbctl standby --force stops it all the same"
                    ),
                );
            }
        }
        self.standby = if force { StandbyState::On } else { StandbyState::Going };
        self.changes += 1;
        self.news = true;
        Pending { parts: vec![Part::Standby], ..Pending::new(origin) }
    }

    pub(crate) fn go_online(&mut self, origin: Origin) -> Pending {
        if self.standby == StandbyState::Off {
            return Pending::done(origin, "already online");
        }
        self.end_standby("ordered online");
        Pending::done(origin, "online")
    }

    fn end_standby(&mut self, why: &str) {
        self.standby = StandbyState::Off;
        self.changes += 1;
        self.news = true;
        let me = self.settings.me.clone();
        self.event(Level::Info, "node", &me, Some("standby"), Some("online"), why.to_owned());
        for pending in &mut self.pending {
            if pending.parts.contains(&Part::Standby) {
                pending.parts.retain(|part| *part != Part::Standby);
                pending.failed.push(format!("standby was given up: {why}"));
            }
        }
    }

    /// The heir could not do it: this node stays in and takes the group back.
    pub(crate) fn cancel_standby(&mut self, g: usize) {
        let why =
            format!("{} found nobody else to run it: {}", self.groups[g].settings.name, self.why_nobody(g));
        self.end_standby(&why);
    }

    /// A node going on standby is there when all of its groups run elsewhere.
    pub(crate) fn settle_standby(&mut self) {
        if self.standby != StandbyState::Going || self.phase != Phase::Up {
            return;
        }
        for g in 0..self.groups.len() {
            let group = &self.groups[g];
            let id = group.id;
            let stuck = group.local == Local::Blocked
                || group.local == Local::Started && self.heir(g).is_none() && self.doubt.is_none();
            if stuck {
                return self.cancel_standby(g);
            }
            // Only when the heir is settled is it known whether the group must come back.
            let unsettled = |peer: &crate::peer::Peer| {
                let state = peer.report(id).filter(|_| peer.live()).map(|report| report.state);
                matches!(state, Some(GroupState::Starting | GroupState::Stopping))
            };
            let here = group.local != Local::Stopped || group.release.is_some();
            if here || self.peers.iter().any(unsettled) {
                return;
            }
        }
        self.standby = StandbyState::On;
        self.changes += 1;
        self.news = true;
        let me = self.settings.me.clone();
        self.event(
            Level::Info,
            "node",
            &me,
            Some("online"),
            Some("standby"),
            "its groups are handed over".to_owned(),
        );
    }
}
