//! `/`: one page with everything in it, made here whole, so that it needs no script to be read. Its script fetches it anew
//! and puts the new `<main>` in the place of the old one: there is one picture, and one place where text is escaped.

mod advice;
mod parts;

use std::fmt::{self, Display, Write};

use base::terminal::age;
use base::terminal::look::Look;
use serde_json::Value;

use crate::ctl::status::{Phase, Verdict, judged};

/// Style, script, and two places to be filled.
const FRAME: &str = include_str!("page.html");
/// Nothing may be loaded, and nothing run but the style and the script of [`FRAME`], by their SHA-256: text that got into
/// the page unescaped could still do nothing.
pub(super) const POLICY: &str = concat!(
    "Content-Security-Policy: default-src 'none'; connect-src 'self'; img-src data:; ",
    "style-src 'sha256-QYr/BtY3YW+xL/525izDxrEsB3lHub8eRyyT+dtBUKQ='; script-src 'sha256-M+l5vRcO1X9Xl+DxPPUqR8fN7nbMMxIUPEGOH+cHfrI='; ",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
);

/// Text in HTML, or in an attribute between double quotes.
struct Safe<'a>(&'a str);

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

/// Adds to `out`; writing to a String cannot fail.
macro_rules! put {
    ($out:expr, $($what:tt)*) => {{ let _ = write!($out, $($what)*); }};
}
use put;

/// The page for a status and the newest events, newest first.
pub(super) fn render(status: &Value, events: &[Value]) -> String {
    let look = Look(status);
    let (verdict, reasons) = judged(look);
    let (word, tone) = match verdict {
        Verdict::Ok => ("OK", "good"),
        Verdict::Degraded => ("DEGRADED", "warn"),
        Verdict::Down => ("DOWN", "bad"),
    };
    let (cluster, node) = (look.text("cluster"), look.text("node"));
    let mut out = format!(
        "<main><section class=\"verdict {tone}\"><span class=pill>{word}</span> <small>cluster <b>{}</b>, \
         as node <b>{}</b> sees it</small><h1>",
        Safe(&cluster),
        Safe(&node)
    );
    headline(look, &mut out);
    out.push_str("</h1>");
    if !reasons.is_empty() {
        out.push_str("<ul class=why>");
        reasons.iter().for_each(|reason| put!(out, "<li>{}</li>", Safe(reason)));
        out.push_str("</ul>");
    }
    out.push_str("</section>");
    advice::render(look, &mut out);
    parts::nodes(look, &mut out);
    parts::groups(look, &mut out);
    parts::outside(look, &mut out);
    parts::events(events, &mut out);
    put!(
        out,
        "<footer>hbd {}, running for {} &middot; <a href=metrics>metrics</a> &middot; <a href=api/status>status</a> \
         &middot; <a href=healthz>health</a></footer></main>",
        Safe(&look.text("version")),
        age::show(look.number("uptime_ms").unwrap_or(0))
    );
    framed(&format!("{word} {cluster}"), &out)
}

/// The page of a node whose loop says nothing.
pub(super) fn silent(why: &str) -> String {
    let main = format!(
        "<main><section class=\"verdict bad\"><span class=pill>NO STATUS</span><h1>This node cannot say how things \
         are</h1><ul class=why><li>{}</li></ul></section><section><h2>What to do</h2><ul class=todo><li>Look at the \
         other node. On this one: <code>systemctl status hbd</code> and <code>journalctl -u hbd</code></li></ul>\
         </section></main>",
        Safe(why)
    );
    framed("NO STATUS", &main)
}

fn framed(title: &str, main: &str) -> String {
    let (before, rest) = FRAME.split_once("@TITLE@").unwrap_or((FRAME, ""));
    let (between, after) = rest.split_once("@MAIN@").unwrap_or((rest, ""));
    format!("{before}{}{between}{main}{after}", Safe(title))
}

/// More names than this are counted.
const NAMED: usize = 4;

fn named(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        [first @ .., last] if names.len() <= NAMED => format!("{} and {last}", first.join(", ")),
        many => format!("{} groups", many.len()),
    }
}

/// Who serves what, and since when; what nobody serves comes first.
fn headline(look: Look, out: &mut String) {
    let mut lines: Vec<Line> = Vec::new();
    for group in look.list("groups") {
        let state = group.text("state");
        let phase = Phase::of(&state);
        let owner = group.maybe("owner").filter(|_| phase != Phase::Down);
        let since = group.number("since_ms").unwrap_or(0);
        match lines.iter_mut().find(|line| line.state == state && line.owner == owner) {
            Some(line) => {
                line.names.push(group.text("name"));
                line.since = since.min(line.since);
            }
            None => lines.push(Line { phase, state, owner, names: vec![group.text("name")], since }),
        }
    }
    if lines.is_empty() {
        out.push_str("<span>No group is configured</span>");
    }
    lines.sort_by_key(|line| match line.phase {
        Phase::Down => 0,
        Phase::Changing => 1,
        Phase::Running => 2,
    });
    for Line { phase, state, owner, names, since } in lines {
        let (names, since) = (named(&names), age::show(since));
        let (head, tail) = match (phase, owner) {
            (Phase::Running, Some(owner)) => (format!("{owner} serves {names}"), String::new()),
            (Phase::Changing, Some(owner)) => (format!("{owner}: {names}"), format!("{state} ")),
            (Phase::Changing, None) => (names, format!("{state} ")),
            _ => (format!("Nobody serves {names}"), format!("{state} ")),
        };
        put!(out, "<span>{} <small>{}for {since}</small></span>", Safe(&head), Safe(&tail));
    }
}

/// Groups of which the same is said, and for how long at least.
struct Line {
    phase: Phase,
    state: String,
    owner: Option<String>,
    names: Vec<String>,
    since: u64,
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
