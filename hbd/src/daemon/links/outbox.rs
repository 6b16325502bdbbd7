//! What is to go out on a serial line, at the pace of the line.
//!
//! A line is slow, and a message says all that the one before it said. So one frame is under way, at most one
//! waits, and a newer one takes its place; the driver is given a piece when the last one has left, and never more
//! than the line carries in a keepalive. When something has left is reckoned from the speed of the line, and asked of
//! the driver too, for the case that the line is slower than it should be.

use std::io;
use std::time::Duration;

use cluster::Time;
use proto::serial::put_frame;

/// A line that takes nothing for longer than this, and for [`STUCK_KEEPALIVES`], is stuck.
const STUCK: Duration = Duration::from_secs(2);
/// See [`STUCK`].
const STUCK_KEEPALIVES: u32 = 4;
/// Over how long the fill is taken.
const WINDOW: Duration = Duration::from_secs(5);

/// Where the bytes go.
pub(super) trait Port {
    /// Takes some bytes, or none (`WouldBlock`).
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Bytes taken that have not left yet.
    fn queued(&self) -> usize;
}

impl Port for sys::serial::Line {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }
    fn queued(&self) -> usize {
        self.queued()
    }
}

/// How long `bytes` take at `baud`: ten bits each, with start and stop bit.
pub(super) fn duration_of(bytes: usize, baud: u32) -> Duration {
    Duration::from_nanos((bytes as u64).saturating_mul(10_000_000_000) / u64::from(baud.max(1)))
}

/// See the module.
#[derive(Debug)]
pub(super) struct Outbox {
    baud: u32,
    keepalive: Duration,
    /// The frame under way, and how much of it the driver has.
    frame: Vec<u8>,
    at: usize,
    /// The frame that waits, if `waiting`.
    next: Vec<u8>,
    waiting: bool,
    /// When all that the driver was given has left.
    free: Time,
    /// When there is something to do.
    due: Option<Time>,
    /// Since when the driver has taken nothing it should have.
    stuck: Option<Time>,
    /// Frames whose place a newer one took.
    skipped: u64,
    fill: Fill,
}

impl Outbox {
    pub(super) fn new(baud: u32, keepalive: Duration, now: Time) -> Outbox {
        Outbox {
            baud,
            keepalive,
            frame: Vec::new(),
            at: 0,
            next: Vec::new(),
            waiting: false,
            free: now,
            due: None,
            stuck: None,
            skipped: 0,
            fill: Fill { since: now, bytes: 0, last: None },
        }
    }

    /// What the line carries in a keepalive, in bytes.
    fn capacity(&self) -> usize {
        let bytes = self.keepalive.as_nanos() * u128::from(self.baud) / 10_000_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
    }

    /// Takes a packet, in place of one that still waits.
    pub(super) fn put(&mut self, packet: &[u8]) {
        self.skipped += u64::from(self.waiting);
        self.next.clear();
        put_frame(&mut self.next, packet);
        self.waiting = true;
    }

    /// The keepalive of a new configuration.
    pub(super) fn set_keepalive(&mut self, keepalive: Duration) {
        self.keepalive = keepalive;
    }

    /// When [`Outbox::pump`] has something to do.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// Gives the driver what the line has room for. True if something was taken.
    ///
    /// # Errors
    /// Those of the port, and a line that takes nothing for too long.
    pub(super) fn pump(&mut self, now: Time, port: &impl Port) -> io::Result<bool> {
        let mut taken = false;
        self.due = None;
        loop {
            if self.at == self.frame.len() && !self.waiting {
                return Ok(taken);
            }
            let owed = self.free.since(now);
            let queued = port.queued();
            if queued > 0 && owed.is_zero() {
                // Slower than it should be, or stuck.
                self.wait(now, duration_of(queued, self.baud))?;
                return Ok(taken);
            }
            if !owed.is_zero() {
                self.due = Some(now + owed);
                return Ok(taken);
            }
            if self.at == self.frame.len() {
                std::mem::swap(&mut self.frame, &mut self.next);
                (self.at, self.waiting) = (0, false);
            }
            let end = self.frame.len().min(self.at + self.capacity());
            match port.write(&self.frame[self.at..end]) {
                Ok(count) if count > 0 => {
                    self.at += count;
                    self.free = now + duration_of(count, self.baud);
                    self.fill.add(count, now);
                    self.stuck = None;
                    taken = true;
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {
                    if self.at == 0 {
                        // Not begun: a newer one may still take its place.
                        std::mem::swap(&mut self.frame, &mut self.next);
                        (self.at, self.waiting) = (self.frame.len(), true);
                    }
                    self.wait(now, Duration::ZERO)?;
                    return Ok(taken);
                }
            }
        }
    }

    /// The driver takes nothing: looks again a little later.
    fn wait(&mut self, now: Time, least: Duration) -> io::Result<()> {
        let since = *self.stuck.get_or_insert(now);
        let stuck = now.since(since);
        if stuck > STUCK.max(self.keepalive * STUCK_KEEPALIVES) {
            let text = format!("the line has taken nothing for {} ms", stuck.as_millis());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.due = Some(now + least.max(self.keepalive / 8));
        Ok(())
    }

    /// Forgets what was under way: the line is another one now.
    pub(super) fn reset(&mut self, now: Time) {
        (self.at, self.waiting, self.free, self.due, self.stuck) = (self.frame.len(), false, now, None, None);
    }

    /// Whether all that was put has left, as far as can be told.
    pub(super) fn is_idle(&self, now: Time, port: &impl Port) -> bool {
        self.at == self.frame.len() && !self.waiting && self.free <= now && port.queued() == 0
    }

    /// Frames whose place a newer one took before they went out.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How much of what the line can carry is used, in percent.
    pub(super) fn fill_percent(&self, now: Time) -> u8 {
        let (bytes, over) = self.fill.last.unwrap_or((self.fill.bytes, now.since(self.fill.since)));
        // Of a line just opened the first frame alone says nothing: it is taken as one of each keepalive.
        let over = over.max(self.keepalive);
        let percent = duration_of(bytes, self.baud).as_nanos() * 100 / over.as_nanos().max(1);
        u8::try_from(percent).unwrap_or(u8::MAX)
    }
}

/// Bytes over time.
#[derive(Debug)]
struct Fill {
    since: Time,
    bytes: usize,
    /// Of the last whole window.
    last: Option<(usize, Duration)>,
}

impl Fill {
    fn add(&mut self, bytes: usize, now: Time) {
        let over = now.since(self.since);
        if over >= WINDOW {
            self.last = Some((self.bytes, over));
            (self.since, self.bytes) = (now, 0);
        }
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proto::serial::Deframer;

    use super::*;

    /// A line that takes what it is given and sends it at its own pace.
    #[derive(Default)]
    struct Wire {
        given: RefCell<Vec<u8>>,
        queued: Cell<usize>,
        room: Cell<Option<usize>>,
        most: Cell<usize>,
    }

    impl Port for Wire {
        fn write(&self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room.get().unwrap_or(usize::MAX));
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.given.borrow_mut().extend_from_slice(&bytes[..count]);
            self.most.set(self.most.get().max(count));
            Ok(count)
        }
        fn queued(&self) -> usize {
            self.queued.get()
        }
    }

    impl Wire {
        fn packets(&self) -> Vec<Vec<u8>> {
            let mut deframer = Deframer::new();
            self.given.borrow().iter().filter_map(|&b| deframer.push(b).map(<[u8]>::to_vec)).collect()
        }
    }

    fn t(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn packet(n: u8, length: usize) -> Vec<u8> {
        vec![n; length]
    }

    const KEEPALIVE: Duration = Duration::from_millis(200);

    #[test]
    fn a_heartbeat_goes_out_at_once_and_nothing_is_left_to_do() {
        let (mut outbox, wire) = (Outbox::new(19200, KEEPALIVE, t(0)), Wire::default());
        for beat in 0..10 {
            outbox.put(&packet(beat, 85));
            assert!(outbox.pump(t(200 * u64::from(beat)), &wire).unwrap());
            assert_eq!(outbox.due(), None, "no wake for it");
        }
        assert_eq!(wire.packets().len(), 10);
        assert_eq!((outbox.skipped(), outbox.fill_percent(t(2000))), (0, 23));
    }

    #[test]
    fn of_many_at_once_the_first_goes_out_and_then_the_newest() {
        let (mut outbox, wire) = (Outbox::new(9600, KEEPALIVE, t(0)), Wire::default());
        for n in 1..=6 {
            outbox.put(&packet(n, 85));
            outbox.pump(t(u64::from(n)), &wire).unwrap();
        }
        assert_eq!(wire.packets(), [packet(1, 85)]);
        // 92 bytes take 95.8 ms.
        let due = outbox.due().expect("the newest waits");
        assert!(due > t(96) && due < t(97), "{due:?}");
        outbox.pump(due, &wire).unwrap();
        assert_eq!(wire.packets(), [packet(1, 85), packet(6, 85)]);
        assert_eq!((outbox.skipped(), outbox.due()), (4, None));
    }

    #[test]
    fn a_long_frame_is_given_in_pieces_of_a_keepalive_at_most() {
        let (mut outbox, wire) = (Outbox::new(9600, KEEPALIVE, t(0)), Wire::default());
        outbox.put(&packet(1, 1000));
        let mut now = t(0);
        outbox.pump(now, &wire).unwrap();
        while let Some(due) = outbox.due() {
            now = due;
            outbox.pump(now, &wire).unwrap();
        }
        assert_eq!(wire.packets(), [packet(1, 1000)]);
        assert_eq!(wire.most.get(), 192, "what 9600 baud carry in 200 ms");
        assert!(now > t(900), "at the line's pace: {now:?}");
    }

    #[test]
    fn a_line_slower_than_it_says_is_waited_for() {
        let (mut outbox, wire) = (Outbox::new(19200, KEEPALIVE, t(0)), Wire::default());
        outbox.put(&packet(1, 85));
        outbox.pump(t(0), &wire).unwrap();
        wire.queued.set(60);
        outbox.put(&packet(2, 85));
        outbox.pump(t(100), &wire).unwrap();
        assert_eq!(wire.packets().len(), 1);
        assert!(outbox.due().is_some());
        wire.queued.set(0);
        outbox.pump(outbox.due().unwrap(), &wire).unwrap();
        assert_eq!(wire.packets().len(), 2);
    }

    #[test]
    fn a_frame_half_taken_is_finished_before_the_next() {
        let (mut outbox, wire) = (Outbox::new(115_200, KEEPALIVE, t(0)), Wire::default());
        wire.room.set(Some(40));
        outbox.put(&packet(1, 85));
        let mut now = t(0);
        outbox.pump(now, &wire).unwrap();
        outbox.put(&packet(2, 85));
        while let Some(due) = outbox.due() {
            now = due;
            outbox.pump(now, &wire).unwrap();
        }
        assert_eq!(wire.packets(), [packet(1, 85), packet(2, 85)]);
    }

    #[test]
    fn a_line_that_takes_nothing_is_an_error_in_the_end_and_costs_few_looks() {
        let (mut outbox, wire) = (Outbox::new(19200, KEEPALIVE, t(0)), Wire::default());
        wire.room.set(Some(0));
        let (mut now, mut looks) = (t(0), 0);
        let error = loop {
            looks += 1;
            if now >= t(200 * (looks / 8)) {
                outbox.put(&packet(1, 85));
            }
            match outbox.pump(now, &wire) {
                Ok(taken) => assert!(!taken),
                Err(error) => break error,
            }
            now = outbox.due().expect("looks again");
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(now >= t(2000) && now < t(2200), "{now:?}");
        assert!(looks < 90, "{looks}");
        outbox.reset(now);
        wire.room.set(None);
        outbox.put(&packet(9, 85));
        assert!(outbox.pump(now, &wire).unwrap());
        assert_eq!(wire.packets(), [packet(9, 85)]);
    }
}
