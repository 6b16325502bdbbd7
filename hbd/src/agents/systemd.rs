//! systemd units as resources, through `systemctl`.
//!
//! | `ActiveState` | status | why |
//! |---|---|---|
//! | `active`, `reloading`, `refreshing` | running | |
//! | `activating`, `deactivating` | running | some of its processes may live: not a state in which anyone else may start it |
//! | `activating` (`auto-restart…`) | failed | its process died and systemd is waiting to try again |
//! | `inactive` | not running | unless the unit does not exist: failed |
//! | `failed` | not running | the result is logged |
//! | `maintenance`, others | failed | |
//!
//! `systemctl start` and `stop` wait for the job's end. When one of them is killed at its timeout, systemd goes on with the job;
//! the `stop` that follows a failed start replaces it. A stop of a unit that does not exist has succeeded.
//! Looks at many units at once are one call, see `units.rs`.

use std::ffi::OsString;
use std::time::Duration;

use cluster::{OpKind, OpResult};
use tokio::time::Instant;

use super::output::Chatter;
use super::process::{self, Call, End, Ended};
use super::units::Trouble;
use super::{Outcome, Runner, environment, failure};
use crate::config::Resource;

/// What is asked of `systemctl show`.
pub(super) const PROPERTIES: &str = "LoadState,ActiveState,SubState,Result";

impl Runner {
    pub(super) async fn systemd(
        &self,
        unit: &str,
        group: &str,
        resource: &Resource,
        op: OpKind,
        timeout: Duration,
    ) -> Outcome {
        let action = match op {
            OpKind::Status => return self.look(unit, group, resource, timeout).await,
            OpKind::Start => "start",
            OpKind::Stop => "stop",
        };
        let args = ["--no-ask-password", action, "--", unit];
        let ended = self.systemctl(&args, action, Chatter::Plain, group, resource, timeout).await;
        let mut result = match &ended.end {
            End::Exit(0) => OpResult::Ok,
            End::TimedOut => OpResult::TimedOut,
            _ => failure(&self.settings.systemctl, action, &ended, None),
        };
        if op == OpKind::Stop
            && let End::Exit(_) = ended.end
            && result != OpResult::Ok
        {
            let left = timeout.saturating_sub(ended.took);
            let now = self.units.look(&self.settings, unit, left).await;
            if now.is_ok_and(|state| state.load == "not-found" && state.active == "inactive") {
                result = OpResult::Ok;
            }
        }
        Outcome::of(result, ended)
    }

    async fn look(&self, unit: &str, group: &str, resource: &Resource, timeout: Duration) -> Outcome {
        let began = Instant::now();
        let result = match self.units.look(&self.settings, unit, timeout).await {
            Ok(state) => {
                if state.active == "failed" {
                    tracing::info!(
                        target: "agent", group, resource = resource.name.as_str(), op = "status",
                        "{unit} has failed, systemd says: {}", state.result
                    );
                }
                state.judge(unit)
            }
            Err(Trouble::TimedOut) => OpResult::TimedOut,
            Err(Trouble::Failed(why)) => OpResult::Failed(why),
        };
        Outcome { result, took: began.elapsed(), output_tail: String::new() }
    }

    async fn systemctl(
        &self,
        args: &[&str],
        action: &'static str,
        chatter: Chatter,
        group: &str,
        resource: &Resource,
        timeout: Duration,
    ) -> Ended {
        process::execute(Call {
            program: self.settings.systemctl.clone(),
            args: args.iter().map(OsString::from).collect(),
            input: None,
            user: None,
            env: environment::of(&self.settings, group, resource, action, timeout, false),
            scratch: self.settings.scratch.clone(),
            at_work: self.settings.at_work.clone(),
            label: self.label(group, resource, action, chatter),
            timeout,
        })
        .await
    }
}

/// What `systemctl show` tells of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnitState {
    load: String,
    active: String,
    sub: String,
    result: String,
}

impl UnitState {
    /// Reads `Key=value` lines; `None` if there is no `ActiveState`.
    pub(super) fn parse(text: &str) -> Option<UnitState> {
        let mut state = UnitState::default();
        for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
            let field = match key {
                "LoadState" => &mut state.load,
                "ActiveState" => &mut state.active,
                "SubState" => &mut state.sub,
                "Result" => &mut state.result,
                _ => continue,
            };
            *field = value.to_owned();
        }
        (!state.active.is_empty()).then_some(state)
    }

    fn judge(&self, unit: &str) -> OpResult {
        match self.active.as_str() {
            "activating" if self.sub.starts_with("auto-restart") => OpResult::Failed(format!(
                "{unit}: its process has ended ({}) and systemd is waiting to start it again",
                self.result
            )),
            "active" | "reloading" | "refreshing" | "activating" | "deactivating" => OpResult::Running,
            "failed" => OpResult::NotRunning,
            "inactive" if self.load == "not-found" => OpResult::Failed(format!(
                "{unit}: systemd finds no such unit; install it, and `systemctl daemon-reload`"
            )),
            "inactive" => OpResult::NotRunning,
            other => OpResult::Failed(format!(
                "{unit}: unclear state {other}/{} (load {}, result {})",
                self.sub, self.load, self.result
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(load: &str, active: &str, sub: &str) -> OpResult {
        let text = format!("Result=exit-code\nActiveState={active}\nSubState={sub}\nLoadState={load}\n");
        UnitState::parse(&text).expect("a state").judge("web.service")
    }

    #[test]
    fn each_state_has_its_answer() {
        assert_eq!(judge("loaded", "active", "running"), OpResult::Running);
        assert_eq!(judge("loaded", "active", "exited"), OpResult::Running);
        assert_eq!(judge("not-found", "active", "running"), OpResult::Running);
        assert_eq!(judge("loaded", "reloading", "reload"), OpResult::Running);
        assert_eq!(judge("loaded", "activating", "start-pre"), OpResult::Running);
        assert_eq!(judge("loaded", "deactivating", "stop-sigterm"), OpResult::Running);
        assert_eq!(judge("loaded", "inactive", "dead"), OpResult::NotRunning);
        assert_eq!(judge("masked", "inactive", "dead"), OpResult::NotRunning);
        assert_eq!(judge("loaded", "failed", "failed"), OpResult::NotRunning);
        for (load, active, sub) in [
            ("not-found", "inactive", "dead"),
            ("loaded", "activating", "auto-restart"),
            ("loaded", "maintenance", "x"),
        ] {
            assert!(matches!(judge(load, active, sub), OpResult::Failed(_)), "{load} {active} {sub}");
        }
    }

    #[test]
    fn an_answer_without_a_state_is_none() {
        assert_eq!(UnitState::parse(""), None);
        assert_eq!(UnitState::parse("ActiveState=\nSubState=running"), None);
        assert_eq!(UnitState::parse("nonsense"), None);
    }
}
