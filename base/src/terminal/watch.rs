//! `status --watch`: the status again each second.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;

use super::fail::Fail;
use super::paint::{self, Color, Paint, Tone};
use super::text;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Who watches, and how it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// The tool's name, for its complaints.
    pub tool: &'a str,
    /// JSON lines for scripts.
    pub json: bool,
    /// When to use colours.
    pub color: Color,
}

/// Shows what `look` brings, as `render` shows it, each second until interrupted. The first look must
/// succeed; after it a daemon that goes away is waited for, since a restart of it is what people watch.
///
/// # Errors
/// When there is nobody to look at, or nobody to show it to.
pub fn run(
    viewer: Viewer<'_>,
    mut look: impl FnMut() -> Result<Value, Fail>,
    render: impl Fn(&Value, usize, Paint) -> String,
) -> Result<(), Fail> {
    let paint = Paint::choose(viewer.color, &io::stdout());
    let clears = paint::is_smart_terminal(&io::stdout());
    let mut seen_once = false;
    loop {
        match look() {
            Ok(data) if viewer.json => {
                let mut stdout = io::stdout().lock();
                writeln!(stdout, "{data}")?;
                stdout.flush()?;
            }
            Ok(data) => show(&render(&data, paint::columns(), paint), clears, paint)?,
            Err(fail) if !seen_once => return Err(fail),
            Err(Fail::NoDaemon(reason) | Fail::Refused(reason)) if viewer.json || !clears => {
                // A stderr that is gone is no reason to stop: stdout is what is read.
                let _ = writeln!(io::stderr(), "{}: {}", viewer.tool, text::block(&reason));
            }
            Err(Fail::NoDaemon(reason) | Fail::Refused(reason)) => {
                show(
                    &format!("{}  {}\n", paint.tint(Tone::Bad, "NO ANSWER"), text::block(&reason)),
                    clears,
                    paint,
                )?;
            }
            Err(fail) => return Err(fail),
        }
        seen_once = true;
        std::thread::sleep(EVERY);
    }
}

/// One picture: over the last one on a terminal, after it elsewhere.
fn show(picture: &str, clears: bool, paint: Paint) -> Result<(), Fail> {
    let mut out = String::new();
    let now = jiff::Zoned::now().strftime("%b %d %H:%M:%S").to_string();
    let head = paint.tint(Tone::Dim, format!("{now}  (each second; Ctrl-C ends)"));
    if clears {
        // Home, each line cleared to its end, the rest below cleared: no flicker.
        out.push_str("\x1b[H");
        for line in std::iter::once(head.as_str()).chain(picture.lines()) {
            out.push_str(line);
            out.push_str("\x1b[K\n");
        }
        out.push_str("\x1b[J");
    } else {
        out = format!("{now}\n{picture}\n");
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(out.as_bytes())?;
    Ok(stdout.flush()?)
}
