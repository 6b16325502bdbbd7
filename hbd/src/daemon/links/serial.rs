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
use sys::watch::Once;
use tokio::sync::oneshot;

use super::outbox::{Outbox, duration_of};

/// Between two tries to open a line: at first, and at most.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// An opening that takes longer is said to.
const SLOW_OPEN: Duration = Duration::from_secs(10);
/// What the UART, the kernel and a line slower than it says add before the last bytes of a frame can be read: at first, at
/// most, by how much more it is taken to be after a look that came too early, and less after one that did not. So one look
/// in ten or so is in vain, and none waits much longer than it must.
const LAG: Duration = Duration::from_millis(2);
const LONGEST_LAG: Duration = Duration::from_millis(20);
const EARLY: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_micros(100);
/// Looks for the rest of a frame of which nothing more comes, each twice as late as the one before.
const LOOKS: u32 = 4;
/// Between two looks at what is no frame: noise must not wake the loop for each byte.
const NOISE: Duration = Duration::from_millis(10);
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
    Open(Once<Line>),
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
    /// A line in use was not said yet: it may be this process's own, being closed aside.
    patient: bool,
    outbox: Outbox,
    deframer: Deframer,
    rest: Rest,
}

/// The rest of a frame that has begun to come in. Its first bytes wake the loop; the others, which come a few at
/// a time, are not waited for but looked for when they should be there.
#[derive(Debug)]
struct Rest {
    /// When to look. The line is watched while this is `None`.
    at: Option<Time>,
    /// Of the last whole frame, in bytes.
    usual: usize,
    /// Looks that found nothing.
    looks: u32,
    /// Looks at this frame.
    tries: u32,
    /// See [`LAG`].
    lag: Duration,
}

impl Rest {
    fn new() -> Rest {
        Rest { at: None, usual: 0, looks: 0, tries: 0, lag: LAG }
    }

    /// A frame is there: it took so many looks.
    fn learn(&mut self) {
        match std::mem::take(&mut self.tries) {
            0 => {}
            1 => self.lag = self.lag.saturating_sub(LATE).max(LAG),
            _ => self.lag = (self.lag + EARLY).min(LONGEST_LAG),
        }
    }
}

/// What a read brought.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    bytes: usize,
    packets: usize,
}

impl Serial {
    pub(super) fn new(device: PathBuf, baud: u32, keepalive: Duration, now: Time) -> Serial {
        let mut serial = Serial {
            device,
            baud,
            state: State::Closed { retry: now },
            backoff: RETRY,
            patient: true,
            outbox: Outbox::new(baud, keepalive, now),
            deframer: Deframer::new(),
            rest: Rest::new(),
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
        if !(line.fired() || due) {
            return Ok(());
        }
        let taken = take(line.get(), &mut self.deframer, &mut self.rest, buffer, each);
        taken.and_then(|taken| self.go_on(taken, now)).map_err(|error| self.fail(&error, now))
    }

    /// Takes the packets the kernel has now, whether it was woken for them or not.
    pub(super) fn drain(&mut self, buffer: &mut [u8], each: impl FnMut(&[u8])) {
        if let State::Open(line) = &self.state {
            // What is wrong with the line is seen when it is next read.
            let _ = take(line.get(), &mut self.deframer, &mut self.rest, buffer, each);
        }
    }

    /// Waits for the next frame, or looks for the rest of this one when it should be there.
    fn go_on(&mut self, taken: Taken, now: Time) -> io::Result<()> {
        let State::Open(line) = &self.state else { return Ok(()) };
        let (seen, rest) = (self.deframer.pending(), &mut self.rest);
        let whole = taken.packets > 0 && seen == 0;
        if taken.packets > 0 {
            rest.learn();
        }
        if whole || (taken.bytes == 0 && rest.looks >= LOOKS) {
            (rest.at, rest.looks, rest.tries) = (None, 0, 0);
            return line.again();
        }
        rest.tries += 1;
        rest.looks = if taken.bytes == 0 { rest.looks + 1 } else { 0 };
        let wait = match seen {
            0 => NOISE,
            _ => duration_of(rest.usual.saturating_sub(seen).max(4), self.baud) + rest.lag,
        };
        rest.at = Some(now + wait * (1 << rest.looks));
        Ok(())
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
        let open = move || drop(done.send(Line::open(&device, baud)));
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
        match opened.and_then(Once::new) {
            Ok(line) => {
                self.state = State::Open(line);
                self.outbox.reset(now);
                self.deframer.rejoin();
                self.rest = Rest::new();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && self.patient => {
                self.patient = false;
                self.state = State::Closed { retry: now + RETRY };
                Ok(())
            }
            Err(error) => Err(self.fail(&error, now)),
        }
    }

    /// Throws away what has not left yet, lest the end of this process wait for it.
    pub(super) fn discard(&self) {
        if let State::Open(line) = &self.state {
            line.get().discard();
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

/// Takes what the line has until it has nothing left.
fn take(
    line: &Line,
    deframer: &mut Deframer,
    rest: &mut Rest,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]),
) -> io::Result<Taken> {
    let mut taken = Taken::default();
    for _ in 0..READS {
        let length = match line.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        taken.bytes += length;
        for &byte in &buffer[..length] {
            let begun = deframer.pending();
            if let Some(packet) = deframer.push(byte) {
                each(packet);
                taken.packets += 1;
                rest.usual = begun + 1;
            }
        }
        if length < buffer.len() {
            break;
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests;
