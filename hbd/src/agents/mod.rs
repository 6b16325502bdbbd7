//! The executor of resource agents: one operation of one agent, in bounded time.
//!
//! ```text
//!  Runner::run ──▶ spawn, in a process group of its own ──▶ the leader exits ──▶ verdict ──▶ OpResult
//!                    │ stdout, stderr, line by line           │
//!                    ▼                                        │ timeout: TERM to the group, a grace,
//!                  tracing, target "agent"                    ▼          KILL to the group
//!                                                          TimedOut
//! ```
//!
//! An operation is over when the *leader* (the process started here) has ended. What it left in the background is
//! none of our business after that: a daemon put up by `start` lives on, even if it stayed in the
//! leader's process group or holds its output open. Only a timeout, or dropping the future of
//! [`Runner::run`], kills the whole group. A process that has left the group (`setsid`) is out of reach: what a
//! killed `start` has set going that way is for the `stop` that follows it.
//!
//! # How the answers are read
//!
//! | class | start, stop | status |
//! |---|---|---|
//! | Heartbeat | exit 0 is success | the text on stdout decides, the exit code if it is silent: [`verdict`] |
//! | `lsb:` | exit 0 is success; so is 7, "not running", of a stop | by exit code: [`verdict`] |
//! | `ocf:` | exit 0 is success; so is 7, "not running", of a stop | `monitor`, by exit code: [`verdict`] |
//! | `systemd:` | `systemctl start`, `systemctl stop` | `systemctl show`: [`systemd`] |
//!
//! For every class: dead by a signal, not executable, exit 126 and 127 (a shell's "cannot execute" and "not
//! found") are failures, each with its sentence.
//!
//! # What an agent gets
//!
//! Standard input `/dev/null`, the working directory `/`, no descriptor of hbd's (all are close-on-exec), no
//! blocked signal, and an environment of our own making (see [`environment`]). The signals hbd handles, and SIGPIPE,
//! are at their defaults; others stay ignored only where hbd itself was started with them ignored (`nohup`).

mod advice;
pub mod environment;
mod metadata;
pub(crate) mod output;
pub(crate) mod process;
mod program;
mod spawn;
pub mod survivors;
pub mod systemd;
mod units;
pub mod verdict;

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::{OpKind, OpResult};
use tokio::sync::Semaphore;

use crate::config::{Agent, Resource};
pub use advice::advice;
pub use metadata::{Action, Metadata, Parameter};
use output::{Chatter, Label};
use process::{Call, End, Ended};
pub use program::{Program, ProgramEnd};
use units::Units;
use verdict::{Class, Verdict};

/// How many outputs held open by daemons that a `start` left behind are read on, at most.
const LEFTOVERS: usize = 64;

/// OCF's "not installed".
const NOT_INSTALLED: i32 = 5;

/// What a [`Runner`] must know.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// This node's name (`HA_CURHOST`, `HBD_NODE`).
    pub node: String,
    /// The cluster's name (`HBD_CLUSTER`).
    pub cluster: String,
    /// Where agents keep what must not survive a reboot (`HA_RSCTMP`); made if it is missing.
    pub scratch: PathBuf,
    /// Where OCF agents and their libraries are (`OCF_ROOT`).
    pub ocf_root: PathBuf,
    /// The `systemctl` to be called.
    pub systemctl: PathBuf,
    /// Lines of output logged for one operation; the rest is counted.
    pub max_lines: usize,
    /// Where agents at work are written down, for [`survivors::end`]; made if it is missing. `None`: nowhere.
    pub at_work: Option<PathBuf>,
}

impl RunnerSettings {
    /// The usual settings: `ocf_root` `/usr/lib/ocf`, `systemctl` `/usr/bin/systemctl`, 200 lines, agents at work not
    /// written down.
    pub fn new(node: impl Into<String>, cluster: impl Into<String>, scratch: impl Into<PathBuf>) -> Self {
        RunnerSettings {
            node: node.into(),
            cluster: cluster.into(),
            scratch: scratch.into(),
            ocf_root: PathBuf::from("/usr/lib/ocf"),
            systemctl: PathBuf::from("/usr/bin/systemctl"),
            max_lines: 200,
            at_work: None,
        }
    }
}

/// How one operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For the core.
    pub result: OpResult,
    /// How long it took.
    pub took: Duration,
    /// The last 2 KiB, about, of what it wrote, made printable.
    pub output_tail: String,
}

impl Outcome {
    fn of(result: OpResult, ended: Ended) -> Outcome {
        Outcome { result, took: ended.took, output_tail: ended.tail }
    }

    fn refused(why: String) -> Outcome {
        Outcome { result: OpResult::Failed(why), took: Duration::ZERO, output_tail: String::new() }
    }
}

/// Runs operations of agents. Any number may be under way at once; that there is only one per
/// resource is the caller's care.
///
/// The futures must be polled on a tokio runtime with I/O and time enabled.
#[derive(Debug)]
pub struct Runner {
    settings: RunnerSettings,
    /// Resources known to run, by group and name: a look at any other is a probe.
    running: Mutex<HashSet<(String, String)>>,
    leftovers: Arc<Semaphore>,
    units: Arc<Units>,
}

impl Runner {
    /// A runner; starts nothing yet.
    pub fn new(settings: RunnerSettings) -> Runner {
        Runner {
            settings,
            running: Mutex::default(),
            leftovers: Arc::new(Semaphore::new(LEFTOVERS)),
            units: Arc::default(),
        }
    }

    /// One operation on one resource of a group.
    ///
    /// Returns at the latest after `timeout`, a grace between TERM and KILL of a quarter of it (at least 200 ms, at most
    /// 5 s) and one second more for the kernel to bury the dead. Dropping the future kills what it
    /// started. Never panics; whatever goes wrong is an [`OpResult::Failed`], or one
    /// of its two graver kinds, that says what.
    ///
    /// [`Agent::Address`] is not run here: the daemon sets addresses itself.
    pub async fn run(&self, group: &str, resource: &Resource, op: OpKind, timeout: Duration) -> Outcome {
        let outcome = match &resource.agent {
            Agent::Address(_) => Outcome::refused(format!(
                "internal: the built-in address {} was given to the executor of agents; please report this",
                resource.name
            )),
            Agent::Heartbeat { path, args, .. } => {
                self.script(Class::Heartbeat, path, args, group, resource, op, timeout).await
            }
            Agent::Lsb { path } => self.script(Class::Lsb, path, &[], group, resource, op, timeout).await,
            Agent::Ocf { path, .. } => self.script(Class::Ocf, path, &[], group, resource, op, timeout).await,
            Agent::Systemd { unit } => self.systemd(unit, group, resource, op, timeout).await,
        };
        self.remember(group, resource, op, &outcome.result);
        outcome
    }

    /// Asks an OCF agent whether the resource's parameters can work on this machine (`validate-all`).
    ///
    /// `Ok`, or `Failed` with the reason; `Failed` too for any other class. Bounded as [`Runner::run`].
    pub async fn ocf_validate(&self, group: &str, resource: &Resource, timeout: Duration) -> Outcome {
        let Agent::Ocf { path, .. } = &resource.agent else {
            return Outcome::refused(not_ocf(resource));
        };
        let label = self.label(group, resource, "validate-all", Chatter::Severities);
        let ended = process::execute(self.call(path, &[], label, resource, timeout)).await;
        let result = match &ended.end {
            End::Exit(0) => OpResult::Ok,
            End::TimedOut => OpResult::TimedOut,
            End::Exit(code) => failure(path, "validate-all", &ended, Class::Ocf.meaning(*code)),
            _ => failure(path, "validate-all", &ended, None),
        };
        Outcome::of(result, ended)
    }

    /// What an OCF agent says of itself (`meta-data`); fails, with a sentence, if it cannot be run or understood, and
    /// for any other class. Bounded as [`Runner::run`].
    pub async fn ocf_metadata(&self, resource: &Resource, timeout: Duration) -> Result<Metadata, String> {
        let Agent::Ocf { path, .. } = &resource.agent else {
            return Err(not_ocf(resource));
        };
        let mut label = self.label("", resource, "meta-data", Chatter::Data);
        label.capture = metadata::MAX_BYTES;
        let ended = process::execute(self.call(path, &[], label, resource, timeout)).await;
        match &ended.end {
            End::Exit(0) => metadata::parse(&String::from_utf8_lossy(&ended.stdout))
                .map_err(|e| format!("the meta-data of {} cannot be understood: {e}", path.display())),
            End::Exit(code) => Err(sentence(path, "meta-data", &ended, Class::Ocf.meaning(*code))),
            _ => Err(sentence(path, "meta-data", &ended, None)),
        }
    }

    /// One operation of one of the three classes that are called with the action as the last argument.
    #[allow(clippy::too_many_arguments)] // what Runner::run has, taken apart
    async fn script(
        &self,
        class: Class,
        path: &Path,
        args: &[String],
        group: &str,
        resource: &Resource,
        op: OpKind,
        timeout: Duration,
    ) -> Outcome {
        let action = class.action(op);
        let chatter = match (class, op) {
            (Class::Ocf, _) => Chatter::Severities,
            // A look is repeated for ever: what it says each time is not worth a line at the usual level.
            (_, OpKind::Status) => Chatter::Routine,
            _ => Chatter::Plain,
        };
        let label = self.label(group, resource, action, chatter);
        let known = self.is_running(group, &resource.name);
        let mut ended = process::execute(self.call(path, args, label, resource, timeout)).await;
        if op == OpKind::Start
            && ended.end == End::Exit(0)
            && let Some(rest) = ended.rest.take()
        {
            rest.read_on(&self.leftovers);
        }
        let result = match &ended.end {
            End::TimedOut => OpResult::TimedOut,
            End::Exit(code) => match class.judge(op, *code, &String::from_utf8_lossy(&ended.stdout)) {
                Verdict::Done => OpResult::Ok,
                Verdict::Running => OpResult::Running,
                Verdict::NotRunning => OpResult::NotRunning,
                // On a node that is not to have it, it may well be missing.
                Verdict::Hopeless(_) if op == OpKind::Status && *code == NOT_INSTALLED && !known => {
                    OpResult::NotRunning
                }
                Verdict::Bad(meaning) => failure(path, action, &ended, meaning),
                Verdict::Hopeless(why) => OpResult::Hopeless(sentence(path, action, &ended, Some(why))),
                Verdict::Misconfigured(why) => {
                    OpResult::Misconfigured(sentence(path, action, &ended, Some(why)))
                }
            },
            End::Signal(_) | End::Told | End::Broken(_) => failure(path, action, &ended, None),
        };
        Outcome::of(result, ended)
    }

    fn label(&self, group: &str, resource: &Resource, action: &'static str, chatter: Chatter) -> Label {
        Label {
            group: group.to_owned(),
            resource: resource.name.clone(),
            action,
            chatter,
            max_lines: self.settings.max_lines,
            capture: output::CAPTURE,
            secrets: Arc::default(),
        }
    }

    /// The call `path ARG… ACTION` with the environment of its class.
    fn call(
        &self,
        path: &Path,
        args: &[String],
        label: Label,
        resource: &Resource,
        timeout: Duration,
    ) -> Call {
        let known = self.is_running(&label.group, &resource.name);
        let env = environment::of(&self.settings, &label.group, resource, label.action, timeout, known);
        let args = args.iter().map(OsString::from).chain([OsString::from(label.action)]).collect();
        let (scratch, at_work) = (self.settings.scratch.clone(), self.settings.at_work.clone());
        Call {
            program: path.to_owned(),
            args,
            input: None,
            user: None,
            env,
            scratch,
            at_work,
            label,
            timeout,
        }
    }

    fn is_running(&self, group: &str, resource: &str) -> bool {
        // A poisoned lock still holds a set that is whole: inserting and removing cannot leave it half done.
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.contains(&(group.to_owned(), resource.to_owned()))
    }

    fn remember(&self, group: &str, resource: &Resource, op: OpKind, result: &OpResult) {
        let key = (group.to_owned(), resource.name.clone());
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match (op, result) {
            (OpKind::Start, OpResult::Ok) | (OpKind::Status, OpResult::Running) => running.insert(key),
            (OpKind::Stop, _) | (OpKind::Status, OpResult::NotRunning) => running.remove(&key),
            _ => false,
        };
    }
}

fn not_ocf(resource: &Resource) -> String {
    format!(
        "{} is not of the class ocf: it can be asked neither for meta-data nor to validate",
        resource.name
    )
}

fn failure(program: &Path, action: &str, ended: &Ended, meaning: Option<&str>) -> OpResult {
    OpResult::Failed(sentence(program, action, ended, meaning))
}

/// What went wrong, for the log and the operator.
pub(crate) fn sentence(program: &Path, action: &str, ended: &Ended, meaning: Option<&str>) -> String {
    let what = match &ended.end {
        End::Exit(code) => match meaning {
            Some(meaning) => format!("exit code {code}: {meaning}"),
            None => format!("exit code {code}"),
        },
        End::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
            Ok(signal) => format!("it was killed by {signal}, and not by hbd"),
            Err(_) => format!("it was killed by signal {number}, and not by hbd"),
        },
        End::TimedOut => "no answer within its time".to_owned(),
        End::Told => "it was ended before its time".to_owned(),
        End::Broken(why) => return why.clone(),
    };
    let last = &ended.last_words;
    if last.is_empty() {
        format!("{} {action}: {what}", program.display())
    } else {
        format!("{} {action}: {what}; it said: {last}", program.display())
    }
}
