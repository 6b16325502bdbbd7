//! Colours: four meanings, on a terminal only.

use std::fmt::Display;
use std::io::IsTerminal;

use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// Somebody must act.
    Bad,
    /// Less important.
    Dim,
    /// A heading.
    Head,
    /// Nothing special.
    Plain,
}

/// Colours text, or leaves it alone.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Never colours.
    pub const OFF: Paint = Paint { on: false };

    /// By `--color`; `auto` colours if `stream` is a terminal that can, and `NO_COLOR` is not set (or empty:
    /// <https://no-color.org>).
    pub fn choose(color: Color, stream: &impl IsTerminal) -> Paint {
        let on = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && is_smart_terminal(stream)
            }
        };
        Paint { on }
    }

    /// Whether it colours.
    pub fn is_on(self) -> bool {
        self.on
    }

    /// `text` in the colour of `tone`.
    pub fn tint(self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
            Tone::Dim => "2",
            Tone::Head => "1",
            Tone::Plain => "",
        };
        if self.on && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Whether `stream` is a terminal that knows escape sequences.
pub fn is_smart_terminal(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Columns of the terminal our output goes to, within reason; 80 if there is none.
pub fn columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0).clamp(40, 120))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_when_on() {
        assert_eq!(Paint::OFF.tint(Tone::Bad, "x"), "x");
        assert_eq!(Paint { on: true }.tint(Tone::Bad, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Paint { on: true }.tint(Tone::Plain, "x"), "x");
    }
}
