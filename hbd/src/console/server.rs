//! Listening, and one request of each connection.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::answer::{Answer, answer};
use super::request::{self, MOST_HEAD, Request};
use super::view::View;
use crate::daemon::report::{Report, Reports, Trouble};

/// Connections at a time.
const CONNECTIONS: usize = 32;
/// Connections the kernel may keep waiting.
const BACKLOG: u32 = 32;
/// A request is there within this.
const HEAD: Duration = Duration::from_secs(3);
/// And a connection is over within this.
const WHOLE: Duration = Duration::from_secs(5);
/// Two hundred connections a second in the long run; a few at once do not wait.
const PACE: Duration = Duration::from_millis(5);
const BURST: u32 = 32;
/// Between two attempts to listen: first, and at last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// After the kernel could not give a connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens at `at` for ever; as long as that cannot be, that is among what is degraded, and it is tried again.
pub(super) async fn serve(at: SocketAddr, view: Arc<View>, reports: Reports) {
    let say = |sentence| reports.send(Report::Trouble { about: Trouble::Console, sentence });
    let mut pause = RETRY.0;
    let listener = loop {
        match listen(at) {
            Ok(listener) => break listener,
            Err(error) => {
                let why = format!("the console does not listen on {at}: {error}; it is tried again");
                // An error only says that the daemon is ending.
                let _ = say(Some(why)).await;
                sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
        }
    };
    let _ = say(None).await;
    tracing::info!("the console listens on {at}");
    accept(&listener, at, &view).await;
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of a former life do not keep this one out.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: &TcpListener, at: SocketAddr, view: &Arc<View>) {
    let mut clients = JoinSet::new();
    let mut pace = Pace(Instant::now());
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            Some(_) = clients.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        if accepted.is_ok() && std::mem::take(&mut failing) {
            tracing::info!("the console accepts again");
        }
        match accepted {
            Ok((stream, _)) if clients.len() < CONNECTIONS => {
                clients.spawn(converse(stream, at, Arc::clone(view)));
            }
            Ok((stream, _)) => refuse(stream),
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("the console cannot accept: {error}");
                }
                sleep(PAUSE).await;
            }
        }
        pace.keep().await;
    }
}

/// One too many. Past tokio, which does not know yet that there is room; who cannot take so few bytes at once is no loss.
fn refuse(stream: TcpStream) {
    let busy = Answer::plain(503, "too many connections are being served already: try again later");
    let _ = stream.into_std().map(|mut stream| {
        let _ = stream.write(&busy.bytes());
        // As in `say`: what it has asked by now must not be left unread.
        stream.read(&mut [0; MOST_HEAD])
    });
}

/// Keeps a flood of connections from filling the thread: the time at which the next may come.
struct Pace(Instant);

impl Pace {
    async fn keep(&mut self) {
        let now = Instant::now();
        self.0 = self.0.max(now.checked_sub(PACE * BURST).unwrap_or(now)) + PACE;
        if self.0 > now {
            sleep_until(self.0).await;
        }
    }
}

async fn converse(mut stream: TcpStream, at: SocketAddr, view: Arc<View>) {
    let begun = Instant::now();
    let request = match timeout_at(begun + HEAD, read(&mut stream, at)).await {
        Ok(Ok(request)) => request,
        // It went away.
        Ok(Err(_)) => return,
        Err(_) => Err(Answer::plain(408, "no whole request came in time")),
    };
    // Not waited for longer than it would be of use to the client.
    let talk = async {
        let answer = match request {
            Ok(request) => answer(&view, &request).await,
            Err(refusal) => refusal,
        };
        say(&mut stream, &answer.bytes()).await
    };
    if let Ok(Err(error)) = timeout_at(begun + WHOLE, talk).await {
        tracing::debug!("a client of the console went away: {error}");
    }
}

/// A request, or how it is refused; an error if the connection ended before there was anything to refuse.
async fn read(stream: &mut TcpStream, at: SocketAddr) -> io::Result<Result<Request, Answer>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let seen = head.len();
        if stream.read_buf(&mut head).await? == 0 {
            let none = || Err(io::ErrorKind::UnexpectedEof.into());
            return if seen == 0 {
                none()
            } else {
                Ok(Err(Answer::plain(400, "the request ends too early")))
            };
        }
        if let Some(end) = request::end_of_head(&head, seen) {
            // What comes after it is of no interest: one request a connection.
            return Ok(if end > MOST_HEAD { Err(too_long()) } else { request::read(&head[..end], at) });
        }
        if head.len() >= MOST_HEAD {
            return Ok(Err(too_long()));
        }
        // A client that speaks TLS would wait for an answer until its time is over.
        if !head[0].is_ascii_alphabetic() {
            return Ok(Err(Answer::plain(
                400,
                "this is no HTTP request; the console speaks http://, not https://",
            )));
        }
    }
}

fn too_long() -> Answer {
    Answer::plain(431, "the head of the request is too long")
}

/// Sends all of it, then waits for the client to close: closed with something unread, the kernel would reset the connection
/// and the client might never see its answer.
async fn say(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    for _ in 0..64 {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}
