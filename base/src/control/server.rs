//! The daemon's end of a control socket: who calls, what is asked, and the way back.
//!
//! One request for each connection. Everything a client can do to the daemon is bounded: how many
//! there are, how long a request is, how long it may take to send it or to take the answer.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::access::Policy;
use super::protocol::{Answer, MAX_LINE};

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

/// What a daemon answers.
pub trait Handler: Send + Sync + 'static {
    /// What its clients may ask.
    type Request: DeserializeOwned + Send;
    /// Answers one `request` of `by`; an error is that of the connection.
    fn answer(
        &self,
        client: &Client<'_>,
        by: String,
        request: Self::Request,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// The server.
#[derive(Debug)]
pub struct Server<H> {
    handler: H,
    policy: Mutex<Policy>,
    limits: Limits,
    slots: Arc<Semaphore>,
}

impl<H: Handler> Server<H> {
    /// A server that has `handler` answer whom `policy` lets in.
    pub fn with(handler: H, policy: Policy, limits: Limits) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(limits.clients));
        Arc::new(Server { handler, policy: Mutex::new(policy), limits, slots })
    }

    /// Who answers.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// How many more clients could be served now.
    pub fn free(&self) -> usize {
        self.slots.available_permits()
    }

    /// Changes who may steer.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Accepts clients for ever.
    pub async fn serve(self: Arc<Self>, listener: UnixListener) {
        let mut failing = false;
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Most likely out of file descriptors: give those who have them time to end.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!("the control socket cannot accept: {error}");
                    }
                    sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            if std::mem::take(&mut failing) {
                tracing::info!("the control socket accepts again");
            }
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

    /// Serves one client to its end.
    pub async fn client(&self, stream: &UnixStream) {
        let client = Client { stream, limits: self.limits };
        let answered = match self.request(stream).await {
            Ok((by, request)) => self.handler.answer(&client, by, request).await,
            Err(reason) => client.say(&Answer::Refused { reason }).await,
        };
        if let Err(error) = answered {
            tracing::debug!("a client of the control socket went away: {error}");
        }
    }

    /// Who calls, and what for.
    async fn request(&self, stream: &UnixStream) -> Result<(String, H::Request), String> {
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
}

/// The way back to one client.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    stream: &'a UnixStream,
    limits: Limits,
}

impl Client<'_> {
    /// Whether this client may do whatever this process may: root, or the same user.
    pub fn has_our_rights(&self) -> bool {
        let own = nix::unistd::Uid::effective().as_raw();
        self.stream.peer_cred().is_ok_and(|caller| [0, own].contains(&caller.uid()))
    }

    /// One line of the answer.
    ///
    /// # Errors
    /// If the client does not take it in time.
    pub async fn say(&self, answer: &Answer) -> io::Result<()> {
        let bytes = line(answer);
        let write = async {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                self.stream.writable().await?;
                match self.stream.try_write(rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        timeout(self.limits.answer, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// One of several items.
    ///
    /// # Errors
    /// As [`Client::say`].
    pub async fn item(&self, item: &impl Serialize) -> io::Result<()> {
        self.say(&Answer::Item { data: serde_json::to_value(item)? }).await
    }

    /// An answer that takes its time, with words on the way.
    ///
    /// # Errors
    /// As [`Client::say`].
    pub async fn wait_for(
        &self,
        mut words: mpsc::Receiver<String>,
        mut end: oneshot::Receiver<Answer>,
    ) -> io::Result<()> {
        let gone = self.gone();
        tokio::pin!(gone);
        loop {
            tokio::select! {
                biased;
                Some(text) = words.recv() => self.say(&Answer::Progress { text }).await?,
                answer = &mut end => {
                    let ending = |_| Answer::Refused { reason: "the daemon ended before this was done".into() };
                    return self.say(&answer.unwrap_or_else(ending)).await;
                }
                () = &mut gone => return Ok(()),
            }
        }
    }

    /// Ends when the client is gone.
    pub async fn gone(&self) {
        gone(self.stream).await;
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
