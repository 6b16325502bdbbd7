//! Heartbeat's `haresources`: one group in a line, its node first.

use base::config::problem::Problems;

use super::cluster_file::Group;
use super::doc::{Place, Remark};
use super::source::{Line, Reading, Source, shown};
use super::value::Value;

/// A line: the node that shall have it, and what it is made of.
#[derive(Debug)]
pub(super) struct Resources {
    pub(super) place: Place,
    pub(super) node: String,
    pub(super) resources: Vec<String>,
}

/// Resources that say nothing of what a group is for.
const HELPERS: [&str; 14] = [
    "IPaddr",
    "IPaddr2",
    "IPv6addr",
    "IPsrcaddr",
    "SendArp",
    "MailTo",
    "Delay",
    "AudibleAlarm",
    "WinPopup",
    "drbddisk",
    "drbdupper",
    "Filesystem",
    "LVM",
    "LVSSyncDaemonSwap",
];

/// Groups of a file and resources of a group: hbd takes no more groups, and nobody has more resources.
const MOST_GROUPS: usize = 1000;
const MOST_RESOURCES: usize = 500;

/// Reads the file.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn parse(source: &Source) -> Result<Vec<Resources>, Problems> {
    let reading = Reading::new(source);
    let mut groups: Vec<Resources> = Vec::new();
    let mut open = false;
    for line in reading.lines().take_while(|_| !reading.is_hopeless()) {
        let text = line.text.split('#').next().unwrap_or("");
        let (text, goes_on) = match text.trim_end().strip_suffix('\\') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut words = text.split_whitespace();
        if !open && let Some(node) = words.next() {
            if groups.len() == MOST_GROUPS {
                reading.wrong(
                    line.span(node),
                    format!("more than {MOST_GROUPS} groups"),
                    "hbd takes no more",
                );
                break;
            }
            let (node, resources) = (node.to_owned(), Vec::new());
            groups.push(Resources { place: reading.place(line.number), node, resources });
        }
        if let Some(group) = groups.last_mut() {
            for word in words {
                check(word, &line, &reading);
                if group.resources.len() < MOST_RESOURCES {
                    group.resources.push(word.to_owned());
                } else {
                    let message = format!("the group has more than {MOST_RESOURCES} resources");
                    reading.wrong(line.span(word), message, "divide it into several");
                    break;
                }
            }
        }
        open = goes_on;
        let lonely =
            groups.last().filter(|group| group.resources.is_empty() && group.place.line == line.number);
        if let Some(group) = lonely.filter(|_| !open) {
            let help = "a line is a node and its resources: alpha 192.168.45.26/24/eth0 apache";
            reading.wrong(line.span(text.trim()), format!("'{}' stands alone", shown(&group.node)), help);
        }
    }
    reading.finish().map(|()| groups)
}

fn check(word: &str, line: &Line<'_>, reading: &Reading<'_>) {
    if word.starts_with("::") {
        let help = "a resource is an agent and its arguments: agent::argument";
        reading.wrong(line.span(word), format!("'{}' has no agent", shown(word)), help);
    }
}

/// What converting a line needs to know of the rest.
pub(super) struct Scope<'s> {
    /// The nodes as they are spelled.
    pub(super) nodes: &'s [String],
    /// Whether what ldirectord did becomes a director.toml.
    pub(super) director: bool,
}

/// The group of a line.
pub(super) fn group(line: &Resources, scope: &Scope<'_>) -> Group {
    let spelled = scope.nodes.iter().find(|node| node.eq_ignore_ascii_case(&line.node));
    let mut group = Group {
        name: purpose(&line.resources),
        preferred: Some(spelled.cloned().unwrap_or_else(|| line.node.clone())),
        place: Some(line.place.clone()),
        ..Group::default()
    };
    for resource in &line.resources {
        match resource.split("::").next().unwrap_or_default() {
            "ldirectord" => ldirectord(resource, scope, &mut group, &line.place),
            "SendArp" => {
                let why = "addresses are announced by themselves";
                group.remarks.push(Remark::lost(line.place.clone(), resource, why));
            }
            "LVSSyncDaemonSwap" => sync_daemon(resource, scope, &mut group, &line.place),
            _ => group.resources.push(spelling(resource)),
        }
    }
    group
}

/// The director, if it takes over what ldirectord did.
fn ldirectord(resource: &str, scope: &Scope<'_>, group: &mut Group, place: &Place) {
    let director = Value::from("director");
    if !scope.director {
        group.resources.push(spelling(resource));
        let why = format!(
            "{resource} goes on as it is; for the director in its place name its file too: hbctl convert … ldirectord.cf"
        );
        group.remarks.push(Remark::todo(Some(place.clone()), why));
    } else if !group.resources.contains(&director) {
        group.resources.push(director);
    }
}

/// `LVSSyncDaemonSwap::ROLE[::INTERFACE[::ID]]`: the director does it itself, else it is an agent.
fn sync_daemon(resource: &str, scope: &Scope<'_>, group: &mut Group, place: &Place) {
    let args: Vec<&str> = resource.split("::").skip(2).collect();
    match (scope.director, args.is_empty()) {
        (true, _) => {
            let why = format!(
                "{resource}: write sync = {{ interface = \"eth1\" }} in [director] of director.toml, with its interface"
            );
            group.remarks.push(Remark::todo(Some(place.clone()), why));
        }
        (false, true) => {
            let why = format!("{resource}: it is \"ipvs-sync::eth1\" here, with its interface");
            group.remarks.push(Remark::todo(Some(place.clone()), why));
        }
        (false, false) => group.resources.push(format!("ipvs-sync::{}", args.join("::")).into()),
    }
}

/// The resource in the text that hbd takes: arguments that are empty at its end go.
fn spelling(resource: &str) -> Value {
    let mut text = resource;
    let address =
        ["IPaddr", "IPaddr2", "IPv6addr"].contains(&resource.split("::").next().unwrap_or_default());
    while let Some(shorter) = text.strip_suffix("::").filter(|_| !address) {
        text = shorter;
    }
    let args: Vec<&str> = text.split("::").collect();
    if address || !args.iter().any(|arg| arg.is_empty()) {
        return text.into();
    }
    // An argument that is empty in the middle is one that hbd takes in a list only if it has something in it.
    args.into_iter().filter(|arg| !arg.is_empty()).collect::<Vec<_>>().join("::").into()
}

/// What a group is for, as a name: its first service, or that it is an address.
fn purpose(resources: &[String]) -> String {
    let agents = resources.iter().map(|resource| resource.split("::").next().unwrap_or_default());
    let service = agents
        .filter(|agent| !agent.starts_with(|c: char| c.is_ascii_digit()) && !agent.contains('/'))
        .find(|agent| !HELPERS.contains(agent));
    match service {
        Some("ldirectord") => "lvs".to_owned(),
        Some(agent) => agent.to_owned(),
        None => "vip".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::source::Kind;

    fn read(text: &str) -> Result<Vec<Resources>, Problems> {
        parse(&Source {
            kind: Kind::HaResources,
            name: "haresources".to_owned(),
            text: text.to_owned(),
            includes: Vec::new(),
        })
    }

    fn converted(text: &str) -> Vec<String> {
        let scope = Scope { nodes: &["Alpha".to_owned()], director: true };
        let lines = read(text).expect("good");
        lines.iter().map(|line| Value::List(group(line, &scope).resources).to_string()).collect()
    }

    #[test]
    fn lines_go_on_and_comments_end() {
        let lines = read("# all\nalpha 10.0.0.1 \\\n  apache::/etc/a.conf # here\n\nbeta x\n").expect("good");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].resources, ["10.0.0.1", "apache::/etc/a.conf"]);
        assert_eq!((lines[1].node.as_str(), lines[1].place.line), ("beta", 5));
    }

    #[test]
    fn a_node_alone_is_a_mistake() {
        for text in ["alpha\n", "alpha \\\n\n", "alpha ::x\n"] {
            assert!(text.contains('\\') || read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ldirectord_becomes_the_director_once() {
        assert_eq!(
            converted("alpha 10.0.0.1 ldirectord::a.cf ldirectord::b.cf"),
            [r#"["10.0.0.1", "director"]"#]
        );
        assert_eq!(
            converted("alpha MailTo::root:: IPv6addr::fd00::1/64/eth0"),
            [r#"["MailTo::root", "IPv6addr::fd00::1/64/eth0"]"#]
        );
    }

    #[test]
    fn connections_are_synchronised_by_our_agent() {
        let scope = Scope { nodes: &[], director: false };
        let lines =
            read("a 10.0.0.1 LVSSyncDaemonSwap::master::eth1::7 LVSSyncDaemonSwap::master\n").expect("good");
        let group = group(&lines[0], &scope);
        assert_eq!(Value::List(group.resources).to_string(), r#"["10.0.0.1", "ipvs-sync::eth1::7"]"#);
        assert_eq!(group.remarks.len(), 1);
    }

    #[test]
    fn a_group_is_called_after_its_service() {
        let named = |text: &str| purpose(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(named("10.0.0.1/24 MailTo::root"), "vip");
        assert_eq!(
            named("IPaddr::10.0.0.1 drbddisk::r0 Filesystem::/dev/drbd0::/srv postgresql"),
            "postgresql"
        );
        assert_eq!(named("10.0.0.1 ldirectord::x"), "lvs");
    }
}
