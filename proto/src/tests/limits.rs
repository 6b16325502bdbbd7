use super::*;

fn size(keys: &str, message: &Message) -> usize {
    super::keys(keys).seal(cluster(), message).len()
}

const SHA256: &str = KEYS[0].1;

fn report(number: u32) -> GroupReport {
    GroupReport {
        id: GroupId(number.wrapping_mul(0x9e37_79b9)),
        state: GroupState::Released,
        epoch: 1000,
        failures: 100,
        able: true,
        failed: true,
        declined: true,
        to: Some(NodeId::of("estepe")),
        fence: None,
        wrong: false,
    }
}

#[test]
fn a_heartbeat_of_a_pair_is_small() {
    assert!(size(SHA256, &heartbeat()) <= 120, "{}", size(SHA256, &heartbeat()));
    // After years, with names as long as they get in practice, 8 links and a failed group.
    let mut old = heartbeat();
    old.from = "lvs-director-01.example.org".to_owned();
    old.incarnation = 100_000;
    old.sequence = u64::from(u32::MAX);
    old.maintenance.version = 100_000;
    old.echoes[0].incarnation = 100_000;
    old.echoes[0].links = 0xff;
    old.groups[0] = report(1);
    assert!(size(SHA256, &old) < 200, "{}", size(SHA256, &old));
}

#[test]
fn a_hundred_groups_fit_one_datagram() {
    // All released at once with failures: the longest records there are at this epoch.
    let mut message = heartbeat();
    message.from = "n".repeat(MAX_NODE_NAME);
    message.sequence = u64::from(u32::MAX);
    message.incarnation = 100_000;
    message.echoes[0].incarnation = 100_000;
    message.groups = (0..100).map(report).collect();
    for (_, text) in KEYS {
        assert!(size(text, &message) <= ONE_DATAGRAM, "{}", size(text, &message));
        assert_eq!(keys(text).open(cluster(), &keys(text).seal(cluster(), &message)).as_ref(), Ok(&message));
    }
}

#[test]
fn the_biggest_message_is_no_longer_than_a_packet_may_be() {
    let (node, group) = (NodeId(u32::MAX), GroupId(u32::MAX));
    let biggest = Message {
        from: "n".repeat(MAX_NODE_NAME),
        incarnation: u64::MAX,
        boot: u64::MAX,
        sequence: u64::MAX,
        state: NodeState::Left,
        standby: true,
        maintenance: Maintenance { version: u32::MAX, on: true },
        config_digest: u64::MAX,
        echoes: vec![
            Echo { node, boot: u64::MAX, incarnation: u64::MAX, links: u64::MAX, heard: u32::MAX };
            MAX_ECHOES
        ],
        pings_seen: 255,
        pings_total: 255,
        groups: (0..MAX_GROUPS as u32)
            .map(|n| GroupReport { epoch: u64::MAX, failures: u16::MAX, wrong: true, ..report(n) })
            .collect(),
        orders: vec![
            Order {
                id: u32::MAX,
                target: node,
                kind: OrderKind::Give { group, to: node },
                by: "b".repeat(MAX_BY)
            };
            MAX_ORDERS
        ],
        acks: vec![OrderAck { issuer: node, id: u32::MAX, refused: Some("r".repeat(MAX_REFUSED)) }; MAX_ACKS],
        config_ask: Some(ConfigAsk { target: node, page: u16::MAX }),
        config_page: Some(ConfigPage { issuer: node, page: u16::MAX, pages: u16::MAX }),
        config_entries: vec![
            ConfigEntry { name: "e".repeat(MAX_ENTRY_NAME), fingerprint: u32::MAX };
            MAX_ENTRIES
        ],
    };
    let keys = keys(SHA256);
    let packet = keys.seal(cluster(), &biggest);
    assert!(packet.len() <= MAX_PACKET, "{}", packet.len());
    assert_eq!(keys.open(cluster(), &packet), Ok(biggest));
}

#[test]
fn orders_and_acks_beyond_the_limits_wait_their_turn() {
    let mut message = eventful();
    message.orders = (0..20).map(|id| Order { id, ..message.orders[0].clone() }).collect();
    message.acks = (0..20).map(|id| OrderAck { id, ..message.acks[1].clone() }).collect();
    let keys = keys(SHA256);
    let heard = keys.open(cluster(), &keys.seal(cluster(), &message)).expect("heard");
    assert_eq!(heard.orders, message.orders[..MAX_ORDERS]);
    assert_eq!(heard.acks, message.acks[..MAX_ACKS]);
}

#[test]
fn long_texts_are_cut_at_a_whole_character() {
    let mut message = eventful();
    message.orders[0].by = format!("{}ß", "x".repeat(31));
    message.acks[1].refused = Some(format!("line one\n{}", "€".repeat(60)));
    let keys = keys(SHA256);
    let heard = keys.open(cluster(), &keys.seal(cluster(), &message)).expect("heard");
    assert_eq!(heard.orders[0].by, "x".repeat(31));
    assert_eq!(heard.acks[1].refused, Some(format!("line one {}", "€".repeat(37))));
}

#[test]
fn names_are_checked_as_the_decoder_does() {
    assert!(name_is_valid("midas") && name_is_valid("ä") && name_is_valid(&"a".repeat(63)));
    assert!(!name_is_valid("") && !name_is_valid("a\tb") && !name_is_valid(&"a".repeat(64)));
}
