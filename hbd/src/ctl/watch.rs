//! `status --watch`: the status again each second.

use std::io::{self, Write};
use std::time::Duration;

use super::args::Common;
use super::commands::ask;
use super::fail::Fail;
use super::paint::{self, Paint, Tone};
use super::{status, text};
use crate::control::Verb;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Shows the status each second until interrupted. The first look must succeed; after it a daemon that goes
/// away is waited for, since a restart of it is what people watch.
pub(super) fn run(common: &Common) -> Result<(), Fail> {
    let socket = common.socket();
    let paint = Paint::choose(common.color, &io::stdout());
    let clears = paint::is_smart_terminal(&io::stdout());
    let mut seen_once = false;
    loop {
        match ask(common, &socket, Verb::Status) {
            Ok(data) if common.json => {
                let mut stdout = io::stdout().lock();
                writeln!(stdout, "{data}")?;
                stdout.flush()?;
            }
            Ok(data) => show(&status::render_with(&data, paint::columns(), paint), clears, paint)?,
            Err(fail) if !seen_once => return Err(fail),
            Err(Fail::NoDaemon(reason) | Fail::Refused(reason)) if common.json || !clears => {
                // A stderr that is gone is no reason to stop: stdout is what is read.
                let _ = writeln!(io::stderr(), "hbctl: {}", text::block(&reason));
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
