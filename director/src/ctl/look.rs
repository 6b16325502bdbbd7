//! `director status` for people.
//!
//! ```text
//! DEGRADED  active: 2 of 3 virtual services up
//!   ! www/web2 is down: connection refused
//!
//! www  tcp 192.168.1.30:80  wlc, persistent 120s  up for 3d 4h, 12 conn/s
//!   web1  10.0.0.1:80  gate  up    weight 10        32 active    4 inactive  3ms
//!   web2  10.0.0.2:80  gate  down  weight 10 (0)     0 active    1 inactive  for 34s: connection refused
//! ```
//! The director may be older or newer than this tool, so what is missing is left out.

use base::terminal::age;
use base::terminal::look::Look;
use base::terminal::page::{Page, widest};
use base::terminal::paint::{Paint, Tone};
use base::terminal::text;
use serde_json::Value;

/// With more real servers than this, those that are well are only counted.
const LISTED: usize = 40;

/// The status `data` of the director as lines of text for a screen of `width` columns, without colours. Takes any
/// JSON value.
pub fn render(data: &Value, width: usize) -> String {
    render_with(data, width, Paint::OFF)
}

/// [`render`] with the colours of `paint`.
pub(super) fn render_with(data: &Value, width: usize, paint: Paint) -> String {
    let look = Look(data);
    let mut page = Page::new(width, paint);
    verdict(look, &mut page);
    for service in look.list("virtuals") {
        page.line("");
        service_lines(service, &mut page);
    }
    page.out
}

fn verdict(look: Look, page: &mut Page) {
    let all = look.list("virtuals").count();
    let up = look.list("virtuals").filter(|service| service.flag("up")).count();
    let degraded: Vec<String> = look
        .0
        .get("degraded")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .map(text::line)
        .collect();
    let (tone, word) = match () {
        () if up < all => (Tone::Bad, "DOWN"),
        () if !degraded.is_empty() => (Tone::Warn, "DEGRADED"),
        () => (Tone::Good, "OK"),
    };
    let services = text::count(all, "virtual service");
    let mut line = format!("{}  {}: {up} of {services} up", page.paint.tint(tone, word), look.text("role"));
    if let Some(number) = look.number("drift_repaired").filter(|number| *number > 0) {
        line.push_str(&format!(
            "; {} undone",
            text::count(usize::try_from(number).unwrap_or(0), "foreign change")
        ));
    }
    if let Some(backend) = look.maybe("backend").filter(|backend| backend != "ipvs") {
        line.push_str(&format!("; {backend}, no kernel"));
    }
    page.line(&line);
    for sentence in degraded {
        page.hang("  ! ", 4, Tone::Plain, &sentence);
    }
}

fn service_lines(service: Look, page: &mut Page) {
    let name = page.paint.tint(Tone::Head, service.text("name"));
    let protocol = service.text("protocol");
    let address = service.text("address");
    let place = if protocol == "fwmark" { address } else { format!("{protocol} {address}") };
    let persistent = service.number("persistent").map(|s| format!(", persistent {s}s")).unwrap_or_default();
    let (tone, word) = match (service.flag("up"), service.flag("fallback_active"), service.flag("panic")) {
        (_, true, _) => (Tone::Bad, "FALLBACK"),
        (_, _, true) => (Tone::Bad, "PANIC"),
        (true, ..) => (Tone::Good, "up"),
        (false, ..) => (Tone::Bad, "down"),
    };
    let since = service.number("since_ms").map(|ms| format!(" for {}", age::show(ms))).unwrap_or_default();
    let state = page.paint.tint(tone, word);
    let rates = rates(service);
    page.line(&format!("{name}  {place}  {}{persistent}  {state}{since}{rates}", service.text("scheduler")));
    if let Some(fallback) = service.maybe("fallback").filter(|_| service.flag("fallback_active")) {
        page.line(&format!("  {}  {fallback}", page.paint.tint(Tone::Bad, "the fallback serves:")));
    }
    reals(service, page);
}

/// `, 12 conn/s, 3.4 MB/s in`, if anything passes.
fn rates(of: Look) -> String {
    let mut said = String::new();
    let number = |key| of.number(key).filter(|number| *number > 0);
    if let Some(cps) = number("cps") {
        said.push_str(&format!(", {cps} conn/s"));
    }
    if let Some(bytes) = number("in_bps") {
        said.push_str(&format!(", {}/s in", size(bytes)));
    }
    if let Some(bytes) = number("out_bps") {
        said.push_str(&format!(", {}/s out", size(bytes)));
    }
    said
}

/// Bytes with a unit.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

fn reals(service: Look, page: &mut Page) {
    let all: Vec<Look> = service.list("reals").collect();
    let well = |real: &Look| real.text("state") == "up" && real.maybe("last_error").is_none();
    let listed: Vec<Look> = all.iter().copied().filter(|real| all.len() <= LISTED || !well(real)).collect();
    let column = |text: &dyn Fn(Look) -> String, most| {
        let cells: Vec<String> = listed.iter().map(|real| text(*real)).collect();
        (widest(cells.iter().map(String::as_str), most), cells)
    };
    let (names, name) = column(&|real| real.text("name"), 30);
    let (places, place) = column(&|real| real.text("address"), 47);
    let (ways, way) = column(&|real| real.text("forward"), 12);
    let (weights, weight) = column(&weight_of, 24);
    let (conns, conn) = column(&connections, 40);
    for (number, real) in listed.iter().enumerate() {
        let state = real.text("state");
        let head = format!(
            "  {}  {}  {}  {}  {}  {}  ",
            page.cell(Tone::Plain, &name[number], names),
            page.cell(Tone::Dim, &place[number], places),
            page.cell(Tone::Dim, &way[number], ways),
            page.cell(tone(&state), &state, 11),
            page.cell(Tone::Plain, &weight[number], weights),
            page.cell(Tone::Plain, &conn[number], conns),
        );
        let width = 14 + names + places + ways + 11 + weights + conns;
        page.line(&format!("{head}{}", latency(*real)));
        if state != "up" {
            let since =
                real.number("since_ms").map(|ms| format!("for {}: ", age::show(ms))).unwrap_or_default();
            let _ = width;
            page.hang("      ", 6, Tone::Plain, &format!("{since}{}", real.text("why")));
        } else if let Some(error) = real.maybe("last_error") {
            page.hang("      ", 6, Tone::Warn, &format!("its last check failed: {error}"));
        }
    }
    if listed.len() < all.len() {
        let rest = all.len() - listed.len();
        page.line(&format!("  {}", page.paint.tint(Tone::Good, format!("and {rest} more that are up"))));
    }
}

/// `weight 10`, with what the kernel has if that is something else, and why.
fn weight_of(real: Look) -> String {
    let (weight, kernel) = (real.number("weight").unwrap_or(0), real.number("kernel_weight").unwrap_or(0));
    let mut said = format!("weight {kernel}");
    if weight != kernel {
        said.push_str(&format!(" of {weight}"));
    }
    if real.flag("weight_by_hand") {
        said.push_str(" by hand");
    } else if let Some(percent) = real.0.get("load_percent").and_then(Value::as_f64) {
        said.push_str(&format!(", load {percent:.0}%"));
    }
    if real.0.get("in_kernel") == Some(&Value::Bool(false)) {
        said = format!("not in, weight {weight}");
    }
    said
}

fn connections(real: Look) -> String {
    let number = |key| real.number(key).unwrap_or(0);
    let cps = real.number("cps").filter(|cps| *cps > 0).map(|cps| format!(" {cps}/s")).unwrap_or_default();
    format!("{:>5} active {:>5} inactive{cps}", number("active_conns"), number("inactive_conns"))
}

fn latency(real: Look) -> String {
    real.number("last_check_ms").map(|ms| format!("check {ms}ms")).unwrap_or_default()
}

fn tone(state: &str) -> Tone {
    match state {
        "up" => Tone::Good,
        "down" => Tone::Bad,
        "drain" | "maintenance" => Tone::Warn,
        _ => Tone::Dim,
    }
}

/// The colour of a line of the plan.
pub(super) fn tone_of(line: &str) -> Tone {
    match line.chars().next() {
        Some('+') => Tone::Good,
        Some('-') => Tone::Bad,
        Some('~') => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// The real servers called `real`: name, whether it is drained, whether it is in the kernel.
pub(super) fn drained(status: &Value, real: &str, service: Option<&str>) -> Vec<(String, bool, bool)> {
    let mut found = Vec::new();
    for shown in Look(status).list("virtuals") {
        let name = shown.text("name");
        if service.is_some_and(|service| service != name) {
            continue;
        }
        for one in shown.list("reals") {
            let (called, address) = (one.text("name"), one.text("address"));
            let (host, port) = address.rsplit_once(':').unwrap_or((&address, ""));
            // As the director itself takes an order.
            let with_port = real.rsplit_once(':') == Some((&called, port));
            if called == real || address == real || host.trim_matches(['[', ']']) == real || with_port {
                found.push((format!("{name}/{called}"), one.text("state") == "drain", one.flag("in_kernel")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drained_server_is_found_by_whatever_it_can_be_ordered_by() {
        let real = serde_json::json!({ "name": "web1", "address": "[fd00::1]:80", "state": "drain", "in_kernel": true });
        let status = serde_json::json!({ "virtuals": [{ "name": "www", "reals": [real] }] });
        let found = vec![("www/web1".to_owned(), true, true)];
        for name in ["web1", "web1:80", "[fd00::1]:80", "fd00::1"] {
            assert_eq!(drained(&status, name, None), found, "{name}");
            assert_eq!(drained(&status, name, Some("www")), found, "{name}");
        }
        for name in ["web", "web1:81", "fd00::2", "80", ""] {
            assert_eq!(drained(&status, name, None), [], "{name}");
        }
        assert_eq!(drained(&status, "web1", Some("ssl")), []);
    }
}
