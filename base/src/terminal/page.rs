//! A page of text for a screen of some width.

use super::paint::{Paint, Tone};
use super::text;

/// The text as it grows.
pub struct Page {
    /// So far.
    pub out: String,
    /// Columns of the screen.
    pub width: usize,
    /// Its colours.
    pub paint: Paint,
}

impl Page {
    /// An empty one.
    pub fn new(width: usize, paint: Paint) -> Page {
        Page { out: String::new(), width, paint }
    }

    /// A finished line.
    pub fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// An empty line and a heading.
    pub fn heading(&mut self, text: &str) {
        self.out.push('\n');
        let heading = self.paint.tint(Tone::Head, text);
        self.line(&heading);
    }

    /// `head`, then `body` wrapped beside it. `head` may hold colours, so its width is given.
    pub fn hang(&mut self, head: &str, head_width: usize, tone: Tone, body: &str) {
        let lines = text::wrap(body, self.width.saturating_sub(head_width));
        if lines.is_empty() {
            self.line(head);
        }
        for (number, line) in lines.iter().enumerate() {
            let line = self.paint.tint(tone, line);
            if number == 0 {
                self.line(&format!("{head}{line}"));
            } else {
                self.line(&format!("{:head_width$}{line}", ""));
            }
        }
    }

    /// `text` in colour, filled up to `width` columns.
    pub fn cell(&self, tone: Tone, text: &str, width: usize) -> String {
        let fill = width.saturating_sub(text.chars().count());
        format!("{}{:fill$}", self.paint.tint(tone, text), "")
    }
}

/// Widest of `texts`, but no more than `most`.
pub fn widest<'a>(texts: impl Iterator<Item = &'a str>, most: usize) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0).min(most)
}
