//! The log: text or JSON lines on stderr, written by a thread of its own.
//!
//! Whoever logs never waits: a line goes into a bounded queue, and a line that finds the queue full
//! is dropped and counted. The writer says how many were lost as soon as it gets through again.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::when::rfc3339;

/// Lines that may wait for a slow stderr.
const QUEUE: usize = 1024;
/// Stack of the writer: it only passes bytes on.
const SMALL_STACK: usize = 128 << 10;
/// Longest line in bytes; the rest is cut.
const LONGEST: usize = 8192;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: one short line for each event.
    Text,
    /// One JSON object a line.
    Json,
}

enum Item {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The way into the queue; also the daemon's view of what was lost.
#[derive(Clone)]
pub struct LogQueue {
    sender: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

impl LogQueue {
    /// Starts the writer thread on `out`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(out: Box<dyn Write + Send>) -> io::Result<LogQueue> {
        let (sender, receiver) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("log".into())
            .stack_size(SMALL_STACK)
            .spawn(move || write_lines(&receiver, out, &counter))?;
        Ok(LogQueue { sender, lost })
    }

    /// Puts one line (with its newline) into the queue; drops and counts it if the queue is full.
    pub fn put(&self, line: &[u8]) {
        let mut kept = line[..line.len().min(LONGEST)].to_vec();
        if kept.last() != Some(&b'\n') {
            kept.push(b'\n');
        }
        if self.sender.try_send(Item::Line(kept)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines lost since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until everything queued so far is written, at most `bound`.
    pub fn flush(&self, bound: Duration) {
        let (done, wait) = sync_channel(1);
        let begun = std::time::Instant::now();
        let mut item = Item::Flush(done);
        loop {
            match self.sender.try_send(item) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => item = back,
            }
            if begun.elapsed() > bound {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // Timed out or the writer is gone: there is nobody left to tell.
        let _ = wait.recv_timeout(bound.saturating_sub(begun.elapsed()));
    }
}

fn write_lines(queue: &Receiver<Item>, mut out: Box<dyn Write + Send>, lost: &AtomicU64) {
    let mut said = 0;
    while let Ok(item) = queue.recv() {
        match item {
            // A stderr that cannot be written leaves nowhere to say so.
            Item::Line(line) => drop(out.write_all(&line)),
            Item::Flush(done) => {
                let _ = out.flush();
                let _ = done.try_send(());
            }
        }
        let now = lost.load(Ordering::Relaxed);
        if now != said {
            let _ = writeln!(out, "{} log lines were lost: stderr was not read fast enough", now - said);
            said = now;
        }
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = LineWriter;
    fn make_writer(&'a self) -> LineWriter {
        LineWriter { queue: self.clone() }
    }
}

/// Passes each write on as one line: the formatter writes an event in one piece.
pub struct LineWriter {
    queue: LogQueue,
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.queue.put(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes `queue` the log of the whole process.
///
/// The level comes from `HBD_LOG`, else `RUST_LOG`, else it is `info`. Returns a sentence if that
/// variable could not be understood (then `info` holds).
pub fn install(format: Format, queue: &LogQueue) -> Option<String> {
    let (filter, complaint) = filter();
    let registry = tracing_subscriber::registry().with(filter);
    // A log already installed (a test in the same process) stays.
    let _ = match format {
        Format::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_target(false)
                    .with_writer(queue.clone()),
            )
            .try_init(),
        Format::Text => {
            let short = Short { journal: std::env::var_os("JOURNAL_STREAM").is_some() };
            registry
                .with(
                    tracing_subscriber::fmt::layer()
                        .event_format(short)
                        .with_ansi(false)
                        .with_writer(queue.clone()),
                )
                .try_init()
        }
    };
    complaint
}

fn filter() -> (Targets, Option<String>) {
    let default = Targets::new().with_default(LevelFilter::INFO);
    for name in ["HBD_LOG", "RUST_LOG"] {
        let Some(text) = std::env::var_os(name).filter(|text| !text.is_empty()) else { continue };
        return match text.to_str().and_then(|text| text.parse::<Targets>().ok()) {
            Some(filter) => (filter, None),
            None => {
                let why = format!(
                    "{name}={} is not understood (use error, warn, info, debug or trace)",
                    text.display()
                );
                (default, Some(why))
            }
        };
    }
    (default, None)
}

/// The text format: `TIME LEVEL what: from -> to: why (took)`, other fields behind it.
struct Short {
    /// journald adds the time itself and reads the level from a `<N>` prefix (sd-daemon(3)).
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Short
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if self.journal {
            let number = match level {
                Level::ERROR => 3,
                Level::WARN => 4,
                Level::INFO => 6,
                _ => 7,
            };
            write!(out, "<{number}>")?;
        } else {
            write!(out, "{} {level:<5} ", rfc3339(SystemTime::now()))?;
        }
        let mut parts = Parts::default();
        event.record(&mut parts);
        parts.write(&mut out)?;
        writeln!(out)
    }
}

/// The fields of one log event; those of a change of state have a place of their own.
#[derive(Default)]
struct Parts {
    message: String,
    kind: String,
    subject: String,
    from: String,
    to: String,
    took_ms: String,
    others: String,
}

impl Parts {
    fn write(&self, out: &mut Writer<'_>) -> fmt::Result {
        if !self.subject.is_empty() {
            write!(out, "{} {}: ", self.kind, self.subject)?;
        }
        match (self.from.as_str(), self.to.as_str()) {
            ("", "") => {}
            ("", to) => write!(out, "{to}: ")?,
            (from, "") => write!(out, "no longer {from}: ")?,
            (from, to) => write!(out, "{from} -> {to}: ")?,
        }
        // One event is one line, whatever an agent printed.
        for character in self.message.trim_end().chars() {
            match character {
                '\n' => out.write_str(" | ")?,
                c if c.is_control() => out.write_char(' ')?,
                c => out.write_char(c)?,
            }
        }
        if !self.took_ms.is_empty() {
            write!(out, " ({} ms)", self.took_ms)?;
        }
        out.write_str(&self.others)
    }

    fn put(&mut self, field: &Field, text: &dyn fmt::Display) {
        let place = match field.name() {
            "message" => &mut self.message,
            "kind" => &mut self.kind,
            "subject" => &mut self.subject,
            "from" => &mut self.from,
            "to" => &mut self.to,
            "took_ms" => &mut self.took_ms,
            name => {
                // Writing into a String does not fail.
                let _ = write!(self.others, " {name}={text}");
                return;
            }
        };
        let _ = write!(place, "{text}");
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format_args!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, &value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    /// A stderr that nobody reads until the gate opens.
    #[derive(Clone, Default)]
    struct Gated(Arc<Gate>);

    #[derive(Default)]
    struct Gate {
        state: Mutex<(bool, Vec<u8>)>,
        opened: Condvar,
    }

    impl Gated {
        fn open(&self) {
            self.0.state.lock().unwrap().0 = true;
            self.0.opened.notify_all();
        }
        fn text(&self) -> String {
            String::from_utf8(self.0.state.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.state.lock().unwrap();
            while !state.0 {
                state = self.0.opened.wait(state).unwrap();
            }
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stderr_that_is_not_read_costs_lines_but_never_waits() {
        let out = Gated::default();
        let queue = LogQueue::start(Box::new(out.clone())).unwrap();
        for n in 0..3 * QUEUE {
            queue.put(format!("line {n}\n").as_bytes());
        }
        let lost = queue.lost();
        assert!(lost >= (QUEUE as u64) && lost <= 2 * QUEUE as u64, "{lost} lost");
        out.open();
        queue.flush(Duration::from_secs(10));
        queue.put(b"after");
        queue.flush(Duration::from_secs(10));
        let text = out.text();
        assert!(text.starts_with("line 0\n"));
        assert!(text.contains(&format!("{lost} log lines were lost")), "{text}");
        assert!(text.contains("after\n"));
        assert_eq!(text.lines().filter(|l| l.starts_with("line ")).count() as u64, 3 * QUEUE as u64 - lost);
    }

    #[test]
    fn a_line_is_cut_at_its_bound() {
        let out = Gated::default();
        out.open();
        let queue = LogQueue::start(Box::new(out.clone())).unwrap();
        queue.put(&[b'x'; 3 * LONGEST]);
        queue.flush(Duration::from_secs(10));
        assert_eq!(out.text().len(), LONGEST + 1);
    }

    #[test]
    fn an_event_reads_as_one_sentence() {
        let out = Gated::default();
        out.open();
        let queue = LogQueue::start(Box::new(out.clone())).unwrap();
        let short = Short { journal: true };
        let layer =
            tracing_subscriber::fmt::layer().event_format(short).with_ansi(false).with_writer(queue.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let (from, to) = (Some("stopped"), Some("started"));
            tracing::warn!(kind = "group", subject = "vip", from, to, took_ms = 3, "b is dead\nindeed");
            let (from, to) = (Some("fallback"), None::<&str>);
            tracing::info!(kind = "virtual", subject = "www", from, to, "the real servers serve again");
            tracing::info!(port = 694, "plain");
        });
        queue.flush(Duration::from_secs(10));
        assert_eq!(
            out.text(),
            "<4>group vip: stopped -> started: b is dead | indeed (3 ms)\n\
             <6>virtual www: no longer fallback: the real servers serve again\n<6>plain port=694\n"
        );
    }
}
