//! What an agent writes: line by line into the log, cut and counted, the last of it kept.

use std::collections::VecDeque;
use std::sync::Arc;

use tracing::{debug, error, info, warn};
use zeroize::Zeroizing;

/// A line is cut here.
const MAX_LINE: usize = 1024;
/// So much of the end is kept.
const TAIL: usize = 2048;
/// So much of stdout is kept for reading, unless a [`Label`] says otherwise.
pub(crate) const CAPTURE: usize = 64 * 1024;
/// So much of the last line goes into a sentence.
const LAST_WORDS: usize = 300;
/// OCF agents mark the line that should reach the operator (Pacemaker's convention, `ocf_exit_reason`).
const EXIT_REASON: &str = "ocf-exit-reason:";

/// How an agent's lines are to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chatter {
    /// stdout as info, stderr as warn.
    Plain,
    /// The same at every look: debug.
    Routine,
    /// As the line says of itself (`INFO:`, `ERROR:`, …; OCF agents), else as [`Chatter::Plain`].
    Severities,
    /// stdout is data: not logged.
    Data,
}

/// Whose output it is, and its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub group: String,
    pub resource: String,
    pub action: &'static str,
    pub chatter: Chatter,
    /// Lines logged; more are counted.
    pub max_lines: usize,
    /// Bytes of stdout kept for reading.
    pub capture: usize,
    /// Words that are struck out of what is logged and told.
    pub secrets: Arc<Secrets>,
}

/// Words that must not be seen.
#[derive(Default)]
pub(crate) struct Secrets(pub Vec<Zeroizing<String>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// `line` without them.
    fn strike(&self, mut line: String) -> String {
        for secret in self.0.iter().filter(|secret| !secret.is_empty()) {
            if line.contains(secret.as_str()) {
                line = line.replace(secret.as_str(), "…");
            }
        }
        line
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// Takes all an operation writes.
#[derive(Debug)]
pub(crate) struct Output {
    label: Label,
    lines: usize,
    unlogged: u64,
    captured: Vec<u8>,
    tail: VecDeque<u8>,
    partial: [Partial; 2],
    /// The last line of stdout, of stderr, and the last exit reason.
    last: [String; 3],
}

#[derive(Debug, Default)]
struct Partial {
    line: Vec<u8>,
    cut: bool,
}

impl Output {
    pub fn new(label: Label) -> Output {
        Output {
            label,
            lines: 0,
            unlogged: 0,
            captured: Vec::new(),
            tail: VecDeque::new(),
            partial: Default::default(),
            last: Default::default(),
        }
    }

    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Some bytes, as they came.
    pub fn feed(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Out {
            let room = self.label.capture.saturating_sub(self.captured.len());
            self.captured.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, whole) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let partial = &mut self.partial[stream as usize];
            let room = MAX_LINE - partial.line.len();
            partial.line.extend_from_slice(&text[..text.len().min(room)]);
            partial.cut |= text.len() > room;
            if whole {
                self.end_line(stream);
            }
        }
    }

    /// No more will come, or it does not count any more.
    pub fn finish(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            if !self.partial[stream as usize].line.is_empty() {
                self.end_line(stream);
            }
        }
        if self.unlogged > 0 {
            let Label { group, resource, action, .. } = &self.label;
            warn!(target: "agent", group, resource, op = action, "{} more lines not logged", self.unlogged);
            self.unlogged = 0;
        }
    }

    /// The start of stdout, as it came.
    pub fn take_captured(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.captured)
    }

    /// The end of it all.
    pub fn tail(&self) -> String {
        let (a, b) = self.tail.as_slices();
        String::from_utf8_lossy(&[a, b].concat()).trim_start_matches('\u{fffd}').to_owned()
    }

    /// What is most likely to tell why: the exit reason, else the last line of stderr, else of stdout.
    pub fn last_words(&self) -> String {
        let [out, err, reason] = &self.last;
        let words = [reason, err, out].into_iter().find(|s| !s.is_empty()).map_or("", |s| s.as_str());
        match words.char_indices().nth(LAST_WORDS) {
            Some((end, _)) => format!("{}…", &words[..end]),
            None => words.to_owned(),
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let partial = std::mem::take(&mut self.partial[stream as usize]);
        let mut line = self.label.secrets.strike(printable(&partial.line));
        if partial.cut {
            line.push_str(" […]");
        }
        self.tail.extend(line.as_bytes().iter().chain(b"\n"));
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
        let text = line.trim();
        if text.is_empty() {
            return;
        }
        if let Some(reason) = text.strip_prefix(EXIT_REASON) {
            self.last[2] = reason.trim().to_owned();
        } else {
            self.last[stream as usize] = text.to_owned();
        }
        if self.label.chatter == Chatter::Data && stream == Stream::Out {
            return;
        }
        if self.lines >= self.label.max_lines {
            self.unlogged += 1;
            return;
        }
        self.lines += 1;
        self.log(stream, &line);
    }

    fn log(&self, stream: Stream, line: &str) {
        let Label { group, resource, action, chatter, .. } = &self.label;
        let said = if *chatter == Chatter::Severities { severity(line) } else { None };
        let level = match (said, chatter, stream) {
            (Some(level), _, _) => level,
            (None, Chatter::Routine, _) => tracing::Level::DEBUG,
            (None, _, Stream::Out) => tracing::Level::INFO,
            (None, _, Stream::Err) => tracing::Level::WARN,
        };
        // The level of an event is part of its callsite: one for each.
        match level {
            tracing::Level::ERROR => {
                error!(target: "agent", group, resource, op = action, "{line}")
            }
            tracing::Level::WARN => warn!(target: "agent", group, resource, op = action, "{line}"),
            tracing::Level::INFO => info!(target: "agent", group, resource, op = action, "{line}"),
            _ => debug!(target: "agent", group, resource, op = action, "{line}"),
        }
    }
}

/// What `ocf_log` has put into a line.
fn severity(line: &str) -> Option<tracing::Level> {
    line.split_whitespace().take(6).find_map(|word| match word {
        "ERROR:" | "CRIT:" | "ERR:" => Some(tracing::Level::ERROR),
        "WARNING:" | "WARN:" => Some(tracing::Level::WARN),
        "INFO:" | "NOTICE:" => Some(tracing::Level::INFO),
        "DEBUG:" => Some(tracing::Level::DEBUG),
        _ => None,
    })
}

/// As text that can be shown on a terminal: what is no UTF-8 is replaced, control characters are written out.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).trim_end().chars() {
        if c.is_control() && c != '\t' {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(max_lines: usize) -> Output {
        Output::new(Label {
            group: "g".into(),
            resource: "r".into(),
            action: "start",
            chatter: Chatter::Plain,
            max_lines,
            capture: 10,
            secrets: Arc::default(),
        })
    }

    #[test]
    fn lines_are_put_together_whatever_the_pieces() {
        let mut o = output(9);
        for piece in ["on", "e\ntw", "o\n", "\n", "thr", "ee"] {
            o.feed(Stream::Out, piece.as_bytes());
        }
        assert_eq!(o.tail(), "one\ntwo\n\n");
        o.finish();
        assert_eq!(o.tail(), "one\ntwo\n\nthree\n");
        assert_eq!(o.last_words(), "three");
        assert_eq!(o.lines, 3);
        assert_eq!(o.take_captured(), b"one\ntwo\n\nt");
    }

    #[test]
    fn a_line_without_end_stays_small() {
        let mut o = output(9);
        for _ in 0..1000 {
            o.feed(Stream::Err, &[b'x'; 8192]);
        }
        assert_eq!(o.partial[1].line.len(), MAX_LINE);
        o.feed(Stream::Err, b"\nshort\n");
        assert!(o.tail().ends_with("xxx […]\nshort\n"), "{}", o.tail());
        assert!(o.tail.len() <= TAIL && o.lines == 2);
    }

    #[test]
    fn too_many_lines_are_counted() {
        let mut o = output(2);
        o.feed(Stream::Out, b"1\n2\n3\n4\n5\n");
        assert_eq!((o.lines, o.unlogged), (2, 3));
        assert_eq!(o.last_words(), "5");
    }

    #[test]
    fn binary_output_becomes_text_without_control_characters() {
        let mut o = output(9);
        o.feed(Stream::Out, b"\xff\xfe\x1b[31mred\x00\r\n");
        assert_eq!(o.last_words(), "\u{fffd}\u{fffd}\\u{1b}[31mred\\u{0}");
        assert!(!o.tail().chars().any(|c| c.is_control() && c != '\n'));
    }

    #[test]
    fn the_exit_reason_wins_over_the_last_line_and_that_of_stderr_over_stdout() {
        let mut o = output(9);
        o.feed(Stream::Out, b"out\n");
        assert_eq!(o.last_words(), "out");
        o.feed(Stream::Err, b"err\n");
        o.feed(Stream::Out, b"out again\n");
        assert_eq!(o.last_words(), "err");
        o.feed(Stream::Err, b"ocf-exit-reason:no such device\nerr again\n");
        assert_eq!(o.last_words(), "no such device");
    }

    #[test]
    fn a_long_last_word_is_cut_between_characters() {
        let mut o = output(9);
        o.feed(Stream::Out, "ä".repeat(400).as_bytes());
        o.finish();
        assert_eq!(o.last_words().chars().count(), LAST_WORDS + 1);
    }

    #[test]
    fn secrets_are_struck_out_of_whatever_is_shown() {
        let mut o = output(9);
        o.label.secrets = Arc::new(Secrets(vec!["s3cret".to_owned().into(), String::new().into()]));
        o.feed(Stream::Err, b"login with s3cr");
        o.feed(Stream::Err, b"et refused\n");
        assert_eq!(o.last_words(), "login with … refused");
        assert!(!o.tail().contains("s3cret"));
    }

    #[test]
    fn the_severity_of_ocf_log_is_believed() {
        assert_eq!(severity("Nov 23 00:41:14 ERROR: no"), Some(tracing::Level::ERROR));
        assert_eq!(severity("Dummy(x)[12]: INFO: yes"), Some(tracing::Level::INFO));
        assert_eq!(
            severity("there was an ERROR: far behind in a long long line"),
            Some(tracing::Level::ERROR)
        );
        assert_eq!(severity("one two three four five six seven ERROR: x"), None);
    }
}
