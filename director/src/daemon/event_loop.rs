//! The loop: waits for whatever happens and hands it to the engine.
//!
//! In order of priority: the kernel's answers, those of checks, time, signals, those who ask. Of each a bounded
//! number in one turn, so that none keeps the others waiting.

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep};

use super::engine::{Engine, now};
use super::kernel::Done;
use super::server::{self, Ask};
use super::tasks::Answer;
use crate::config::model::Config;

/// Answers taken in one turn.
const ANSWERS: usize = 256;
/// Without anything to do it looks whether there is.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the loop waits for besides time.
pub struct Ports {
    /// From the kernel's thread.
    pub kernel: Receiver<Done>,
    /// From checks.
    pub answers: Receiver<Answer>,
    /// From those who ask.
    pub asks: Receiver<Ask>,
    /// From the service manager or a terminal.
    pub signals: Signals,
    /// The configuration, for a reload.
    pub config: PathBuf,
}

/// The signals that are heeded.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal means.
enum Meaning {
    Leave,
    Reload,
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

/// Runs until the engine has ended.
pub async fn run(engine: &mut Engine, mut ports: Ports) {
    let mut reading: Option<tokio::task::JoinHandle<Result<Config, String>>> = None;
    engine.begin();
    let mut alarm = pin!(sleep(Duration::ZERO));
    let mut set_for = None;
    while !engine.ended() {
        let wake = engine.wake_at();
        // Nearly always it stays where it is: an answer has come, and who is asked next has not changed.
        if set_for != Some(wake) {
            set_for = Some(wake);
            alarm.as_mut().reset(Instant::now() + wake.saturating_sub(now()).min(LONGEST));
        }
        tokio::select! {
            biased;
            Some(done) = ports.kernel.recv() => engine.kernel(done),
            Some(answer) = ports.answers.recv() => {
                engine.answer(answer);
                for _ in 1..ANSWERS {
                    let Ok(answer) = ports.answers.try_recv() else { break };
                    engine.answer(answer);
                }
            }
            () = &mut alarm => set_for = None,
            read = finished(&mut reading) => {
                reading = None;
                match read {
                    Ok(config) => engine.reload(config),
                    Err(why) => engine.refuse_reload(&why),
                }
            }
            meaning = ports.signals.next() => match meaning {
                Meaning::Leave => engine.leave(),
                Meaning::Reload => reading = Some(tokio::spawn(server::read(ports.config.clone()))),
            },
            Some(ask) = ports.asks.recv() => engine.ask(ask),
        }
        engine.turn();
    }
}

/// What was read, when it is; never, if nothing is being read.
async fn finished(
    reading: &mut Option<tokio::task::JoinHandle<Result<Config, String>>>,
) -> Result<Config, String> {
    match reading {
        Some(task) => task.await.unwrap_or_else(|error| Err(error.to_string())),
        None => pending().await,
    }
}
