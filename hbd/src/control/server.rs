//! The daemon's end of the control socket: who calls, what is asked, and the answer.
//!
//! One request for each connection. Everything a client can do to the daemon is bounded: how many
//! there are, how long a request is, how long it may take to send it or to take the answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cluster::Command;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use base::control::server::{self, Client, Handler};

use super::access::Policy;
use super::protocol::{Answer, Request, StoredEvent, Verb};
use crate::daemon::ask::{Ask, PROGRESS};
use crate::daemon::history::History;

/// How long the loop may take for an answer that needs no waiting.
const LOOP_BOUND: Duration = Duration::from_secs(5);
/// The server; runs on the work thread.
pub type Server = server::Server<Daemon>;

pub use base::control::server::Limits;

/// What answers: the loop, and the events.
#[derive(Debug)]
pub struct Daemon {
    asks: mpsc::Sender<Ask>,
    history: Arc<History>,
}

/// A server that passes questions on to the loop through `asks` and answers `events` from `history`.
pub fn new(asks: mpsc::Sender<Ask>, history: Arc<History>, policy: Policy, limits: Limits) -> Arc<Server> {
    Server::with(Daemon { asks, history }, policy, limits)
}

impl Handler for Daemon {
    type Request = Request;

    async fn answer(&self, client: &Client<'_>, by: String, request: Request) -> io::Result<()> {
        let answer = match request.verb {
            Verb::Status => match self.ask(Ask::Status).await {
                Ok(picture) => Answer::Done { text: String::new(), data: picture.render() },
                Err(reason) => Answer::Refused { reason },
            },
            Verb::Why { group } => {
                let name = group.clone();
                match self.ask(|done| Ask::Why { group, done }).await {
                    Ok(Some(lines)) => Answer::Done { text: String::new(), data: lines.into() },
                    Ok(None) => Answer::Refused { reason: format!("there is no group {name:?}") },
                    Err(reason) => Answer::Refused { reason },
                }
            }
            Verb::Tune => match self.ask(Ask::Tune).await {
                Ok(tune) => {
                    Answer::Done { text: String::new(), data: serde_json::to_value(tune).unwrap_or_default() }
                }
                Err(reason) => Answer::Refused { reason },
            },
            Verb::Order { order } => return self.order(client, by, order, request.no_wait).await,
            Verb::Fence { node } => {
                return self.order(client, by, Command::Fence { node }, request.no_wait).await;
            }
            Verb::Reload => {
                let (_, words) = mpsc::channel(1);
                let (done, end) = oneshot::channel();
                return self.long(client, Ask::Reload { by, done }, words, end).await;
            }
            Verb::Events { count, follow } => return self.events(client, count, follow).await,
        };
        client.say(&answer).await
    }
}

impl Daemon {
    /// An order for the core.
    async fn order(
        &self,
        client: &Client<'_>,
        by: String,
        command: Command,
        no_wait: bool,
    ) -> io::Result<()> {
        let (progress, words) = mpsc::channel(PROGRESS);
        let (done, end) = oneshot::channel();
        let ask = Ask::Order { by, command, no_wait, progress, done };
        self.long(client, ask, words, end).await
    }

    /// A question that the loop answers at once.
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, String> {
        let (done, answer) = oneshot::channel();
        let asked = async {
            self.asks.send(ask(done)).await.ok()?;
            answer.await.ok()
        };
        match timeout(LOOP_BOUND, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err("the daemon is ending".into()),
            Err(_) => Err(format!("the daemon's loop did not answer within {} s", LOOP_BOUND.as_secs())),
        }
    }

    /// A question whose answer takes its time, with words on the way.
    async fn long(
        &self,
        client: &Client<'_>,
        ask: Ask,
        words: mpsc::Receiver<String>,
        end: oneshot::Receiver<Answer>,
    ) -> io::Result<()> {
        if self.asks.send_timeout(ask, LOOP_BOUND).await.is_err() {
            let reason = "the daemon's loop takes no questions now".to_owned();
            return client.say(&Answer::Refused { reason }).await;
        }
        client.wait_for(words, end).await
    }

    async fn events(&self, client: &Client<'_>, count: usize, follow: bool) -> io::Result<()> {
        let (newest, mut live) = self.history.newest(count);
        for event in newest {
            client.item(&*event).await?;
        }
        if follow {
            self.follow(client, &mut live).await?;
        }
        client.say(&Answer::Done { text: String::new(), data: serde_json::Value::Null }).await
    }

    /// Passes on what happens, until the client or the daemon goes away.
    async fn follow(&self, client: &Client<'_>, live: &mut Receiver<Arc<StoredEvent>>) -> io::Result<()> {
        let gone = client.gone();
        tokio::pin!(gone);
        loop {
            tokio::select! {
                biased;
                event = live.recv() => match event {
                    Ok(event) => client.item(&*event).await?,
                    Err(RecvError::Lagged(missed)) => {
                        let text = format!("{missed} events were missed: this reader is too slow");
                        client.say(&Answer::Progress { text }).await?;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = &mut gone => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
