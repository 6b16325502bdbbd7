//! The daemon's end of the control socket: who calls, what is asked, and the answer.
//!
//! One request for each connection. Everything a client can do to the daemon is bounded: how many
//! there are, how long a request is, how long it may take to send it or to take the answer.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::access::Policy;
use super::protocol::{Answer, MAX_LINE, Request, StoredEvent, Verb};
use crate::daemon::ask::{Ask, PROGRESS};
use crate::daemon::history::History;

/// How long the loop may take for an answer that needs no waiting.
const LOOP_BOUND: Duration = Duration::from_secs(5);
/// How often a client that has closed its half of the connection is looked at.
const GONE_CHECK: Duration = Duration::from_secs(1);

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Clients at a time.
    pub clients: usize,
    /// Until the request is there.
    pub request: Duration,
    /// Until one line of the answer is taken.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { clients: 64, request: Duration::from_secs(10), answer: Duration::from_secs(10) }
    }
}

/// The server; runs on the work thread.
#[derive(Debug)]
pub struct Server {
    asks: mpsc::Sender<Ask>,
    history: Arc<History>,
    policy: Mutex<Policy>,
    limits: Limits,
    slots: Arc<Semaphore>,
}

impl Server {
    /// A server that passes questions on to the loop through `asks` and answers `events` from `history`.
    pub fn new(
        asks: mpsc::Sender<Ask>,
        history: Arc<History>,
        policy: Policy,
        limits: Limits,
    ) -> Arc<Server> {
        let slots = Arc::new(Semaphore::new(limits.clients));
        Arc::new(Server { asks, history, policy: Mutex::new(policy), limits, slots })
    }

    /// Changes who may steer.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Accepts clients for ever.
    pub async fn serve(self: Arc<Self>, listener: UnixListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Most likely out of file descriptors: give those who have them time to end.
                    tracing::warn!("the control socket cannot accept: {error}");
                    sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            match Arc::clone(&self.slots).try_acquire_owned() {
                Ok(slot) => {
                    let server = Arc::clone(&self);
                    tokio::spawn(async move {
                        server.client(&stream).await;
                        drop(slot);
                    });
                }
                Err(_) => {
                    let reason =
                        format!("{} clients are being served already: try again later", self.limits.clients);
                    // Past tokio, which does not know yet that there is room. A client that cannot even take
                    // this at once is no loss.
                    let _ =
                        stream.into_std().map(|mut stream| stream.write(&line(&Answer::Refused { reason })));
                }
            }
        }
    }

    async fn client(&self, stream: &UnixStream) {
        let answered = match self.request(stream).await {
            Ok((by, request)) => self.answer(stream, by, request).await,
            Err(reason) => self.say(stream, &Answer::Refused { reason }).await,
        };
        if let Err(error) = answered {
            tracing::debug!("a client of the control socket went away: {error}");
        }
    }

    /// Who calls, and what for.
    async fn request(&self, stream: &UnixStream) -> Result<(String, Request), String> {
        let policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let caller =
            stream.peer_cred().map_err(|error| format!("your credentials cannot be read: {error}"))?;
        let by = policy.check(caller.uid(), caller.gid()).await?;
        let text = timeout(self.limits.request, read_line(stream))
            .await
            .map_err(|_| format!("no whole request within {} s", self.limits.request.as_secs()))?
            .map_err(|error| format!("the request cannot be read: {error}"))?;
        let request = serde_json::from_slice(&text)
            .map_err(|error| format!("the request is not understood: {error}"))?;
        Ok((by, request))
    }

    async fn answer(&self, stream: &UnixStream, by: String, request: Request) -> io::Result<()> {
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
            Verb::Fence { node } => Answer::Refused {
                reason: format!(
                    "fencing devices are not driven by this version; once you are certain that {node} is down, \
                     `hbctl fence-ack {node}` records your word for it"
                ),
            },
            Verb::Order { order } => {
                let (progress, words) = mpsc::channel(PROGRESS);
                let (done, end) = oneshot::channel();
                let ask = Ask::Order { by, command: order, no_wait: request.no_wait, progress, done };
                return self.long(stream, ask, words, end).await;
            }
            Verb::Reload => {
                let (_, words) = mpsc::channel(1);
                let (done, end) = oneshot::channel();
                return self.long(stream, Ask::Reload { by, done }, words, end).await;
            }
            Verb::Events { count, follow } => return self.events(stream, count, follow).await,
        };
        self.say(stream, &answer).await
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
        stream: &UnixStream,
        ask: Ask,
        mut words: mpsc::Receiver<String>,
        mut end: oneshot::Receiver<Answer>,
    ) -> io::Result<()> {
        if self.asks.send_timeout(ask, LOOP_BOUND).await.is_err() {
            let reason = "the daemon's loop takes no questions now".to_owned();
            return self.say(stream, &Answer::Refused { reason }).await;
        }
        let gone = gone(stream);
        tokio::pin!(gone);
        loop {
            tokio::select! {
                biased;
                Some(text) = words.recv() => self.say(stream, &Answer::Progress { text }).await?,
                answer = &mut end => {
                    let ending = |_| Answer::Refused { reason: "the daemon ended before this was done".into() };
                    return self.say(stream, &answer.unwrap_or_else(ending)).await;
                }
                () = &mut gone => return Ok(()),
            }
        }
    }

    async fn events(&self, stream: &UnixStream, count: usize, follow: bool) -> io::Result<()> {
        let (newest, mut live) = self.history.newest(count);
        for event in newest {
            self.item(stream, &*event).await?;
        }
        if follow {
            self.follow(stream, &mut live).await?;
        }
        self.say(stream, &Answer::Done { text: String::new(), data: serde_json::Value::Null }).await
    }

    /// Passes on what happens, until the client or the daemon goes away.
    async fn follow(&self, stream: &UnixStream, live: &mut Receiver<Arc<StoredEvent>>) -> io::Result<()> {
        let gone = gone(stream);
        tokio::pin!(gone);
        loop {
            tokio::select! {
                biased;
                event = live.recv() => match event {
                    Ok(event) => self.item(stream, &*event).await?,
                    Err(RecvError::Lagged(missed)) => {
                        let text = format!("{missed} events were missed: this reader is too slow");
                        self.say(stream, &Answer::Progress { text }).await?;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = &mut gone => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }

    async fn item(&self, stream: &UnixStream, item: &impl serde::Serialize) -> io::Result<()> {
        self.say(stream, &Answer::Item { data: serde_json::to_value(item)? }).await
    }

    async fn say(&self, stream: &UnixStream, answer: &Answer) -> io::Result<()> {
        let bytes = line(answer);
        let write = async {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                stream.writable().await?;
                match stream.try_write(rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        timeout(self.limits.answer, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn line(answer: &Answer) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(answer).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The first line, without its newline; also what came before the end if that came first.
async fn read_line(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        stream.readable().await?;
        let length = match stream.try_read(&mut chunk) {
            Ok(0) => return Ok(line),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if let Some(end) = chunk[..length].iter().position(|&byte| byte == b'\n') {
            line.extend_from_slice(&chunk[..end]);
            return Ok(line);
        }
        line.extend_from_slice(&chunk[..length]);
        if line.len() > MAX_LINE {
            return Err(io::Error::other(format!("a line longer than {MAX_LINE} bytes")));
        }
    }
}

/// Ends when the client is gone. One that has only closed its sending half still wants the answer.
async fn gone(stream: &UnixStream) {
    let mut scratch = [0; 512];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut scratch) {
            Ok(0) => break,
            // One request a connection: the rest is of no interest.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    loop {
        match stream.ready(Interest::WRITABLE).await {
            Ok(ready) if !ready.is_write_closed() => sleep(GONE_CHECK).await,
            _ => return,
        }
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
