//! Tests across the modules: from a message to the packet and back.

mod corpus;
mod limits;
mod newer;
mod older;
mod pinned;
mod refusals;
mod round_trip;
mod second;

use proptest::prelude::*;

use crate::*;

/// An authkeys file for each method.
const KEYS: [(Method, &str); 3] = [
    (Method::Sha256, "auth 1\n1 sha256 the quick brown fox\n"),
    (Method::Md5, "auth 3\n3 md5 Hello!\n"),
    (Method::Crc, "auth 1\n1 crc\n"),
];

fn keys(text: &str) -> Keyring {
    Keyring::parse(text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn cluster() -> ClusterId {
    ClusterId::of("lvs")
}

/// The heartbeat of one half of a pair with one group, nothing special going on.
pub(crate) fn heartbeat() -> Message {
    Message {
        from: "midas".to_owned(),
        incarnation: 7,
        boot: 0x0123_4567_89ab_cdef,
        sequence: 1000,
        state: NodeState::Up,
        standby: false,
        maintenance: Maintenance { version: 2, on: false },
        config_digest: 0xfedc_ba98_7654_3210,
        echoes: vec![Echo {
            node: NodeId::of("estepe"),
            boot: 0x1122_3344_5566_7788,
            incarnation: 5,
            links: 0b11,
            heard: 0,
        }],
        pings_seen: 1,
        pings_total: 2,
        groups: vec![GroupReport {
            id: GroupId::of("director"),
            state: GroupState::Started,
            epoch: 3,
            failures: 0,
            able: true,
            failed: false,
            declined: false,
            to: None,
            fence: None,
            wrong: false,
        }],
        orders: vec![],
        acks: vec![],
        config_ask: None,
        config_page: None,
        config_entries: vec![],
    }
}

/// The same with something in every field.
fn eventful() -> Message {
    let mut message = heartbeat();
    message.config_ask = Some(ConfigAsk { target: NodeId::of("estepe"), page: 3 });
    message.config_page = Some(ConfigPage { issuer: NodeId::of("estepe"), page: 0, pages: 2 });
    message.config_entries = [("cluster.keepalive", 7), ("group.mail.requires", u32::MAX)]
        .map(|(name, fingerprint)| ConfigEntry { name: name.to_owned(), fingerprint })
        .to_vec();
    message.state = NodeState::Leaving;
    message.standby = true;
    message.maintenance.on = true;
    message.groups.push(GroupReport {
        id: GroupId::of("mail"),
        state: GroupState::Released,
        epoch: 300,
        failures: 2,
        able: false,
        failed: true,
        declined: true,
        to: Some(NodeId::of("estepe")),
        fence: None,
        wrong: false,
    });
    let (group, to) = (GroupId::of("mail"), NodeId::of("estepe"));
    let order = |id, kind| Order { id, target: to, kind, by: "root".to_owned() };
    message.orders = vec![
        order(1, OrderKind::Standby),
        order(2, OrderKind::Online),
        order(3, OrderKind::Give { group, to }),
        order(4, OrderKind::Cleanup { group: None }),
        order(5, OrderKind::Cleanup { group: Some(group) }),
    ];
    let refused = Some("nobody could take mail".to_owned());
    message.acks =
        vec![OrderAck { issuer: to, id: 8, refused: None }, OrderAck { issuer: to, id: 9, refused }];
    message
}

fn any_node() -> impl Strategy<Value = NodeId> {
    any::<u32>().prop_map(NodeId)
}

fn any_group() -> impl Strategy<Value = GroupId> {
    any::<u32>().prop_map(GroupId)
}

/// A text without control characters of at most `max` bytes.
fn any_text(max: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>().prop_filter("travels", |c| !c.is_control()), 0..=max / 4)
        .prop_map(String::from_iter)
}

fn any_report() -> impl Strategy<Value = GroupReport> {
    let state = prop_oneof![
        Just(GroupState::Stopped),
        Just(GroupState::Starting),
        Just(GroupState::Started),
        Just(GroupState::Stopping),
        Just(GroupState::Released),
        Just(GroupState::Blocked),
    ];
    let more = any::<(Option<bool>, bool)>();
    (any_group(), state, any::<(u64, u16, bool, bool, bool)>(), prop::option::of(any_node()), more).prop_map(
        |(id, state, (epoch, failures, able, failed, declined), to, (fence, wrong))| GroupReport {
            id,
            state,
            epoch,
            failures,
            able,
            failed,
            declined,
            to,
            fence,
            wrong,
        },
    )
}

fn any_order() -> impl Strategy<Value = Order> {
    let kind = prop_oneof![
        Just(OrderKind::Standby),
        Just(OrderKind::Online),
        (any_group(), any_node()).prop_map(|(group, to)| OrderKind::Give { group, to }),
        prop::option::of(any_group()).prop_map(|group| OrderKind::Cleanup { group }),
    ];
    (any::<u32>(), any_node(), kind, any_text(MAX_BY)).prop_map(|(id, target, kind, by)| Order {
        id,
        target,
        kind,
        by,
    })
}

fn any_ack() -> impl Strategy<Value = OrderAck> {
    (any_node(), any::<u32>(), prop::option::of(any_text(MAX_REFUSED)))
        .prop_map(|(issuer, id, refused)| OrderAck { issuer, id, refused })
}

fn any_echo() -> impl Strategy<Value = Echo> {
    (any_node(), any::<(u64, u64, u64, u32)>()).prop_map(|(node, (boot, incarnation, links, heard))| Echo {
        node,
        boot,
        incarnation,
        links,
        heard,
    })
}

prop_compose! {
    /// Any message that a correct sender may send.
    fn any_message()(
        from in any_text(MAX_NODE_NAME - 4),
        (incarnation, boot, sequence, config_digest) in any::<(u64, u64, u64, u64)>(),
        state in prop_oneof![
            Just(NodeState::Joining), Just(NodeState::Up), Just(NodeState::Leaving), Just(NodeState::Left)
        ],
        (standby, version, on, pings_seen, pings_total) in any::<(bool, u32, bool, u8, u8)>(),
        echoes in prop::collection::vec(any_echo(), 0..=MAX_ECHOES),
        groups in prop::collection::vec(any_report(), 0..=MAX_GROUPS),
        orders in prop::collection::vec(any_order(), 0..=MAX_ORDERS),
        acks in prop::collection::vec(any_ack(), 0..=MAX_ACKS),
        config_ask in prop::option::of((any::<u32>().prop_map(NodeId), any::<u16>())),
        config_page in prop::option::of((any::<u32>().prop_map(NodeId), any::<u16>(), any::<u16>())),
        entries in prop::collection::vec((any_text(MAX_ENTRY_NAME), any::<u32>()), 0..=MAX_ENTRIES),
    ) -> Message {
        Message {
            from: format!("n{from}"), incarnation, boot, sequence, state, standby,
            maintenance: Maintenance { version, on }, config_digest, echoes, pings_seen, pings_total,
            groups, orders, acks,
            config_ask: config_ask.map(|(target, page)| ConfigAsk { target, page }),
            config_page: config_page.map(|(issuer, page, pages)| ConfigPage { issuer, page, pages }),
            config_entries: entries.into_iter().map(|(name, fingerprint)| ConfigEntry { name, fingerprint }).collect(),
        }
    }
}
