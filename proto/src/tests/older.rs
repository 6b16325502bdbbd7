//! What older versions send must be understood for ever: packets as they came off the wire, in `tests/old`.

use super::*;

/// Packets of November 2026 (commit 65d1a9e): node `a` of cluster `old` joins, serves, and is blocked with a group.
const PACKETS: &str = include_str!("../../../tests/old/2026-11/packets");
const KEY: &str = "auth 1\n1 sha256 of-an-older-version\n";

fn heard(line: usize) -> Message {
    let text = PACKETS.lines().nth(line).expect("a packet");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    let bytes: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
    keys(KEY).open(ClusterId::of("old"), &bytes).unwrap_or_else(|reject| panic!("line {line}: {reject}"))
}

fn report(name: &str, state: GroupState, epoch: u64, able: bool) -> GroupReport {
    GroupReport {
        id: GroupId::of(name),
        state,
        epoch,
        failures: 0,
        able,
        failed: false,
        declined: epoch == 0 || state != GroupState::Stopped,
        to: None,
        fence: None,
        wrong: false,
    }
}

#[test]
fn packets_of_november_2026_say_what_they_said() {
    let (joins, serves, blocked) = (heard(0), heard(1), heard(2));
    assert_eq!((joins.from.as_str(), joins.state, joins.sequence), ("a", NodeState::Joining, 5));
    assert_eq!((serves.state, serves.sequence), (NodeState::Up, 29));
    for message in [&serves, &blocked] {
        let same = Message { sequence: 0, groups: vec![], ..joins.clone() };
        let this = Message { sequence: 0, groups: vec![], ..message.clone() };
        assert_eq!(this, Message { state: NodeState::Up, ..same });
    }
    let stopped = |name| report(name, GroupState::Stopped, 0, false);
    assert_eq!(joins.groups, [stopped("vip"), stopped("stuck")]);
    let started = |name| report(name, GroupState::Started, 1, true);
    assert_eq!(serves.groups, [started("vip"), started("stuck")]);
    let stuck = GroupReport { failures: 1, ..report("stuck", GroupState::Blocked, 1, false) };
    assert_eq!(blocked.groups, [started("vip"), stuck], "whether it wants to be fenced was not said then");
}

#[test]
fn what_they_do_not_say_is_not_made_up() {
    let again = |message: &Message| keys(KEY).seal(ClusterId::of("old"), message);
    for (line, text) in PACKETS.lines().enumerate() {
        let bytes: String = again(&heard(line)).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes, text, "the same message is the same packet");
    }
}
