//! How long a heartbeat of this configuration can get, and whether its serial lines can carry that.

use std::time::Duration;

use proto::serial::longest_frame;
use proto::{
    Echo, GroupId, GroupReport, GroupState, Maintenance, Message, NodeId, NodeState, ONE_DATAGRAM,
    packet_length,
};

use super::cluster::Timing;
use super::duration::show;
use super::link::{BAUDS, Line};
use super::problem::Report;

/// How much of a line heartbeats may take, in percent: the rest is for what happens between them.
const MOST_PERCENT: u64 = 80;
/// Numbers that have grown as they do in years: so many sequences, starts and changes of owner.
const MANY: u64 = (1 << 28) - 1;
const SOME: u64 = (1 << 14) - 1;

/// Bytes of the packet of a heartbeat, with a witness or without: every group given away at once, after years, and no order under way.
pub fn heartbeat_bytes(nodes: &[String], links: usize, groups: &[&str], witness: bool) -> usize {
    // Of the names that are none the reader has complained already.
    let valid = nodes.iter().filter(|name| proto::name_is_valid(name));
    let longest = valid.max_by_key(|name| name.len()).cloned().unwrap_or_else(|| "node".to_owned());
    let links = 1_u64.checked_shl(u32::try_from(links).unwrap_or(64)).map_or(u64::MAX, |bit| bit - 1);
    let heard = if witness { (1 << 28) - 1 } else { 0 };
    let echo = |name: &String| Echo { node: NodeId::of(name), boot: MANY, incarnation: SOME, links, heard };
    let group = |name: &&str| GroupReport {
        id: GroupId::of(name),
        state: GroupState::Released,
        epoch: SOME,
        failures: 1,
        able: true,
        failed: true,
        declined: true,
        to: Some(NodeId(0)),
        fence: None,
        wrong: false,
    };
    packet_length(&Message {
        from: longest,
        incarnation: SOME,
        boot: MANY,
        sequence: MANY,
        state: NodeState::Up,
        standby: false,
        maintenance: Maintenance { version: 1, on: false },
        config_digest: 0,
        echoes: nodes.iter().skip(1).take(proto::MAX_ECHOES).map(echo).collect(),
        pings_seen: 0,
        pings_total: 0,
        groups: groups.iter().take(proto::MAX_GROUPS).map(group).collect(),
        orders: Vec::new(),
        acks: Vec::new(),
        config_ask: None,
        config_page: None,
        config_entries: Vec::new(),
    })
}

/// The shortest keepalive at which a line of `baud` carries packets of `bytes`, in whole milliseconds.
fn fastest(bytes: usize, baud: u32) -> Duration {
    let bits = longest_frame(bytes) as u64 * 10;
    Duration::from_millis((bits * 1000 * 100).div_ceil(u64::from(baud) * MOST_PERCENT))
}

/// Reports the serial lines that cannot carry a heartbeat of `bytes` each keepalive, and heartbeats too long for one
/// datagram.
pub(super) fn check(bytes: usize, lines: &[Line], timing: &Timing, report: &Report<'_>) {
    let keepalive = timing.keepalive.value;
    for line in lines {
        let fits = fastest(bytes, line.baud);
        if fits <= keepalive {
            continue;
        }
        let message =
            format!("a serial line at {} baud is too slow for a keepalive of {}", line.baud, show(keepalive));
        let faster = BAUDS.into_iter().filter_map(|baud| u32::try_from(baud).ok());
        let faster = faster.into_iter().find(|&baud| fastest(bytes, baud) <= keepalive);
        let faster = faster.map_or_else(String::new, |baud| format!(", or baud = {baud} if the cable can"));
        let took = longest_frame(bytes) as u64 * 10_000 / u64::from(line.baud);
        let help = format!(
            "a heartbeat of these groups takes up to {} bytes, {took}ms on it, and a fifth of the time must stay free: \
             keepalive = \"{}\" or longer{faster}",
            longest_frame(bytes),
            show(fits)
        );
        report.error(&line.span, message, help);
    }
    if bytes > ONE_DATAGRAM {
        let message = format!(
            "a heartbeat of these groups takes up to {bytes} bytes, more than an Ethernet packet holds ({ONE_DATAGRAM})"
        );
        report.warning(
            &(0..0),
            message,
            "it travels in fragments, and is lost if one of them is: put resources into fewer groups",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_pair_with_one_group_and_a_hundred() {
        let nodes = names(&["midas", "estepe"]);
        assert_eq!(heartbeat_bytes(&nodes, 2, &[], false), 80);
        assert_eq!(heartbeat_bytes(&nodes, 2, &["vip"], false), 95);
        // As docs/protocol.md promises.
        let many: Vec<String> = (0..100).map(|n| format!("group{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(heartbeat_bytes(&nodes, 64, &many, false) <= ONE_DATAGRAM);
        assert!(heartbeat_bytes(&names(&["a"]), 64, &[], false) > 0);
    }

    #[test]
    fn the_fastest_keepalive_leaves_a_fifth_free() {
        // 93 bytes and 7 of framing: 100 bytes, 1000 bits.
        assert_eq!(fastest(93, 9600), Duration::from_millis(131));
        assert_eq!(fastest(93, 19200), Duration::from_millis(66));
        assert_eq!(fastest(93, 115_200), Duration::from_millis(11));
    }
}
