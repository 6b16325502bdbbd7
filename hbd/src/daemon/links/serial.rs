//! A serial link: its line opened aside, read as whole frames, written at its pace, and opened anew when it fails.
//!
//! ```text
//!            answer: a line               hangup, error, stuck
//!  Opening ────────────────▶ Open ────────────────────────────▶ Closed ──(back-off)──▶ Opening
//!     └──────── answer: an error ──────────────────────────────────▲
//! ```
//! Opening and closing may take a driver its time, so both happen on a thread of their own, which is there for that
//! moment only.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cluster::Time;
use proto::serial::{Deframer, Dropped};
use sys::serial::Line;
use sys::watch::Watched;
use tokio::sync::oneshot;

use super::outbox::{Outbox, duration_of};

/// The loop is woken when so many bytes wait: any frame is longer than this, so none goes by unnoticed, and a
/// frame of usual length wakes once. Its rest is looked for when it should be there.
const WAKE: u8 = 48;
/// Between two tries to open a line: at first, and at most.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// An opening that takes longer is said to.
const SLOW_OPEN: Duration = Duration::from_secs(10);
/// What a UART and the kernel may add before the last bytes of a frame can be read.
const LATENCY: Duration = Duration::from_millis(2);
/// Looks for the rest of a frame of which nothing more comes, each twice as late as the one before.
const LOOKS: u32 = 4;
/// Reads in one go; more than the kernel keeps.
const READS: usize = 8;

#[derive(Debug)]
enum State {
    Closed {
        retry: Time,
    },
    Opening {
        answer: oneshot::Receiver<io::Result<Line>>,
        /// It has come.
        opened: Option<io::Result<Line>>,
        /// When to say that it takes long; once.
        slow: Option<Time>,
    },
    Open(Watched<Line>),
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A frame went out.
    Works,
    /// It cannot be used, and why.
    Broken(String),
}

/// How a line is used, for the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineStatus {
    /// The link's name.
    pub name: String,
    /// The device.
    pub device: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// Open now.
    pub open: bool,
    /// How much of what it can carry this node sends, in percent.
    pub fill_percent: u8,
    /// Messages a newer one took the place of before they went out.
    pub skipped: u64,
    /// Frames that came in damaged.
    pub dropped: Dropped,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Serial {
    device: PathBuf,
    baud: u32,
    state: State,
    backoff: Duration,
    outbox: Outbox,
    deframer: Deframer,
    rest: Rest,
}

/// The rest of a frame that has begun to come in.
#[derive(Debug, Default)]
struct Rest {
    /// When to look for it.
    at: Option<Time>,
    /// Of the last whole frame, in bytes.
    usual: usize,
    /// What there was of this one at the last look.
    seen: usize,
    looks: u32,
}

impl Serial {
    pub(super) fn new(device: PathBuf, baud: u32, keepalive: Duration, now: Time) -> Serial {
        let mut serial = Serial {
            device,
            baud,
            state: State::Closed { retry: now },
            backoff: RETRY,
            outbox: Outbox::new(baud, keepalive, now),
            deframer: Deframer::new(),
            rest: Rest::default(),
        };
        serial.begin(now);
        serial
    }

    pub(super) fn set_keepalive(&mut self, keepalive: Duration) {
        self.outbox.set_keepalive(keepalive);
    }

    pub(super) fn status(&self, name: &str, now: Time) -> LineStatus {
        LineStatus {
            name: name.to_owned(),
            device: self.device.clone(),
            baud: self.baud,
            open: matches!(self.state, State::Open(_)),
            fill_percent: self.outbox.fill_percent(now),
            skipped: self.outbox.skipped(),
            dropped: self.deframer.dropped(),
        }
    }

    /// Ready when [`Serial::read`] has something to do.
    pub(super) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Closed { .. } => Poll::Pending,
            State::Opening { opened: Some(_), .. } => Poll::Ready(()),
            State::Opening { answer, opened, .. } => Pin::new(answer).poll(context).map(|answer| {
                *opened = Some(answer.unwrap_or_else(|_| Err(io::Error::other("the opening was given up"))));
            }),
            State::Open(line) => line.poll_readable(context),
        }
    }

    /// Takes the packets that have come in, if the line is readable or the rest of a frame is due; `each` is given them.
    pub(super) fn read(&mut self, now: Time, buffer: &mut [u8], each: impl FnMut(&[u8])) -> Result<(), News> {
        self.take_answer(now)?;
        let due = self.rest.at.is_some_and(|at| at <= now);
        let State::Open(line) = &self.state else { return Ok(()) };
        // Through tokio, so that it learns when nothing is left; but what is due is less than would make it readable.
        let taken = take(&mut self.deframer, &mut self.rest, buffer, each, |buffer| {
            if due {
                return line.get().read(buffer);
            }
            let mut short = None;
            let read = line.try_read(|line| {
                let length = line.read(buffer)?;
                if length < buffer.len() {
                    // All there was: saying so now saves asking once more.
                    short = Some(length);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(length)
            });
            short.map_or(read, Ok)
        });
        self.conclude(taken, due, now)
    }

    /// Takes the packets the kernel has now, whatever tokio knows of it.
    pub(super) fn drain(&mut self, now: Time, buffer: &mut [u8], each: impl FnMut(&[u8])) {
        let State::Open(line) = &self.state else { return };
        // What is wrong with the line is seen when it is next read.
        let _ = take(&mut self.deframer, &mut self.rest, buffer, each, |buffer| line.get().read(buffer));
        self.look_for_the_rest(false, now);
    }

    fn conclude(&mut self, taken: io::Result<bool>, due: bool, now: Time) -> Result<(), News> {
        match taken {
            Ok(something) => {
                if something || due {
                    self.look_for_the_rest(due, now);
                }
                Ok(())
            }
            Err(error) => Err(self.fail(&error, now)),
        }
    }

    /// Part of a frame is there: its rest is too short to wake the loop, so it is looked for when it should be there.
    fn look_for_the_rest(&mut self, looked: bool, now: Time) {
        let seen = self.deframer.pending();
        let rest = &mut self.rest;
        rest.looks = if looked && seen == rest.seen { rest.looks + 1 } else { 0 };
        rest.seen = seen;
        rest.at = (seen > 0 && rest.looks < LOOKS).then(|| {
            let missing = rest.usual.saturating_sub(seen).max(4);
            now + (duration_of(missing, self.baud) + LATENCY) * (1 << rest.looks)
        });
    }

    /// Sends a packet when the line has room for it.
    pub(super) fn send(&mut self, packet: &[u8], now: Time) -> Option<News> {
        let State::Open(line) = &self.state else { return None };
        self.outbox.put(packet);
        let pumped = self.outbox.pump(now, line.get());
        self.pumped(pumped, now)
    }

    fn pumped(&mut self, pumped: io::Result<bool>, now: Time) -> Option<News> {
        match pumped {
            Ok(true) => {
                self.backoff = RETRY;
                Some(News::Works)
            }
            Ok(false) => None,
            Err(error) => Some(self.fail(&error, now)),
        }
    }

    /// When [`Serial::time`] or [`Serial::read`] has something to do.
    pub(super) fn due(&self) -> Option<Time> {
        match &self.state {
            State::Closed { retry } => Some(*retry),
            State::Opening { slow, .. } => *slow,
            State::Open(_) => [self.outbox.due(), self.rest.at].into_iter().flatten().min(),
        }
    }

    /// Does what is due.
    pub(super) fn time(&mut self, now: Time) -> Option<News> {
        match &mut self.state {
            State::Closed { retry } if *retry <= now => {
                self.begin(now);
                None
            }
            State::Opening { slow, .. } if slow.is_some_and(|at| at <= now) => {
                *slow = None;
                Some(News::Broken(format!("{} takes long to open", self.device.display())))
            }
            State::Open(line) if self.outbox.due().is_some_and(|due| due <= now) => {
                let pumped = self.outbox.pump(now, line.get());
                self.pumped(pumped, now)
            }
            _ => None,
        }
    }

    /// Whether all that was sent has left.
    pub(super) fn is_idle(&self, now: Time) -> bool {
        match &self.state {
            State::Open(line) => self.outbox.is_idle(now, line.get()),
            _ => true,
        }
    }

    /// Has the line opened.
    fn begin(&mut self, now: Time) {
        let (done, answer) = oneshot::channel();
        let (device, baud) = (self.device.clone(), self.baud);
        let open = move || drop(done.send(Line::open(&device, baud, WAKE)));
        let thread = std::thread::Builder::new().name("serial".into()).stack_size(crate::daemon::SMALL_STACK);
        // If there is no thread to be had, the answer's other end is dropped, and that is an answer too.
        drop(thread.spawn(open));
        self.state = State::Opening { answer, opened: None, slow: Some(now + SLOW_OPEN) };
    }

    /// Goes on with a line that was opened aside.
    fn take_answer(&mut self, now: Time) -> Result<(), News> {
        let State::Opening { answer, opened, .. } = &mut self.state else { return Ok(()) };
        let opened = opened.take().or_else(|| match answer.try_recv() {
            Ok(opened) => Some(opened),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => {
                Some(Err(io::Error::other("no thread can be had to open it")))
            }
        });
        let Some(opened) = opened else { return Ok(()) };
        match opened.and_then(Watched::new) {
            Ok(line) => {
                self.state = State::Open(line);
                self.outbox.reset(now);
                self.deframer.rejoin();
                self.rest = Rest::default();
                Ok(())
            }
            Err(error) => Err(self.fail(&error, now)),
        }
    }

    /// Gives the line up, and tries again later, and later each time.
    fn fail(&mut self, error: &io::Error, now: Time) -> News {
        let retry = now + self.backoff;
        self.backoff = (self.backoff * 2).min(LONGEST_RETRY);
        close(std::mem::replace(&mut self.state, State::Closed { retry }));
        News::Broken(format!("{}: {error}", self.device.display()))
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        close(std::mem::replace(&mut self.state, State::Closed { retry: Time::default() }));
    }
}

/// Closes a line aside.
fn close(state: State) {
    if let State::Open(line) = state {
        let thread = std::thread::Builder::new().name("serial".into()).stack_size(crate::daemon::SMALL_STACK);
        drop(thread.spawn(move || drop(line)));
    }
}

/// Takes what `read` gives until it has nothing left; whether that was anything.
fn take(
    deframer: &mut Deframer,
    rest: &mut Rest,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]),
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<bool> {
    let mut something = false;
    for _ in 0..READS {
        let length = match read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        something = true;
        for &byte in &buffer[..length] {
            let begun = deframer.pending();
            if let Some(packet) = deframer.push(byte) {
                each(packet);
                rest.usual = begun + 1;
            }
        }
        if length < buffer.len() {
            break;
        }
    }
    Ok(something)
}

#[cfg(test)]
mod tests;
