//! Schedulers, their flags, and ways of forwarding.

use base::config::problem::{Report, Span};
use base::config::suggest::{listed, nearest};
use base::config::table::{At, Table, shown};

use crate::table::{Checksum, Flags, Forward, Tunnel};

/// The schedulers Linux has had; which of them the running kernel has is asked when it runs.
pub(super) const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];
/// What they were called elsewhere.
const FLAGS: [&str; 8] =
    ["one-packet", "sh-fallback", "sh-port", "mh-fallback", "mh-port", "flag-1", "flag-2", "flag-3"];
const FORWARDS: [&str; 5] = ["gate", "masq", "ipip", "gue", "gre"];

/// `scheduler = "wlc"`.
pub(super) fn scheduler(table: &Table<'_>, report: &Report<'_>) -> String {
    let Some(at) = table.string("scheduler") else { return "wlc".to_owned() };
    let name = at.value;
    let sound = !name.is_empty()
        && name.len() <= 15
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !SCHEDULERS.contains(&name) {
        let message = format!("there is no scheduler '{}'", shown(name));
        match nearest(name, SCHEDULERS) {
            Some(meant) => report.error(&at.span, message, format!("did you mean \"{meant}\"?")),
            None if sound => {
                let help = format!("Linux has {}; another must be a module of yours", listed(&SCHEDULERS));
                report.warning(&at.span, format!("'{name}' is no scheduler of Linux"), help);
            }
            None => report.error(&at.span, message, format!("Linux has {}", listed(&SCHEDULERS))),
        }
    }
    name.to_owned()
}

/// `flags = ["sh-fallback"]`.
pub(super) fn flags(table: &Table<'_>, scheduler: &str, udp: bool, report: &Report<'_>) -> Flags {
    let mut flags = Flags::default();
    for at in table.strings("flags").map(|at| at.value).unwrap_or_default() {
        let belongs = at.value.split_once('-').map(|(to, _)| to).filter(|to| matches!(*to, "sh" | "mh"));
        match at.value {
            "one-packet" if !udp => {
                let help = "it is for protocol = \"udp\"";
                report.error(&at.span, "'one-packet' is of no use here", help);
            }
            "one-packet" => flags.one_packet = true,
            "sh-fallback" | "mh-fallback" | "flag-1" => flags.scheduler_1 = true,
            "sh-port" | "mh-port" | "flag-2" => flags.scheduler_2 = true,
            "flag-3" => flags.scheduler_3 = true,
            other => {
                let help = match nearest(other, FLAGS) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => format!("there are {}", listed(&FLAGS)),
                };
                report.error(&at.span, format!("there is no flag '{}'", shown(other)), help);
            }
        }
        if let Some(of) = belongs.filter(|of| *of != scheduler) {
            let message = format!("'{}' is a flag of the scheduler {of}, and this is {scheduler}", at.value);
            report.error(&at.span, message, format!("write scheduler = \"{of}\", or leave the flag out"));
        }
    }
    flags
}

/// `forward = "gate"`, with `tunnel_port` and `tunnel_checksum` for tunnels; `usual` if it is not there.
pub(super) fn forward(table: &Table<'_>, usual: Forward, report: &Report<'_>) -> At<Forward> {
    let said = table.string("forward");
    let port = table.integer("tunnel_port", 1, 65_535);
    let checksum = table.string("tunnel_checksum");
    let span = said.as_ref().map_or(0..0, |at| at.span.clone());
    let Some(said) = said else {
        let value = usual;
        return At { value: tunnel_options(value, port, checksum, report), span };
    };
    let value = match said.value {
        "gate" => Forward::Gate,
        "masq" => Forward::Masq,
        "ipip" => Forward::Tunnel(Tunnel::Ipip),
        "gue" => Forward::Tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::None }),
        "gre" => Forward::Tunnel(Tunnel::Gre { checksum: Checksum::None }),
        other => {
            report.error(&said.span, format!("'{}' is no way of forwarding", shown(other)), meant(other));
            usual
        }
    };
    At { value: tunnel_options(value, port, checksum, report), span }
}

fn meant(word: &str) -> String {
    let folded = word.to_ascii_lowercase();
    let meant = match folded.as_str() {
        "dr" | "direct" | "route" | "droute" | "gatewaying" | "direct-routing" => Some("gate"),
        "nat" | "masquerade" | "masquerading" => Some("masq"),
        "tun" | "tunnel" | "tunneling" => Some("ipip"),
        other => nearest(other, FORWARDS),
    };
    match meant {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => {
            "write \"gate\" (direct routing), \"masq\" (NAT), \"ipip\", \"gue\" or \"gre\" (tunnels)".into()
        }
    }
}

fn tunnel_options(
    forward: Forward,
    port: Option<At<i64>>,
    checksum: Option<At<&str>>,
    report: &Report<'_>,
) -> Forward {
    let useless = |span: &Span, key: &str, what: &str| {
        report.error(span, format!("'{key}' is of no use here"), format!("it is for forward = {what}"));
    };
    let mut wanted = Checksum::None;
    if let Some(at) = &checksum {
        wanted = match at.value {
            "none" => Checksum::None,
            "full" => Checksum::Full,
            "remote" => Checksum::Remote,
            other => {
                let message = format!("'{}' is no checksum of a tunnel", shown(other));
                report.error(&at.span, message, "write \"none\", \"full\" or \"remote\" (gue only)");
                Checksum::None
            }
        };
    }
    match forward {
        Forward::Tunnel(Tunnel::Gue { port: usual, checksum: above }) => {
            let port = port.and_then(|at| u16::try_from(at.value).ok()).unwrap_or(usual);
            let wanted = if checksum.is_some() { wanted } else { above };
            Forward::Tunnel(Tunnel::Gue { port, checksum: wanted })
        }
        Forward::Tunnel(Tunnel::Gre { checksum: above }) => {
            let wanted = if checksum.is_some() { wanted } else { above };
            if let Some(at) = port {
                useless(&at.span, "tunnel_port", "\"gue\"");
            }
            if let Some(at) = checksum.filter(|at| at.value == "remote") {
                report.error(&at.span, "GRE has no remote checksum", "write \"full\" or \"none\"");
            }
            Forward::Tunnel(Tunnel::Gre { checksum: wanted })
        }
        other => {
            if let Some(at) = port {
                useless(&at.span, "tunnel_port", "\"gue\"");
            }
            if let Some(at) = checksum {
                useless(&at.span, "tunnel_checksum", "\"gue\" or \"gre\"");
            }
            other
        }
    }
}
