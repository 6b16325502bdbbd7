//! What lvsd and nanny did, from an `lvs.cf`: virtual services of the director.

use std::time::Duration;

use super::doc::{Place, Remark, add};
use super::lvs::Block;
use super::service_file::{Draft, Forward, Key, Real, Timing, Virtual};
use super::source::shown;
use super::spelling::{expect, fallback, regex_fits, with_port};
use super::value::{Value, table};

/// What nanny asked on port 80 if nothing was said.
const USUAL_QUESTION: &str = "GET / HTTP/1.0\r\n\r\n";
/// Where hb-load-agent listens by our examples.
const LOAD_PORT: u32 = 7777;

/// Adds the services of `file` to `draft`.
pub(super) fn read(name: &str, file: &Block, draft: &mut Draft) {
    let place = |line: usize| Place { file: name.to_owned(), line };
    if file.number("syncdaemon") == Some(1) {
        let interface = file.text("syncd_iface").unwrap_or("eth0");
        let id = file.number("syncd_id").filter(|id| (1..=255).contains(id));
        let id = id.map(|id| ("id", Value::from(id)));
        draft.director.push(("sync", table([("interface", interface.into())].into_iter().chain(id))));
    }
    let forward = match file.text("network") {
        Some("direct") => "gate",
        Some("tunnel") => "ipip",
        _ => "masq",
    };
    for block in file.blocks.iter().filter(|block| block.kind == "virtual") {
        if block.active() {
            let service = service(block, forward, &place);
            draft.virtuals.push(service);
        } else {
            draft.remark(Remark::lost(
                place(block.line),
                &format!("virtual {}", block.name),
                "it is not active",
            ));
        }
    }
}

fn service(block: &Block, forward: &'static str, place: &dyn Fn(usize) -> Place) -> Virtual {
    let mut remarks = Vec::new();
    let port = block.number("port").filter(|port| *port <= 65_535).unwrap_or(80);
    let vip =
        block.text("address").and_then(|address| address.split_whitespace().next()).unwrap_or("FILL-IN");
    let key = match block.number("fwmark").filter(|mark| *mark > 0) {
        Some(mark) => Key::Mark(mark, vip.contains(':')),
        None => Key::Address(with_port(vip, port)),
    };
    if vip.parse::<std::net::IpAddr>().is_err() && matches!(key, Key::Address(_)) {
        add(&mut remarks, Remark::todo(Some(place(block.line)), "fill in the virtual address, in numbers"));
    }
    let protocol = if block.text("protocol") == Some("udp") { "udp" } else { "tcp" };
    let timing = timing(block);
    let weights = weights(block, place, &mut remarks);
    let mut reals = Vec::new();
    for server in block.blocks.iter().filter(|block| block.kind == "server") {
        if !server.active() {
            let why = "it is not active";
            add(&mut remarks, Remark::lost(place(server.line), &format!("server {}", server.name), why));
            continue;
        }
        let own_port = server.number("port").filter(|port| (1..=65_535).contains(port));
        let mut server_remarks = Vec::new();
        let real_port = match own_port {
            Some(own) if own != port && forward != "masq" && matches!(key, Key::Address(_)) => {
                let why = format!("port {port} and not {own}: only NAT changes ports");
                server_remarks.push(Remark::changed(place(server.line), "server", why));
                port
            }
            own => own.unwrap_or(port),
        };
        let address = server.text("address").unwrap_or("FILL-IN");
        if address.parse::<std::net::IpAddr>().is_err() {
            let why = format!("{} is no address in numbers: write it", shown(address));
            server_remarks.push(Remark::todo(Some(place(server.line)), why));
        }
        reals.push(Real {
            name: Some(server.name.clone()).filter(|name| !name.is_empty()),
            address: with_port(address, real_port),
            weight: server.number("weight").unwrap_or(1),
            upper: 0,
            lower: 0,
            forward: Forward::plain(forward),
            checks: check(block, port, protocol, place, &mut remarks).into_iter().collect(),
            timing,
            weights: weights.clone(),
            remarks: server_remarks,
        });
    }
    let more = more(block, &key, forward == "masq", place, &mut remarks);
    for name in ["client_monitor", "master", "dirs", "start_cmd", "stop_cmd", "flags", "comment"] {
        if let Some(setting) = block.said(name) {
            add(&mut remarks, Remark::lost(place(setting.line), name, "the director has nothing like it"));
        }
    }
    let scheduler = block.text("scheduler").unwrap_or("wlc").to_owned();
    Virtual { name: block.name.clone(), key, protocol, scheduler, more, timing, reals, remarks, fits: true }
}

/// Piranha's `timeout` is the time between two checks, and its `reentry` how long a server must be good before it is back.
fn timing(block: &Block) -> Timing {
    let timeout = block.number("timeout").unwrap_or(10).clamp(1, 24 * 3600);
    let rise = block.number("reentry").unwrap_or(180).div_ceil(timeout).clamp(1, 1000);
    let interval = Duration::from_secs(u64::from(timeout));
    Timing {
        interval,
        timeout: interval,
        fall: 1,
        rise,
        quiescent: block.number("quiesce_server") == Some(1),
    }
}

/// Keys that are there or are not.
fn more(
    block: &Block,
    key: &Key,
    nat: bool,
    place: &dyn Fn(usize) -> Place,
    remarks: &mut Vec<Remark>,
) -> Vec<(&'static str, Value)> {
    let mut more: Vec<(&'static str, Value)> = Vec::new();
    let vip = block.text("address").and_then(|address| address.split_whitespace().next());
    if let (Key::Mark(..), Some(vip)) = (key, vip.filter(|vip| vip.parse::<std::net::IpAddr>().is_ok())) {
        more.push(("addresses", Value::List(vec![vip.into()])));
    }
    let persistent = block.number("persistent").filter(|seconds| *seconds > 0);
    if let Some(seconds) = persistent {
        more.push(("persistent", Duration::from_secs(u64::from(seconds)).into()));
    }
    if let Some(mask) =
        block.said("pmask").filter(|mask| mask.value != "255.255.255.255" && !mask.value.is_empty())
    {
        match persistent {
            Some(_) => more.push(("netmask", mask.value.as_str().into())),
            None => add(
                remarks,
                Remark::lost(place(mask.line), "pmask", "it is of use for persistent services only"),
            ),
        }
    }
    if let Some(sorry) = block.said("sorry_server").filter(|sorry| !sorry.value.is_empty()) {
        let text = sorry.value.split_whitespace().next().unwrap_or_default();
        let (address, remark) = fallback(text, key, nat, &place(sorry.line));
        more.push(("fallback", address.into()));
        remarks.extend(remark);
    }
    more
}

/// What nanny asked.
fn check(
    block: &Block,
    port: u32,
    protocol: &str,
    place: &dyn Fn(usize) -> Place,
    remarks: &mut Vec<Remark>,
) -> Option<Value> {
    let expected = block.text("expect").filter(|text| *text != "*");
    if let Some(program) = block.text("send_program") {
        let mut entries = vec![("type", Value::from("script")), ("program", program.into())];
        // Nanny compared the whole output; a line end behind it is no difference.
        entries.extend(expected.map(|text| ("expect", format!("/^{}\\s*$/", escape(text)).into())));
        if !program.starts_with('/') {
            let line = block.said("send_program").map_or(block.line, |setting| setting.line);
            add(remarks, Remark::todo(Some(place(line)), "send_program: write its whole path"));
        }
        return Some(table(entries));
    }
    let send = block.text("send");
    let (send, expected) = match (send, expected) {
        (None, None) if port == 80 && protocol == "tcp" => (Some(USUAL_QUESTION), Some("HTTP")),
        both => both,
    };
    if send.is_none() && expected.is_none() {
        return None;
    }
    let regex = block.number("use_regex") == Some(1);
    let pattern = expected.map(|text| if regex { text.to_owned() } else { format!("^{}", escape(text)) });
    if pattern.as_ref().is_some_and(|pattern| !regex_fits(pattern)) {
        let line = block.said("expect").map_or(block.line, |setting| setting.line);
        add(remarks, Remark::todo(Some(place(line)), "expect: the director cannot say this, write another"));
        return None;
    }
    let mut entries = vec![("type", Value::from(if protocol == "udp" { "udp" } else { "connect" }))];
    entries.extend(send.map(|text| ("send", text.into())));
    entries.extend(pattern.map(|pattern| ("expect", expect(&pattern).into())));
    Some(table(entries))
}

/// `text` with a backslash before what means something in a regular expression.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if "\\.^$|?*+()[]{}".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The load that weights follow.
fn weights(block: &Block, place: &dyn Fn(usize) -> Place, remarks: &mut Vec<Remark>) -> Option<Value> {
    let setting =
        block.said("load_monitor").filter(|setting| !["none", ""].contains(&setting.value.as_str()))?;
    let known = ["rup", "ruptime", "uptime"].contains(&setting.value.as_str());
    let why = match known {
        true => "hb-load-agent must run on each real server; until it is heard the configured weight holds",
        false => {
            "load_monitor: a program that prints a share in percent can be asked: weights = { type = \"exec\", program = \"/path\" }"
        }
    };
    add(remarks, Remark::todo(Some(place(setting.line)), why));
    known.then(|| table([("type", "agent".into()), ("port", LOAD_PORT.into())]))
}
