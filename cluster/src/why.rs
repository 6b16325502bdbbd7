//! Why a group is where it is, for people: rule by rule.

use crate::core::Core;
use crate::group::{Local, Resource};
use crate::life::Phase;
use crate::recover::{HOUR, TAKES};
use crate::report::{millis, times};
use crate::settings::{Failback, OnFail};
use crate::standby::StandbyState;
use crate::time::Time;

impl Core {
    /// Why a group is where it is, rule by rule; `None` if there is no such group.
    pub fn why(&self, now: Time, name: &str) -> Option<Vec<String>> {
        let g = self.groups.iter().position(|group| group.settings.name == name)?;
        let group = &self.groups[g];
        let status = self.group_status(group, now);
        let mut lines = vec![match &status.owner {
            Some(owner) => format!("{name} is {} on {owner}, epoch {}", status.state, status.epoch),
            None => format!("{name} is {}; nobody owns it, last epoch {}", status.state, group.known),
        }];
        lines.push(format!(
            "here it is {}, for {} s: {}",
            group.local.word(),
            status.since_ms / 1000,
            group.why
        ));
        if let Some(hold) = &group.hold {
            lines.push(format!("it is not taken here: {hold}"));
        }
        lines.extend(self.why_failures(g, now));
        lines.push(match self.unable_here(g) {
            None => "this node would take it".to_owned(),
            Some(why) => format!("this node would not take it: {why}"),
        });
        for peer in &self.peers {
            lines.push(match self.why_not(peer.id, g) {
                None => format!("{} would take it", peer.name),
                Some(why) => format!("{} would not take it: {why}", peer.name),
            });
        }
        if let Some(home) = &group.settings.preferred {
            let policy = match self.settings.failback {
                Failback::Off => "auto_failback is off: it stays where it is",
                Failback::On { .. } if group.stay => {
                    "moved away by order: it stays until that node was away, or hbctl failback"
                }
                Failback::On { .. } => "auto_failback is on",
            };
            lines.push(format!("its preferred node is {home}; {policy}"));
        }
        if let Some(until) = self.damped_until(group) {
            lines.push(format!(
                "it was taken here {TAKES} times within an hour: it does not go home by itself for {}",
                span(millis(until, now))
            ));
        }
        lines.push(format!("requires = {}", status.requires));
        lines.extend(self.why_certain(g));
        if let Some((timer, at)) = self.waiting_for() {
            lines.push(format!("the daemon waits for {timer}, in {} ms", millis(at, now)));
        }
        Some(lines)
    }

    fn unable_here(&self, g: usize) -> Option<String> {
        if self.maintenance.on {
            Some("the cluster is in maintenance".to_owned())
        } else if self.standby != StandbyState::Off {
            Some("it is on standby".to_owned())
        } else if self.phase != Phase::Up {
            Some("it is joining or leaving".to_owned())
        } else if self.groups[g].local == Local::Blocked {
            Some("it is blocked here (hbctl cleanup)".to_owned())
        } else if self.groups[g].failed {
            Some("it failed here (hbctl cleanup)".to_owned())
        } else if let Some((_, why)) = &self.groups[g].cut_off {
            Some(why.clone())
        } else if !self.witness_allows(g) {
            Some(self.why_no_lease())
        } else {
            let wrong = |peer| format!("{peer} says that it cannot work as it is configured (hbctl cleanup)");
            self.says_wrong(g).map(wrong)
        }
    }

    /// What has failed here and still counts, until when, and what the next failure would lead to.
    fn why_failures(&self, g: usize, now: Time) -> Vec<String> {
        let group = &self.groups[g];
        let failed = group.resources.iter().filter(|resource| resource.failures > 0);
        let mut lines: Vec<String> = failed.map(|resource| self.why_failed(resource, now)).collect();
        if let Some(until) = group.rests_until.filter(|_| group.failed) {
            let rest = span(millis(until, now));
            lines.push(format!("it failed here: this node rests from it for {rest}, or until hbctl cleanup"));
        }
        if group.wrong {
            lines.push("it cannot work on any node as it is configured, so no other node tries".to_owned());
        }
        let turn = group.fenced_at.map(|at| at + HOUR).filter(|until| *until > now);
        if let Some(until) = turn {
            let rest = span(millis(until, now));
            lines.push(format!("another node was fenced for it: this one will not ask to be, for {rest}"));
        }
        lines
    }

    fn why_failed(&self, resource: &Resource, now: Time) -> String {
        let settings = &resource.settings;
        let error = resource.last_error.as_deref().unwrap_or("no reason given");
        let mut line = format!("{} failed here {}, last: {error}", settings.name, times(resource.failures));
        let used = u32::try_from(resource.care.failed_at.len()).unwrap_or(u32::MAX);
        if matches!(settings.on_fail, OnFail::Restart | OnFail::Ignore) {
            let left = settings.restarts.saturating_sub(used);
            line += &format!("; restarts in place left: {left} of {}", settings.restarts);
        }
        line += match settings.on_fail {
            OnFail::Restart | OnFail::Move => "; then its group moves",
            OnFail::Ignore => "; then it is left alone",
            OnFail::Block => "; each failure blocks its group",
            OnFail::Fence => "; each failure has this node fenced",
        };
        if let Some(until) = resource.failures_expire() {
            line += &format!("; forgotten in {}", span(millis(until, now)));
        }
        line
    }
}

/// A time for people, to the second.
fn span(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}
