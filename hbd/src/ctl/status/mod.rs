//! `hbctl status` for people.
//!
//! ```text
//! DEGRADED  cluster lvs: all 2 groups started          the verdict, one line
//!   ! node b is dead: silent for 34s                   what is degraded, a sentence each
//!
//! Nodes
//!   a  up    this node, running for 3d 4h
//!   b  dead  last heard 34s ago
//!      |- down  bcast:eth1           34s ago
//!      `- down  ucast:192.168.45.24  34s ago
//!
//! Groups
//!   vip  started on a  epoch 3, for 34s, prefers b
//!        `- started  IPaddr::10.77.1.1/16/eth0
//! ```
//!
//! The daemon may be older or newer than this tool, so nothing is taken for granted: what is missing is left
//! out, what is unknown is shown as it came.

mod groups;
mod nodes;
mod verdict;

use serde_json::Value;

use base::terminal::look::Look;
use base::terminal::page::{Page, widest};

use super::paint::{Paint, Tone};
use super::text;

pub(crate) use groups::Phase;
pub(crate) use verdict::{Verdict, judged};

/// The status `data` of the daemon (INTERFACE: `status --json`) as lines of text for a screen of `width`
/// columns, without colours. Takes any JSON value.
pub fn render(data: &Value, width: usize) -> String {
    render_with(data, width, Paint::OFF)
}

/// [`render`] with the colours of `paint`.
pub(crate) fn render_with(data: &Value, width: usize, paint: Paint) -> String {
    let look = Look(data);
    let mut page = Page::new(width, paint);
    verdict::render(look, &mut page);
    nodes::render(look, &mut page);
    groups::render(look, &mut page);
    super::director::render(look, &mut page);
    outside(look, &mut page);
    page.out
}

/// What is outside of the pair: ping points, witness, and datagrams not believed.
fn outside(look: Look, page: &mut Page) {
    let pings: Vec<_> = look.list("ping").map(|ping| (ping.text("name"), ping.flag("up"))).collect();
    let witness = look.0.get("witness").filter(|witness| !witness.is_null());
    let rejected = rejected(look);
    let fences: Vec<_> = look.list("fence_devices").collect();
    if pings.is_empty() && fences.is_empty() && witness.is_none() && rejected.is_empty() {
        return;
    }
    page.heading("Outside");
    let width = widest(pings.iter().map(|(name, _)| name.as_str()), 30);
    for (name, up) in &pings {
        let (tone, word) = if *up { (Tone::Good, "answers") } else { (Tone::Bad, "does not answer") };
        let line = format!("  ping {}  {}", page.cell(Tone::Plain, name, width), page.paint.tint(tone, word));
        page.line(&line);
    }
    for device in fences {
        let (tone, word) =
            if device.flag("ok") { (Tone::Good, "answers") } else { (Tone::Bad, "does not answer") };
        let (node, agent) = (device.text("node"), device.text("agent"));
        let line = format!("  fence {node}  {agent} {}{}", page.paint.tint(tone, word), fencing(look, &node));
        page.line(&line);
    }
    if let Some(witness) = witness {
        let (tone, line) = self::witness(Look(witness));
        let kind = Look(witness).maybe("type").map(|kind| format!("{kind} ")).unwrap_or_default();
        let head = format!("  witness {kind} ");
        page.hang(&head, head.chars().count(), tone, &line);
    }
    if !rejected.is_empty() {
        page.hang("  datagrams not believed  ", 26, Tone::Dim, &rejected.join(", "));
    }
}

/// Where this node stands with the witness.
fn witness(witness: Look) -> (Tone, String) {
    let ms = |key: &str| witness.number(key).map(super::age::show);
    let since = ms("since_ms").map(|since| format!(" for {since}")).unwrap_or_default();
    let left = witness.number("good_for_ms").filter(|left| *left > 0);
    let lease = left.map(|left| format!(", lease for {}", super::age::show(left))).unwrap_or_default();
    let state = witness.text("state");
    let good = state == "good";
    let why = witness.maybe("error").filter(|_| !good).map(|why| format!(": {why}"));
    let at = witness.maybe("endpoint").filter(|_| why.is_none()).map(|at| format!(", {at}"));
    let tone = if good { Tone::Plain } else { Tone::Bad };
    (tone, format!("{state}{since}{lease}{}{}", why.unwrap_or_default(), at.unwrap_or_default()))
}

/// What is being done to a node, and how the last attempt ended.
fn fencing(look: Look, node: &str) -> String {
    let Some(of) = look.list("fencing").find(|of| of.text("node") == node) else {
        return String::new();
    };
    let now = of.maybe("state").filter(|state| state != "idle").map(|state| format!("; {state}"));
    let last = of.number("ended_ms").map(|ms| {
        let how = if of.flag("confirmed") { "fenced" } else { "not fenced" };
        format!("; {how} {} ago", super::age::show(ms))
    });
    format!("{}{}", now.unwrap_or_default(), last.unwrap_or_default())
}

/// Unproven datagrams up to this number are what the start of a few daemons leaves behind.
const HANDSHAKES: u64 = 50;

/// `REASON COUNT` for each reason datagrams were not believed for. Our own coming back on a broadcast medium
/// are no news, nor are the first words of a daemon that has just started.
fn rejected(look: Look) -> Vec<String> {
    let Some(counts) = look.0.get("rejected").and_then(Value::as_object) else {
        return Vec::new();
    };
    counts
        .iter()
        .filter(|(reason, count)| {
            let usual = if reason.as_str() == "unproven" { HANDSHAKES } else { 0 };
            count.as_u64().unwrap_or(0) > usual && !matches!(reason.as_str(), "own" | "reflected")
        })
        .map(|(reason, count)| format!("{} {count}", text::line(reason)))
        .collect()
}
