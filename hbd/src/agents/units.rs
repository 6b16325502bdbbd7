//! Looks at systemd units, many at once: those that are asked for at about the same time are one `systemctl show`.
//!
//! ```text
//!  look at web ──┐
//!  look at db  ──┼─ 10 ms ─▶ systemctl show … -- web db mail ─▶ each its own answer
//!  look at mail ─┘
//! ```
//! Looks that began together stay together, since each is due so long after the answer to the one before. So ten units that are
//! monitored each second cost one process a second, and not ten. Those that did not begin together are brought together as soon as there
//! are more than a few calls a second for long: then a call waits for others. A node that looks at all it has, one after the
//! other, is not held up. Each look keeps its own bound; who no longer wants an answer takes it from nobody else.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::output::{Chatter, Label};
use super::process::{self, Call, End, Ended};
use super::systemd::{PROPERTIES, UnitState};
use super::{RunnerSettings, environment};

/// How long others are waited for. A look is nothing that hurries.
const GATHER: Duration = Duration::from_millis(10);
/// How long others are waited for when there were too many calls, unless a look has less time than four times that.
const PAUSE: Duration = Duration::from_millis(250);
/// Calls at once that are not too many, and how soon one of them is forgotten: the long run has eight a second at most.
const BURST: u32 = 64;
const EACH_CALL: Duration = Duration::from_millis(125);
/// Units asked for in one call, at most.
const MOST: usize = 64;
/// Of the answer for one unit no more is kept.
const EACH: usize = 1024;

/// The answer to one look: the state, or what is wrong; and what systemctl took and said.
pub(super) type Answer = Result<UnitState, Trouble>;

/// Why there is no state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No answer in time.
    TimedOut,
    /// In a sentence.
    Failed(String),
}

struct Waiting {
    unit: String,
    timeout: Duration,
    answer: oneshot::Sender<Answer>,
}

/// Who waits for an answer, and how many calls there were.
#[derive(Default)]
pub(super) struct Units(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// When the next call is made.
    due: Option<Instant>,
    calls: Calls,
}

/// The calls of late.
#[derive(Default)]
struct Calls {
    /// When all of them will be forgotten.
    until: Option<Instant>,
}

impl Calls {
    /// How long the next call is put off for a look that has `timeout`.
    fn put_off(&self, now: Instant, timeout: Duration) -> Duration {
        let left = self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if left < EACH_CALL * BURST { GATHER } else { PAUSE.min(timeout / 4).max(GATHER) }
    }

    fn count(&mut self, now: Instant) {
        // However many there are that cannot wait, it is not longer than that until there is room again.
        let most = now + EACH_CALL * BURST + EACH_CALL;
        self.until = Some((self.until.map_or(now, |until| until.max(now)) + EACH_CALL).min(most));
    }
}

impl std::fmt::Debug for Units {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Units")
    }
}

impl Units {
    /// The state of a unit, within `timeout` and what it takes to end a systemctl that hangs.
    pub async fn look(self: &Arc<Self>, settings: &RunnerSettings, unit: &str, timeout: Duration) -> Answer {
        let (answer, heard) = oneshot::channel();
        let at = {
            // A poisoned lock still holds a list that is whole.
            let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            queue.waiting.push(Waiting { unit: unit.to_owned(), timeout, answer });
            let now = Instant::now();
            let at = now + queue.calls.put_off(now, timeout);
            // Who has the least time has the call made, for all who wait then.
            let sooner = queue.due.is_none_or(|due| at < due);
            sooner.then(|| *queue.due.insert(at))
        };
        if let Some(at) = at {
            let (all, settings) = (Arc::clone(self), settings.clone());
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                let waiting = {
                    let mut queue = all.0.lock().unwrap_or_else(PoisonError::into_inner);
                    if queue.due != Some(at) {
                        return;
                    }
                    queue.due = None;
                    queue.calls.count(Instant::now());
                    std::mem::take(&mut queue.waiting)
                };
                ask(&settings, waiting).await;
            });
        }
        match tokio::time::timeout(timeout, heard).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                Err(Trouble::Failed("internal: nobody looked at it; please report this".to_owned()))
            }
            Err(_) => Err(Trouble::TimedOut),
        }
    }
}

/// Answers all who wait: in one call, or, if that is refused, one by one; units of a name that systemd does not take are
/// answered for by nobody else.
async fn ask(settings: &RunnerSettings, mut waiting: Vec<Waiting>) {
    waiting.retain(|one| !one.answer.is_closed());
    while !waiting.is_empty() {
        let rest = waiting.split_off(waiting.len().min(MOST));
        let together = std::mem::replace(&mut waiting, rest);
        let units: Vec<&str> = together.iter().map(|one| one.unit.as_str()).collect();
        let longest = together.iter().map(|one| one.timeout).max().unwrap_or_default();
        let ended = show(settings, &units, longest).await;
        let refused = !matches!(ended.end, End::Exit(0) | End::TimedOut);
        if refused && together.len() > 1 {
            for one in together {
                let ended = show(settings, &[&one.unit], one.timeout).await;
                let _ = one.answer.send(answer(settings, &ended, 0));
            }
            continue;
        }
        for (at, one) in together.into_iter().enumerate() {
            let _ = one.answer.send(answer(settings, &ended, at));
        }
    }
}

/// What a call says of the unit at this place of it.
fn answer(settings: &RunnerSettings, ended: &Ended, at: usize) -> Answer {
    let sentence = |meaning| Trouble::Failed(super::sentence(&settings.systemctl, "show", ended, meaning));
    match &ended.end {
        End::TimedOut => Err(Trouble::TimedOut),
        End::Exit(0) => {
            let text = String::from_utf8_lossy(&ended.stdout);
            let state = blocks(&text).get(at).and_then(|block| UnitState::parse(block));
            state.ok_or_else(|| sentence(Some("it did not tell the unit's state")))
        }
        _ => Err(sentence(None)),
    }
}

/// The parts of the answer, one for each unit, with empty lines between them.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match (line.trim().is_empty(), open) {
            (true, _) => open = false,
            (false, true) => {
                blocks.iter_mut().last().into_iter().for_each(|block| *block += &format!("{line}\n"))
            }
            (false, false) => {
                blocks.push(format!("{line}\n"));
                open = true;
            }
        }
    }
    blocks
}

async fn show(settings: &RunnerSettings, units: &[&str], timeout: Duration) -> Ended {
    let args = ["--no-pager", "show", "-p", PROPERTIES, "--"].iter().chain(units);
    process::execute(Call {
        program: settings.systemctl.clone(),
        args: args.map(OsString::from).collect(),
        input: None,
        user: None,
        env: environment::PLAIN.map(|(name, value)| (name.into(), value.into())).to_vec(),
        scratch: settings.scratch.clone(),
        at_work: settings.at_work.clone(),
        label: Label {
            group: String::new(),
            resource: units.join(" "),
            action: "show",
            chatter: Chatter::Data,
            max_lines: settings.max_lines,
            capture: EACH * units.len(),
            secrets: Arc::default(),
        },
        timeout,
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_waits_for_nobody_and_what_goes_on_does() {
        let (mut calls, mut now, long) = (Calls::default(), Instant::now(), Duration::from_secs(20));
        for _ in 0..BURST {
            assert_eq!(calls.put_off(now, long), GATHER);
            calls.count(now);
        }
        assert_eq!(calls.put_off(now, long), PAUSE);
        assert_eq!(calls.put_off(now, Duration::from_millis(400)), Duration::from_millis(100));
        assert_eq!(calls.put_off(now, Duration::from_millis(4)), GATHER);
        // Those that cannot wait leave no debt behind.
        (0..10_000).for_each(|_| calls.count(now));
        now += EACH_CALL * 2;
        assert_eq!(calls.put_off(now, long), GATHER);
        // Ten a second are too many in the long run, four are not.
        let mut waited = 0;
        for _ in 0..1000 {
            now += Duration::from_millis(100);
            waited += u32::from(calls.put_off(now, long) == PAUSE);
            calls.count(now);
        }
        assert!(waited > 100, "{waited}");
        now += EACH_CALL * BURST;
        for _ in 0..1000 {
            now += PAUSE;
            assert_eq!(calls.put_off(now, long), GATHER);
            calls.count(now);
        }
    }

    #[test]
    fn answers_are_told_apart_by_empty_lines() {
        assert_eq!(blocks("a=1\nb=2\n\na=3\n"), ["a=1\nb=2\n", "a=3\n"]);
        assert_eq!(blocks("\n\na=1\n\n\n\na=2"), ["a=1\n", "a=2\n"]);
        assert!(blocks("").is_empty() && blocks("\n\n").is_empty());
    }
}
