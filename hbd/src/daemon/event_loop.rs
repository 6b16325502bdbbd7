//! The loop: waits for whatever happens and hands it to the engine.
//!
//! In order of priority:
//! 1. datagrams: they tell who is alive;
//! 2. reports: operations that ended, the state that is on disk, signals;
//! 3. the deadline;
//! 4. operators.
//!
//! The order is not enough, since a flood of the first would keep the rest waiting for ever. So each
//! turn takes a bounded number of each, and the deadline is looked at in every turn.

use std::future::{pending, poll_fn};
use std::io;

use sys::watch::Alarm;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;

use super::ask::Ask;
use super::engine::Engine;
use super::report::{Report, Reports};

/// Datagrams taken from one link in one turn.
const DATAGRAMS: usize = 64;
/// Reports taken in one turn.
const REPORTS: usize = 64;

/// What the loop waits for besides the links and the time.
pub struct Ports {
    /// From the other threads.
    pub reported: Receiver<Report>,
    /// From operators.
    pub asked: Receiver<Ask>,
    /// Rings at the deadline.
    pub alarm: Alarm,
}

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// TERM, INT.
    Leave,
    /// HUP.
    Reload,
}

/// The signals that are heeded: from the service manager or a terminal.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on they no longer end the process. Needs the loop's runtime.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Reports each signal to the loop, from now on. A task of its own, so that the loop need not look after three
    /// more sources at each heartbeat. Needs the loop's runtime.
    pub fn report_to(mut self, reports: Reports) {
        tokio::spawn(async move {
            loop {
                let meaning = self.next().await;
                if reports.send(Report::Signal(meaning)).await.is_err() {
                    return;
                }
            }
        });
    }

    async fn next(&mut self) -> Meaning {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Meaning::Leave,
            Some(()) = self.interrupt.recv() => Meaning::Leave,
            Some(()) = self.hangup.recv() => Meaning::Reload,
            else => pending().await,
        }
    }
}

enum Woken {
    Datagrams,
    Report(Report),
    Deadline,
    Ask(Ask),
}

/// Runs until the core says that all is stopped and said.
pub async fn run(engine: &mut Engine, mut ports: Ports) {
    engine.begin();
    while !engine.ended() {
        if let Err(error) = ports.alarm.set(engine.wake_at().map(|wake| wake.0)) {
            // Without its deadlines this node is no longer one: the next start may do better.
            panic!("the alarm clock of the loop cannot be set: {error}");
        }
        let woken = tokio::select! {
            biased;
            () = engine.readable() => Woken::Datagrams,
            Some(report) = ports.reported.recv() => Woken::Report(report),
            () = poll_fn(|context| ports.alarm.poll_ring(context)) => Woken::Deadline,
            Some(ask) = ports.asked.recv() => Woken::Ask(ask),
        };
        turn(engine, &mut ports, woken);
    }
}

/// One turn: a bounded number of each kind, in order of priority.
fn turn(engine: &mut Engine, ports: &mut Ports, woken: Woken) {
    engine.datagrams(DATAGRAMS);
    let (mut first, mut ask) = (None, None);
    match woken {
        Woken::Datagrams | Woken::Deadline => {}
        Woken::Report(report) => first = Some(report),
        Woken::Ask(asked) => ask = Some(asked),
    }
    let more = std::iter::from_fn(|| ports.reported.try_recv().ok());
    for report in first.into_iter().chain(more).take(REPORTS) {
        engine.report(report);
    }
    engine.time();
    if let Some(ask) = ask.or_else(|| ports.asked.try_recv().ok()) {
        engine.ask(ask);
    }
    engine.chores();
}
