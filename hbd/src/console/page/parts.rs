//! The parts of the page below its verdict.

use std::fmt::Write;

use base::terminal::age;
use base::terminal::look::{Look, flat};
use base::terminal::text::count;
use serde_json::Value;

use super::{NAMED, Safe, named, put};
use crate::ctl::status::Phase;

/// With more resources than this, those that are well are only counted.
const LISTED: usize = 24;

fn tone(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "good",
        Phase::Changing => "warn",
        Phase::Down => "bad",
    }
}

/// This node on the left, the others on the right, and the links between them.
pub(super) fn nodes(look: Look, out: &mut String) {
    out.push_str("<section><h2>Nodes and links</h2><div class=map>");
    let said = format!("this node, running for {}", age::show(look.number("uptime_ms").unwrap_or(0)));
    let me = look.text("node");
    card(out, look, (&me, &look.text("state")), look.flag("standby"), &said);
    out.push_str("<div class=peers>");
    for node in look.list("nodes") {
        out.push_str("<div class=peer><div class=wires>");
        node.list("links").for_each(|link| wire(out, link));
        out.push_str("</div>");
        card(out, look, (&node.text("name"), &node.text("state")), node.flag("standby"), &heard(node));
        out.push_str("</div>");
    }
    out.push_str("</div></div></section>");
}

fn heard(of: Look) -> String {
    match of.number("last_heard_ms") {
        Some(ms) => format!("last heard {} ago", age::show(ms)),
        None => "never heard".to_owned(),
    }
}

fn card(out: &mut String, look: Look, (name, state): (&str, &str), standby: bool, said: &str) {
    let tone = match state {
        "up" if !standby => "good",
        "dead" => "bad",
        _ => "warn",
    };
    let standby = if standby { " <span class=\"pill warn\">standby</span>" } else { "" };
    put!(
        out,
        "<div class=\"node {tone}\"><h3>{} <span class=pill>{}</span>{standby}</h3><small>{}</small><div class=chips>",
        Safe(name),
        Safe(state),
        Safe(said)
    );
    let has =
        |group: &Look| group.text("state") == "started" && group.maybe("owner").as_deref() == Some(name);
    let names: Vec<_> = look.list("groups").filter(has).map(|group| group.text("name")).collect();
    if names.is_empty() {
        out.push_str("<small>serves nothing</small>");
    } else if names.len() <= NAMED {
        names.iter().for_each(|name| put!(out, "<b>{}</b>", Safe(name)));
    } else {
        put!(out, "<b>{}</b>", Safe(&named(&names)));
    }
    out.push_str("</div></div>");
}

fn wire(out: &mut String, link: Look) {
    let is_up = link.text("state") == "up";
    let one_way = link.0.get("heard_by_peer").and_then(Value::as_bool) == Some(false);
    let (tone, more) = match (is_up, one_way) {
        (true, false) => ("good", ""),
        (true, true) => ("warn", ", but it does not hear us here"),
        (false, _) => ("bad", ""),
    };
    put!(
        out,
        "<div class=\"wire {tone}\"><b>{}</b> {}, {}{more}<i></i></div>",
        Safe(&link.text("name")),
        Safe(&link.text("state")),
        heard(link)
    );
}

/// The groups and their resources.
pub(super) fn groups(look: Look, out: &mut String) {
    let all: Vec<_> = look.list("groups").collect();
    if all.is_empty() {
        return;
    }
    out.push_str("<section><h2>Groups</h2>");
    for group in all {
        let state = group.text("state");
        let phase = Phase::of(&state);
        let place = group.maybe("owner").map(|owner| format!("on {owner}")).unwrap_or_default();
        put!(
            out,
            "<div class=\"group {}\"><h3>{} <span class=pill>{}</span> {} <small>{}</small></h3>",
            tone(phase),
            Safe(&group.text("name")),
            Safe(&state),
            Safe(&place),
            Safe(&details(group))
        );
        if let Some(why) = group.maybe("why").filter(|_| phase != Phase::Running) {
            put!(out, "<small>{}</small>", Safe(&why));
        }
        resources(out, group, &state);
        out.push_str("</div>");
    }
    out.push_str("</section>");
}

fn details(group: Look) -> String {
    let mut said = Vec::new();
    said.extend(group.number("since_ms").map(|ms| format!("for {}", age::show(ms))));
    said.extend(group.maybe("preferred").map(|node| format!("prefers {node}")));
    said.extend(
        group.maybe("requires").filter(|what| what != "nothing").map(|what| format!("requires {what}")),
    );
    said.extend(group.number("epoch").map(|epoch| format!("epoch {epoch}")));
    said.join(", ")
}

fn resources(out: &mut String, group: Look, usual: &str) {
    let all: Vec<_> = group.list("resources").collect();
    let is_well = |one: &Look| one.text("state") == usual && one.number("failures").unwrap_or(0) == 0;
    let shown: Vec<_> = all.iter().filter(|one| all.len() <= LISTED || !is_well(one)).collect();
    out.push_str("<ul class=res>");
    for one in &shown {
        let (state, failures) = (one.text("state"), one.number("failures").unwrap_or(0));
        let tone = match state.as_str() {
            "started" if failures == 0 => "good",
            "stopped" if failures == 0 => "idle",
            "failed" => "bad",
            _ => "warn",
        };
        put!(out, "<li class={tone}><b>{}</b><div>{}", Safe(&state), Safe(&one.text("name")));
        if failures > 0 {
            put!(
                out,
                " <small>{}</small>",
                count(usize::try_from(failures).unwrap_or(usize::MAX), "failure")
            );
        }
        if let Some(error) = one.maybe("last_error") {
            put!(out, "<small class=last>{}</small>", Safe(&error));
        }
        out.push_str("</div></li>");
    }
    if shown.len() < all.len() {
        let (rest, word) = (all.len() - shown.len(), if shown.is_empty() { "all" } else { "the other" });
        put!(out, "<li class=idle><b>{}</b><div>{word} {rest} resources</div></li>", Safe(usual));
    }
    out.push_str("</ul>");
}

/// Ping points, fence devices, the witness.
pub(super) fn outside(look: Look, out: &mut String) {
    let mut all = String::new();
    for ping in look.list("ping") {
        let (tone, word) = if ping.flag("up") { ("good", "answers") } else { ("bad", "is silent") };
        put!(all, "<span>ping {} <span class=\"pill {tone}\">{word}</span></span>", Safe(&ping.text("name")));
    }
    for device in look.list("fence_devices") {
        let (tone, word) = if device.flag("ok") { ("good", "ready") } else { ("bad", "does not answer") };
        let (node, agent) = (device.text("node"), device.text("agent"));
        put!(
            all,
            "<span>fence device of {} ({}) <span class=\"pill {tone}\">{word}</span></span>",
            Safe(&node),
            Safe(&agent)
        );
    }
    if let Some(witness) = look.0.get("witness").filter(|witness| witness.is_object()) {
        let witness = Look(witness);
        let state = witness.text("state");
        let tone = match state.as_str() {
            "good" => "good",
            "failing" => "warn",
            _ => "bad",
        };
        put!(all, "<span>witness <span class=\"pill {tone}\">{}</span> ", Safe(&state));
        if let Some(error) = witness.0.get("error").filter(|error| !error.is_null()) {
            put!(all, "<small>{}</small>", Safe(&flat(error)));
        }
        all.push_str("</span>");
    }
    if !all.is_empty() {
        put!(out, "<section><h2>Outside</h2><div class=out>{all}</div></section>");
    }
}

/// What happened, newest first.
pub(super) fn events(events: &[Value], out: &mut String) {
    if events.is_empty() {
        return;
    }
    out.push_str("<section><h2>What happened here, newest first (UTC)</h2><table>");
    for event in events.iter().map(Look) {
        let tone = match event.text("level").as_str() {
            "info" => "idle",
            "warn" => "warn",
            _ => "bad",
        };
        // 2026-11-20T13:03:07.123Z
        let time = event.text("time").replace('T', " ");
        let time = time.get(5..19).unwrap_or(&time);
        let change = match (event.maybe("from"), event.maybe("to")) {
            (Some(from), Some(to)) => format!("{from} \u{2192} {to}"),
            (None, Some(to)) => format!("\u{2192} {to}"),
            (Some(from), None) => format!("{from} \u{2192}"),
            (None, None) => String::new(),
        };
        let took = event.number("took_ms").map(|ms| format!(" (took {})", age::show(ms))).unwrap_or_default();
        put!(
            out,
            "<tr class={tone}><td>{}</td><td><b>{}</b> {} <span class=dim>{}{took}</span></td></tr>",
            Safe(time),
            Safe(&event.text("subject")),
            Safe(&change),
            Safe(&event.maybe("why").unwrap_or_default())
        );
    }
    out.push_str("</table></section>");
}
