//! Alerts: who is told of what happens. Each has a queue and a task of its own, so that one that is slow, fails or hangs
//! delays nothing but itself; within one, events are told in their order.

mod policy;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use policy::{Policy, Told};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::report::{Report, Reports};
use crate::agents::{Program, ProgramEnd, Runner};
use crate::config::{Alert, Channel};
use crate::control::StoredEvent;

/// Events that wait for one alert; more are counted and dropped.
const WAITING: usize = 256;
/// Before the second attempt; each pause is twice the one before.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The machine's way of sending mail.
const SENDMAIL: &str = "/usr/sbin/sendmail";
/// Bytes of a reason that are told: all of it must fit into a pipe.
const REASON: usize = 1024;

/// All alerts of the configuration.
#[derive(Debug)]
pub struct Alerts {
    runner: Arc<Runner>,
    cluster: String,
    reports: Reports,
    all: Vec<One>,
}

#[derive(Debug)]
struct One {
    alert: Alert,
    name: String,
    inbox: Sender<Arc<StoredEvent>>,
    lost: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Alerts {
    /// None yet; see [`Alerts::set`].
    pub fn new(runner: Arc<Runner>, cluster: String, reports: Reports) -> Alerts {
        Alerts { runner, cluster, reports, all: Vec::new() }
    }

    /// Takes the configuration's alerts over; those that did not change go on with what they have in hand.
    pub fn set(&mut self, alerts: &[Alert]) {
        let mut old = std::mem::take(&mut self.all);
        for (alert, name) in alerts.iter().zip(names(alerts)) {
            let kept = old.iter().position(|one| one.alert == *alert && one.name == name);
            let kept = kept.map(|at| old.swap_remove(at));
            let one = kept.unwrap_or_else(|| self.begin(alert.clone(), name));
            self.all.push(one);
        }
        // What was removed tells what it has taken already: its inbox is closed, and with its end the task ends.
    }

    fn begin(&self, alert: Alert, name: String) -> One {
        let (inbox, events) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let teller = Teller {
            alert: alert.clone(),
            name: name.clone(),
            runner: Arc::clone(&self.runner),
            cluster: self.cluster.clone(),
            lost: Arc::clone(&lost),
            reports: self.reports.clone(),
            well: AtomicBool::new(true),
        };
        One { alert, name, inbox, lost, task: tokio::spawn(teller.serve(events)) }
    }

    /// An event happened. Never waits.
    pub fn tell(&self, event: &Arc<StoredEvent>) {
        for one in &self.all {
            if one.inbox.try_send(Arc::clone(event)).is_err() {
                one.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits, for so long at most, until all that waits has been told.
    pub async fn close(&mut self, bound: Duration) {
        let until = Instant::now() + bound;
        for One { inbox, task, .. } in self.all.drain(..) {
            drop(inbox);
            if tokio::time::timeout_at(until, task).await.is_err() {
                tracing::warn!("an alert was still being told of when the daemon ended");
            }
        }
    }
}

/// Tells of events, one after the other.
struct Teller {
    alert: Alert,
    /// For people, and no other alert has it.
    name: String,
    runner: Arc<Runner>,
    cluster: String,
    lost: Arc<AtomicU64>,
    reports: Reports,
    /// The last event could be told.
    well: AtomicBool,
}

impl Teller {
    async fn serve(self, mut events: Receiver<Arc<StoredEvent>>) {
        let began = Instant::now();
        let mut policy = Policy::new(self.alert.clone());
        loop {
            let due = policy.due();
            let repeat = async {
                match due {
                    Some(due) => tokio::time::sleep_until(began + due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => {
                        if let Some(told) = policy.take(began.elapsed(), event) {
                            self.tell(&told).await;
                        }
                    }
                    // Removed from the configuration: nobody's trouble any more.
                    None => return self.report(true).await,
                },
                () = repeat => {
                    for told in policy.repeats(began.elapsed()) {
                        self.tell(&told).await;
                    }
                }
            }
        }
    }

    async fn tell(&self, told: &Told) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let mut pause = PAUSE;
        let mut attempt = 0;
        loop {
            let Err(why) = self.once(told, lost).await else { return self.report(true).await };
            if attempt >= self.alert.retries {
                let event = &told.event.event;
                tracing::error!(
                    "nobody was told of this: {} {}: {}; the alert failed {} times, last: {why}",
                    event.kind,
                    event.subject,
                    event.why,
                    attempt + 1
                );
                return self.report(false).await;
            }
            attempt += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Says for the status whether it could be told, if that is otherwise than before.
    async fn report(&self, told: bool) {
        if self.well.swap(told, Ordering::Relaxed) != told {
            // An error only says that the daemon is ending.
            let _ = self.reports.send(Report::Alert { name: self.name.clone(), told }).await;
        }
    }

    /// One attempt, within the alert's time.
    async fn once(&self, told: &Told, lost: u64) -> Result<(), String> {
        let program = match &self.alert.channel {
            Channel::Exec { program, args } => {
                self.program(program.clone(), args.clone(), self.json(told, lost), told, lost)
            }
            Channel::Mail { to } => self.mailer(to, told, lost),
            Channel::Webhook(hook) => {
                let bound = self.alert.timeout;
                let told = tokio::time::timeout(bound, webhook::tell(hook, self.json(told, lost))).await;
                return told.unwrap_or_else(|_| {
                    Err(format!("{}: no answer within {} ms", hook.url.shown, bound.as_millis()))
                });
            }
        };
        match self.runner.program(&program, std::future::pending()).await {
            ProgramEnd::Exit(0, _) | ProgramEnd::Told => Ok(()),
            ProgramEnd::Exit(_, why) | ProgramEnd::Failed(why) => Err(why),
        }
    }

    fn mailer(&self, to: &str, told: &Told, lost: u64) -> Program {
        let args = ["-i", "-f", "hbd", "--", to].map(str::to_owned).to_vec();
        self.program(PathBuf::from(SENDMAIL), args, self.mail(to, told, lost), told, lost)
    }

    fn program(&self, path: PathBuf, args: Vec<String>, input: String, told: &Told, lost: u64) -> Program {
        Program {
            purpose: "alert",
            path,
            args,
            env: self.env(told, lost),
            input: Some(input.into_bytes()),
            user: None,
            max_lines: None,
            timeout: self.alert.timeout,
        }
    }

    /// What the program finds in its environment; hbd.toml(5) has the list.
    fn env(&self, told: &Told, lost: u64) -> Vec<(String, String)> {
        let StoredEvent { number, time, node, event } = &*told.event;
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            ("HBD_CLUSTER", self.cluster.clone()),
            ("HBD_NODE", node.clone()),
            ("HBD_ALERT_NUMBER", number.to_string()),
            ("HBD_ALERT_TIME", time.clone()),
            ("HBD_ALERT_LEVEL", level(event.level).to_owned()),
            ("HBD_ALERT_KIND", event.kind.clone()),
            ("HBD_ALERT_SUBJECT", event.subject.clone()),
            ("HBD_ALERT_FROM", or_empty(&event.from)),
            ("HBD_ALERT_TO", or_empty(&event.to)),
            ("HBD_ALERT_WHY", short(&event.why)),
            ("HBD_ALERT_TOOK_MS", event.took_ms.map(|ms| ms.to_string()).unwrap_or_default()),
            ("HBD_ALERT_SUPPRESSED", told.suppressed.to_string()),
            ("HBD_ALERT_REPEATED", told.repeated.to_string()),
            ("HBD_ALERT_LOST", lost.to_string()),
        ]
        // The environment cannot hold a NUL.
        .map(|(name, value)| (name.to_owned(), value.replace('\0', " ")))
        .to_vec()
    }

    /// One line.
    fn json(&self, told: &Told, lost: u64) -> String {
        let StoredEvent { number, time, node, event } = &*told.event;
        let object = serde_json::json!({
            "cluster": self.cluster, "node": node, "number": number, "time": time, "level": level(event.level),
            "kind": event.kind, "subject": event.subject, "from": event.from, "to": event.to,
            "why": short(&event.why), "took_ms": event.took_ms,
            "suppressed": told.suppressed, "repeated": told.repeated, "lost": lost,
        });
        format!("{object}\n")
    }

    fn mail(&self, to: &str, told: &Told, lost: u64) -> String {
        let StoredEvent { number, time, node, event } = &*told.event;
        let change = match (&event.from, &event.to) {
            (Some(from), Some(to)) => format!(" {from} -> {to}"),
            (None, Some(to)) => format!(" {to}"),
            _ => String::new(),
        };
        let title = one_line(&format!("{} {}{change} ({}, {node})", event.kind, event.subject, self.cluster));
        let again = match told.repeated {
            0 => String::new(),
            times => format!("It goes on; said {times} times before.\n"),
        };
        let more = match told.suppressed + lost {
            0 => String::new(),
            count => format!("{count} more events were not told since the last mail; see: hbctl events\n"),
        };
        format!(
            "To: {to}\nSubject: hbd: {title}\nAuto-Submitted: auto-generated\nContent-Type: text/plain; charset=utf-8\n\n\
             {}: {title}\n{}\n{again}{more}\nEvent {number} of node {node}, {time}.\n",
            level(event.level),
            short(&event.why),
        )
    }
}

/// The names of all, for people: those that tell the same are told apart by their order in the configuration.
fn names(alerts: &[Alert]) -> Vec<String> {
    let plain: Vec<String> = alerts.iter().map(name).collect();
    let of = |at: usize| {
        let before = plain[..at].iter().filter(|name| **name == plain[at]).count();
        let all = plain.iter().filter(|name| **name == plain[at]).count();
        if all > 1 {
            format!("{} (number {} of the {all} [[alert]] with it)", plain[at], before + 1)
        } else {
            plain[at].clone()
        }
    };
    (0..plain.len()).map(of).collect()
}

/// Who is told, for people.
fn name(alert: &Alert) -> String {
    match &alert.channel {
        Channel::Exec { program, .. } => program.display().to_string(),
        Channel::Mail { to } => format!("by mail to {to}"),
        Channel::Webhook(hook) => hook.url.shown.clone(),
    }
}

fn level(level: cluster::Level) -> &'static str {
    match level {
        cluster::Level::Info => "info",
        cluster::Level::Warn => "warn",
        cluster::Level::Error => "error",
    }
}

/// As much of it as is told.
fn short(text: &str) -> String {
    let end = (0..=REASON.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let dots = if end < text.len() { "…" } else { "" };
    format!("{}{dots}", &text[..end])
}

/// Fit for a header line.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.chars().take(200).collect()
}

#[cfg(test)]
mod hook_tests;
#[cfg(test)]
mod tests;
