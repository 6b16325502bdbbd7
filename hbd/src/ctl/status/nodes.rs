//! The nodes and the links to them.

use super::super::age;
use super::super::paint::Tone;
use super::super::text::count;
use super::{Page, widest};
use base::terminal::look::Look;

/// This node, then the others with their links.
pub(super) fn render(look: Look, page: &mut Page) {
    let Some(me) = look.maybe("node") else { return };
    let others: Vec<_> = look.list("nodes").map(|node| (node.text("name"), node)).collect();
    page.heading("Nodes");
    let names = widest(others.iter().map(|(name, _)| name.as_str()).chain([me.as_str()]), 30);
    let state = look.maybe("state").unwrap_or_else(|| "up".to_owned());
    let mine = condition(&state, look.flag("standby"));
    let theirs: Vec<_> =
        others.iter().map(|(_, node)| condition(&node.text("state"), node.flag("standby"))).collect();
    let columns = (names, widest(theirs.iter().chain([&mine]).map(String::as_str), 20));
    let mut said = vec!["this node".to_owned()];
    said.extend(look.number("uptime_ms").map(|ms| format!("hbd running for {}", age::show(ms))));
    row(page, columns, &me, &mine, &said.join(", "));
    for ((name, node), condition) in others.iter().zip(&theirs) {
        row(page, columns, name, condition, &heard(*node));
        links(page, names, *node);
    }
}

fn condition(state: &str, standby: bool) -> String {
    if standby { format!("{state}, standby") } else { state.to_owned() }
}

fn row(page: &mut Page, (names, conditions): (usize, usize), name: &str, condition: &str, said: &str) {
    let tone = match condition {
        "up" => Tone::Good,
        "dead" => Tone::Bad,
        _ => Tone::Warn,
    };
    let head =
        format!("  {}  {}  ", page.cell(Tone::Head, name, names), page.cell(tone, condition, conditions));
    let width = 6 + names.max(name.chars().count()) + conditions.max(condition.chars().count());
    page.hang(&head, width, Tone::Plain, said);
}

fn heard(node: Look) -> String {
    let mut said = vec![match node.number("last_heard_ms") {
        Some(ms) if node.text("state") == "up" => format!("heard {} ago", age::show(ms)),
        Some(ms) => format!("last heard {} ago", age::show(ms)),
        None => "never heard".to_owned(),
    }];
    if let Some(late) = node.number("late").filter(|late| *late > 0) {
        said.push(count(usize::try_from(late).unwrap_or(usize::MAX), "late heartbeat"));
    }
    said.join(", ")
}

fn links(page: &mut Page, indent: usize, node: Look) {
    let links: Vec<_> = node.list("links").map(|link| (link.text("name"), link)).collect();
    let names = widest(links.iter().map(|(name, _)| name.as_str()), 40);
    for (number, (name, link)) in links.iter().enumerate() {
        let twig = if number + 1 == links.len() { "`-" } else { "|-" };
        let state = link.text("state");
        let tone = if state == "up" { Tone::Good } else { Tone::Bad };
        let mut said = match link.number("last_heard_ms") {
            Some(ms) => format!("{} ago", age::show(ms)),
            None => "never heard".to_owned(),
        };
        // Only worth a word if the other side says no while we hear it: one-way links are hard to find.
        if state == "up" && link.0.get("heard_by_peer").and_then(serde_json::Value::as_bool) == Some(false) {
            said.push_str(", but it does not hear us here");
        }
        said.push_str(&counts(*link));
        let head = format!("{:1$}{twig} {2}  ", "", indent + 4, page.cell(tone, &state, 4));
        let head = format!("{head}{}  ", page.cell(Tone::Plain, name, names));
        let width = indent + 4 + 3 + state.chars().count().max(4) + 2 + names.max(name.chars().count()) + 2;
        page.hang(&head, width, Tone::Plain, &said);
    }
}

/// What a link tells besides when it was last heard: the usual gap and the longest, and what went wrong on it.
fn counts(link: Look) -> String {
    let mut said = String::new();
    let part = |key| link.0.get(key).map(Look);
    if let Some(gaps) = part("gaps").filter(|gaps| gaps.number("count").unwrap_or(0) > 0) {
        let time = |key| age::show(gaps.number(key).unwrap_or(0));
        said.push_str(&format!(
            ", gaps {} (99 % {}, longest {})",
            time("p50_ms"),
            time("p99_ms"),
            time("max_ms")
        ));
    }
    for (key, word) in [("late", "late"), ("lost", "lost"), ("duplicate", "twice")] {
        if let Some(number) = link.number(key).filter(|number| *number > 0) {
            said.push_str(&format!(", {number} {word}"));
        }
    }
    if let Some(line) = part("line") {
        said.push_str(&format!(", line {} % full", line.number("fill_percent").unwrap_or(0)));
        if let Some(damaged) = line.number("damaged").filter(|number| *number > 0) {
            said.push_str(&format!(", {damaged} damaged"));
        }
    }
    let rejected = super::rejected(link);
    if !rejected.is_empty() {
        said.push_str(&format!(", not believed: {}", rejected.join(", ")));
    }
    said
}
