//! The LVS director of this node, in `hbctl status`: it runs on both nodes, active or standby.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::control::client::{self, Peer};
use base::terminal::look::Look;
use base::terminal::page::{Page, widest};
use base::terminal::paint::Tone;
use base::terminal::text::{self, count};
use serde_json::{Value, json};

use super::fail::Fail;

const DIRECTOR: Peer = Peer {
    daemon: "director",
    tool: "director",
    others: "the group named by `group` in [director] of director.toml (hbd unless changed)",
};
/// Longest wait for it: the status of the cluster must not hang on it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Virtual services that are well are only counted beyond so many.
const LISTED: usize = 12;

/// Puts the status of this node's director into `status` as `director`, if one runs or has left its socket.
pub(super) fn add(status: &mut Value) {
    let variable = std::env::var_os("DIRECTOR_SOCKET").filter(|value| !value.is_empty());
    let socket = variable.map_or_else(|| PathBuf::from("/run/director/director.sock"), PathBuf::from);
    if let Some(fields) = status.as_object_mut()
        && socket.exists()
    {
        fields.insert("director".into(), ask(&socket));
    }
}

fn ask(socket: &Path) -> Value {
    match client::ask(DIRECTOR, socket, &json!({ "verb": "status" }), PATIENCE) {
        Ok(data) => data,
        Err(Fail::NoDaemon(why) | Fail::Refused(why) | Fail::Usage(why) | Fail::BadConfig(why)) => {
            json!({ "error": why })
        }
        Err(Fail::PipeClosed) => Value::Null,
    }
}

/// How many things are not as they should be with it, as a sentence; they stand in its part of the page.
pub(super) fn reason(look: Look) -> Option<String> {
    let director = look.0.get("director")?;
    let degraded = director.get("degraded").and_then(Value::as_array).map_or(0, Vec::len);
    match director.get("error") {
        Some(_) => Some("the director does not answer (see below)".to_owned()),
        None if degraded > 0 => {
            Some(format!("the director reports {} (see below)", count(degraded, "trouble")))
        }
        None => None,
    }
}

/// Its part of the page, if it is there.
pub(super) fn render(look: Look, page: &mut Page) {
    let Some(data) = look.0.get("director").filter(|data| data.is_object()) else { return };
    let look = Look(data);
    page.heading("Director");
    if let Some(error) = look.maybe("error") {
        page.hang("  ", 2, Tone::Bad, &error);
        return;
    }
    let services: Vec<Look> = look.list("virtuals").collect();
    let up = services.iter().filter(|service| service.flag("up")).count();
    let tone = if up < services.len() { Tone::Bad } else { Tone::Good };
    let said = format!("{up} of {} up", count(services.len(), "virtual service"));
    let line = format!("  {}  {}", look.text("role"), page.paint.tint(tone, said));
    page.line(&line);
    let well = |service: &Look| service.flag("up") && serving(*service).0 == serving(*service).1;
    let shown: Vec<Look> =
        services.iter().copied().filter(|service| services.len() <= LISTED || !well(service)).collect();
    let names: Vec<String> = shown.iter().map(|service| service.text("name")).collect();
    let width = widest(names.iter().map(String::as_str), 30);
    for (service, name) in shown.iter().zip(&names) {
        let (up, all) = serving(*service);
        let (tone, word) = match (service.flag("fallback_active"), service.flag("up")) {
            (true, _) => (Tone::Bad, "fallback"),
            (_, true) => (if up < all { Tone::Warn } else { Tone::Good }, "up"),
            (_, false) => (Tone::Bad, "down"),
        };
        let cell = page.cell(Tone::Head, name, width);
        let state = page.cell(tone, word, 8);
        let line = format!(
            "  {cell}  {state}  {}: {up} of {} serve",
            service.text("address"),
            count(all, "real server")
        );
        page.line(&line);
    }
    let degraded = data.get("degraded").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for sentence in degraded.iter().filter_map(Value::as_str).take(10) {
        page.hang("  ! ", 4, Tone::Plain, &text::line(sentence));
    }
    if degraded.len() > 10 {
        page.line(&format!("  and {} more: see `director status`", degraded.len() - 10));
    }
}

/// How many real servers are up, of how many.
fn serving(service: Look) -> (usize, usize) {
    let reals = service.list("reals");
    reals.fold((0, 0), |(up, all), real| (up + usize::from(real.text("state") == "up"), all + 1))
}
