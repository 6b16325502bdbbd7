//! `hbctl tune` for people: the gaps between heartbeats, link by link, and what they advise.
//!
//! ```text
//! keepalive 200ms, warntime 1s, deadtime 2s
//!
//! From b             heartbeats    50 %    99 %  99.9 %  longest  late  lost
//!   any link              48211   200ms   202ms   210ms    231ms     0
//!   bcast:eth1            48211   200ms   202ms   210ms    231ms     0     0
//!
//! Advice  warntime = "400ms", deadtime = "800ms" or longer
//!   deadtime = 2000 ms fits what was seen
//! ```

use base::terminal::age;
use base::terminal::look::Look;
use base::terminal::page::{Page, widest};
use base::terminal::paint::{Paint, Tone};
use serde_json::Value;

/// The tune `data` of the daemon as lines of text for a screen of `width` columns. Takes any JSON value.
pub(super) fn render(data: &Value, width: usize, paint: Paint) -> String {
    let look = Look(data);
    let mut page = Page::new(width, paint);
    let configured: Vec<String> = ["keepalive", "warntime", "deadtime"]
        .into_iter()
        .filter_map(|name| Some(format!("{name} {}", age::show(look.number(&format!("{name}_ms"))?))))
        .collect();
    page.line(&configured.join(", "));
    for node in look.list("nodes") {
        table(node, &mut page);
    }
    page.line("");
    if let Some(advice) = data.get("advice").filter(|advice| advice.is_object()) {
        let time = |key| Look(advice).number(key).unwrap_or(0);
        let body = format!(
            "warntime = \"{}\", deadtime = \"{}\" or longer",
            written(time("warntime_ms")),
            written(time("deadtime_ms"))
        );
        let head = format!("{}  ", page.paint.tint(Tone::Head, "Advice"));
        page.hang(&head, 8, Tone::Plain, &body);
    }
    for note in data.get("notes").and_then(Value::as_array).into_iter().flatten() {
        page.hang("  ", 2, Tone::Plain, &base::terminal::text::line(note.as_str().unwrap_or_default()));
    }
    page.out
}

/// One node's links.
fn table(node: Look<'_>, page: &mut Page) {
    let any = node.0.get("any").map(Look);
    let rows: Vec<(String, Look<'_>)> =
        any.into_iter().chain(node.list("links")).map(|link| (link.text("name"), link)).collect();
    let title = format!("From {}", node.text("name"));
    let names = widest(rows.iter().map(|(name, _)| name.as_str()).chain([title.as_str()]), 40).max(16);
    page.line("");
    let head = format!(
        "{:names$}  {:>10} {:>7} {:>7} {:>7} {:>8} {:>5} {:>5}",
        title, "heartbeats", "50 %", "99 %", "99.9 %", "longest", "late", "lost"
    );
    let head = page.paint.tint(Tone::Head, head).to_string();
    page.line(&head);
    for (at, (name, link)) in rows.iter().enumerate() {
        let gaps = link.0.get("gaps").map_or(Look(&Value::Null), Look);
        let count = gaps.number("count").unwrap_or(0);
        let time = |key| match gaps.number(key) {
            Some(ms) if count > 0 => written(ms),
            _ => "-".to_owned(),
        };
        let late = link.number("late").unwrap_or(0);
        // Of all links together nothing is lost that any of them brought.
        let lost = if at == 0 { String::new() } else { link.number("lost").unwrap_or(0).to_string() };
        let width = names - 2;
        page.line(&format!(
            "  {name:width$}  {count:>10} {:>7} {:>7} {:>7} {:>8} {late:>5} {lost:>5}",
            time("p50_ms"),
            time("p99_ms"),
            time("p999_ms"),
            time("max_ms")
        ));
    }
}

/// As the configuration has it.
fn written(ms: u64) -> String {
    if ms >= 1000 && ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}
