//! Progress of an order on stderr: one line that is rewritten on a terminal, plain lines elsewhere.

use std::io::{self, Write};
use std::time::Instant;

use super::{age, paint, text};

/// Where progress goes.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    rewrites: bool,
    last: String,
    shown: bool,
}

impl Progress {
    /// Begins now.
    pub(super) fn new() -> Progress {
        Progress {
            begun: Instant::now(),
            rewrites: paint::is_smart_terminal(&io::stderr()),
            last: String::new(),
            shown: false,
        }
    }

    /// The daemon's newest word.
    pub(super) fn news(&mut self, news: &str) {
        self.last = text::line(news);
        if self.rewrites {
            self.tick();
        } else {
            // A stderr that is gone takes nothing away from the order.
            let _ = writeln!(io::stderr(), "{}", self.last);
        }
    }

    /// Time has passed: shows on a terminal that we still wait, and how long.
    pub(super) fn tick(&mut self) {
        if !self.rewrites {
            return;
        }
        let waited = age::show_duration(self.begun.elapsed());
        let what = if self.last.is_empty() { "waiting for hbd" } else { &self.last };
        let line = text::shorten(what, paint::columns().saturating_sub(waited.len() + 4));
        let _ = write!(io::stderr(), "\r\x1b[K{line} ({waited})");
        let _ = io::stderr().flush();
        self.shown = true;
    }

    /// Takes the rewritten line away; what was said last.
    pub(super) fn end(&mut self) -> &str {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
            let _ = io::stderr().flush();
            self.shown = false;
        }
        &self.last
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
