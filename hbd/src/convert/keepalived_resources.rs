//! What a VRRP instance had beside its priority: addresses, routes, scripts; and what held for all of them.

use std::net::IpAddr;

use super::cluster_file::{Draft, Group};
use super::doc::{Remark, Section, add};
use super::keepalived::Node;
use super::source::shown;
use super::value::{Value, table};

/// A line of `virtual_ipaddress`: `ADDRESS[/PREFIX] [dev IF] [label L] [brd ADDRESS] …`.
pub(super) fn address(said: &Node, interface: Option<&str>, group: &mut Group) {
    let (ip, prefix) =
        said.name().split_once('/').map_or((said.name(), None), |(ip, prefix)| (ip, Some(prefix)));
    let Ok(parsed) = ip.parse::<IpAddr>() else {
        let why =
            format!("{} is no address in numbers: write it as ADDRESS/PREFIX/INTERFACE", shown(said.name()));
        return add(&mut group.remarks, Remark::todo(Some(said.place.clone()), why));
    };
    let (mut device, mut label, mut broadcast) = (interface, None, None);
    let mut words = said.words.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "dev" => device = words.next().or(device),
            "label" => label = words.next(),
            "brd" | "broadcast" => broadcast = words.next().filter(|text| text.parse::<IpAddr>().is_ok()),
            "scope" | "peer" | "preferred_lft" => {
                words.next();
                let why = "addresses have no such option here";
                add(&mut group.remarks, Remark::lost(said.place.clone(), word, why));
            }
            // IPv6 addresses are set without duplicate address detection anyway.
            "nodad" | "-nodad" | "home" | "no_track" | "track_group" => {}
            _ => add(
                &mut group.remarks,
                Remark::lost(said.place.clone(), &shown(word), "addresses have no such option here"),
            ),
        }
    }
    let prefix = prefix.unwrap_or(if parsed.is_ipv4() { "32" } else { "128" });
    let mut resource = format!("{ip}/{prefix}");
    if let Some(device) = device {
        // A label has the interface before it.
        let end = label
            .and_then(|label| label.strip_prefix(device))
            .filter(|end| end.starts_with(':') && parsed.is_ipv4());
        if label.is_some() && end.is_none() {
            let why = "a label is the interface and what stands behind a colon, of IPv4";
            add(&mut group.remarks, Remark::lost(said.place.clone(), "label", why));
        }
        resource.push_str(&format!("/{device}{}", end.unwrap_or("")));
    }
    if let Some(broadcast) = broadcast.filter(|_| parsed.is_ipv4()) {
        resource.push_str(&format!("/{broadcast}"));
    }
    group.resources.push(resource.into());
}

/// A line of `virtual_routes`, for the agent Route.
pub(super) fn route(said: &Node, group: &mut Group) {
    let (mut destination, mut args): (Option<&str>, Vec<Value>) = (None, Vec::new());
    let mut good = true;
    let mut words = said.words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "to" => destination = words.next(),
            "via" | "gw" => {
                args.extend(words.next().map(|gateway| ["via".into(), gateway.into()]).into_iter().flatten())
            }
            "dev" | "src" | "table" | "metric" | "scope" => {
                args.extend(words.next().map(|value| [word.into(), value.into()]).into_iter().flatten());
            }
            "onlink" => args.push("onlink".into()),
            "no_track" => {}
            _ if destination.is_none()
                && (word == "default" || word.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':')) =>
            {
                destination = Some(word);
            }
            _ => good = false,
        }
    }
    let Some(destination) = destination.filter(|_| good && !args.is_empty()) else {
        let why = "the agent Route takes a destination with via, dev, src, table, metric, scope and onlink";
        return add(&mut group.remarks, Remark::todo(Some(said.place.clone()), why));
    };
    let destination = if ["0.0.0.0/0", "::/0"].contains(&destination) { "default" } else { destination };
    args.insert(0, destination.into());
    let texts: Vec<String> = args
        .iter()
        .filter_map(|arg| if let Value::Text(text) = arg { Some(text.clone()) } else { None })
        .collect();
    group.resources.push(match texts.iter().any(|text| text.contains("::")) {
        true => table([("agent", "Route".into()), ("args", Value::List(args))]),
        false => format!("Route::{}", texts.join("::")).into(),
    });
}

/// The scripts of an instance or a sync group. What starts and stops a unit is that unit.
pub(super) fn scripts(node: &Node, nodes: &[Node], group: &mut Group) {
    let mut started: Vec<String> = Vec::new();
    for said in node.inner().iter().filter(|said| said.name().starts_with("notify")) {
        let command = said.rest();
        match unit(&command) {
            Some((verb @ ("start" | "restart"), unit)) if said.name() == "notify_master" => {
                if verb == "restart" {
                    let why = "it runs only where the group is: if it is to run on both nodes, leave it out and have it bind to any address";
                    add(
                        &mut group.remarks,
                        Remark::changed(said.place.clone(), &format!("restart {}", shown(unit)), why),
                    );
                }
                group.resources.push(format!("systemd:{unit}").into());
                started.push(unit.to_owned());
            }
            Some(("stop", unit)) if started.iter().any(|other| other == unit) => {}
            _ => {
                let why = "what a script started and stopped becomes a resource behind the addresses (\"systemd:UNIT\", or an agent of yours); \
                           what it told somebody, an [[alert]]";
                add(
                    &mut group.remarks,
                    Remark::todo(Some(said.place.clone()), format!("{}: {why}", said.name())),
                );
            }
        }
    }
    for said in node.said("track_script").map(Node::inner).unwrap_or_default() {
        let script =
            nodes.iter().find(|other| other.name() == "vrrp_script" && other.word(1) == Some(said.name()));
        let command = script.and_then(|script| script.said("script")).map(Node::rest).unwrap_or_default();
        // Its arguments may be secrets.
        let program = command.split_whitespace().next().unwrap_or_default();
        let why = format!(
            "track_script {} ({}): a resource that is looked at does it, {{ agent = \"…\", monitor = \"5s\" }}: its failure moves the group",
            shown(said.name()),
            shown(program)
        );
        add(&mut group.remarks, Remark::todo(Some(said.place.clone()), why));
    }
}

/// The verb and the unit of `systemctl VERB UNIT`.
fn unit(command: &str) -> Option<(&str, &str)> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        [program, verb, unit]
            if program.rsplit('/').next() == Some("systemctl") && !unit.starts_with('-') =>
        {
            Some((verb, unit.trim_end_matches(".service")))
        }
        _ => None,
    }
}

/// Whom mails went to, and what else held for all; `director`: it looks after the connections itself.
pub(super) fn globals(nodes: &[Node], director: bool, draft: &mut Draft) {
    let alerted = |node: &Node| node.name().starts_with("vrrp_") && node.flag("smtp_alert");
    for node in nodes {
        match node.name() {
            "global_defs" => {
                global_defs(node, nodes.iter().any(alerted) || node.flag("smtp_alert"), director, draft)
            }
            "static_ipaddress" | "static_routes" | "static_rules" => {
                let why = "what does not move belongs to the network configuration of the node";
                draft.remark(Remark::lost(node.place.clone(), node.name(), why));
            }
            "vrrp_instance"
            | "vrrp_sync_group"
            | "vrrp_script"
            | "virtual_server"
            | "virtual_server_group" => {}
            name => draft.remark(Remark::lost(node.place.clone(), &shown(name), "hbd has nothing like it")),
        }
    }
}

fn global_defs(node: &Node, alerted: bool, director: bool, draft: &mut Draft) {
    for said in node.inner() {
        match said.name() {
            "notification_email" if alerted => {
                for mail in said.list() {
                    let alert = Section::new("[[alert]]").with("mail", mail);
                    draft.rest.push(alert.with("events", Value::List(vec!["group".into()])));
                }
            }
            "lvs_sync_daemon" if !director => {
                let id = said.words.iter().position(|word| word == "id").and_then(|at| said.word(at + 1));
                let id = id.map(|id| format!("::{id}")).unwrap_or_default();
                if let (Some(group), Some(interface)) = (draft.groups.first_mut(), said.word(1)) {
                    group.resources.push(format!("ipvs-sync::{interface}{id}").into());
                }
            }
            "lvs_sync_daemon" | "vrrp_mcast_group4" | "vrrp_mcast_group6" => {}
            "lvs_timeouts" => {
                let why = "ipvsadm --set TCP FIN UDP at the boot does it";
                draft.remark(Remark::lost(said.place.clone(), said.name(), why));
            }
            name => draft.remark(Remark::lost(said.place.clone(), &shown(name), "hbd does not need it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_a_unit_is_that_unit() {
        assert_eq!(unit("/usr/bin/systemctl start nginx.service"), Some(("start", "nginx")));
        assert_eq!(unit("systemctl stop nginx"), Some(("stop", "nginx")));
        assert_eq!(unit("/usr/local/bin/master.sh start nginx"), None);
        assert_eq!(unit("systemctl start --now nginx"), None);
        assert_eq!(unit("systemctl start --now"), None);
    }
}
