//! The plan, as properties of any two tables.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Family, Flags, Forward, Protocol, Tunnel};
use super::*;
use crate::kernel::{Backend, DryRun};

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (0_u8..4, 79_u16..82).prop_map(|(host, port)| SocketAddr::from(([10, 0, 0, host], port))),
        (0_u16..3, 79_u16..82)
            .prop_map(|(host, port)| SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, host], port))),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    prop_oneof![
        3 => (protocol, address()).prop_map(|(protocol, address)| Key::Address(protocol, address)),
        1 => (1_u32..3, family).prop_map(|(mark, family)| Key::Mark(mark, family)),
    ]
}

fn dest() -> impl Strategy<Value = Dest> {
    let forward = prop_oneof![Just(Forward::Gate), Just(Forward::Masq), Just(Forward::Tunnel(Tunnel::Ipip))];
    (0_u32..3, forward, 0_u32..3).prop_map(|(weight, forward, upper)| Dest {
        weight,
        forward,
        upper,
        lower: 0,
    })
}

fn service() -> impl Strategy<Value = Service> {
    let scheduler = prop_oneof![Just("wlc".to_owned()), Just("rr".to_owned())];
    let dests = prop::collection::btree_map(address(), dest(), 0..5);
    (scheduler, any::<bool>(), prop::option::of(1_u32..4), dests).prop_map(
        |(scheduler, one_packet, persistent, dests)| Service {
            scheduler,
            flags: Flags { one_packet, ..Flags::default() },
            persistent,
            netmask: u32::MAX,
            engine: None,
            dests: dests.into(),
        },
    )
}

fn table() -> impl Strategy<Value = Table> {
    prop::collection::btree_map(key(), service(), 0..6)
}

fn kernel(table: &Table) -> DryRun {
    DryRun { table: table.clone(), ..DryRun::default() }
}

/// What must be there in the end: all that is desired, and what was there and is nobody's business of ours.
fn wanted(current: &Table, desired: &Table, owned: &BTreeSet<Key>) -> Table {
    let mut wanted: Table =
        current.iter().filter(|(key, _)| !owned.contains(key)).map(|(k, s)| (*k, s.clone())).collect();
    wanted.extend(desired.iter().map(|(key, service)| (*key, service.clone())));
    wanted
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_leads_from_any_table_to_any_other_and_leaves_strangers_alone(
        current in table(), desired in table(), owned in prop::collection::btree_set(key(), 0..6)
    ) {
        let mut kernel = kernel(&current);
        let changes = plan(&current, &desired, &owned);
        for result in kernel.apply(&changes) {
            prop_assert_eq!(result, Ok(()));
        }
        prop_assert_eq!(&kernel.table, &wanted(&current, &desired, &owned));
        prop_assert_eq!(plan(&kernel.table, &desired, &owned), Vec::new(), "nothing is left to do");
    }

    #[test]
    fn nothing_that_stays_is_ever_deleted(current in table(), desired in table()) {
        let owned: BTreeSet<Key> = current.keys().copied().collect();
        for change in plan(&current, &desired, &owned) {
            match change {
                Change::DelService { key } => prop_assert!(!desired.contains_key(&key)),
                Change::DelDest { key, address } => {
                    prop_assert!(!desired[&key].dests.contains_key(&address));
                }
                Change::AddService { key, .. } => prop_assert!(!current.contains_key(&key)),
                Change::AddDest { key, address, .. } => {
                    let there = current.get(&key).is_some_and(|found| found.dests.contains_key(&address));
                    prop_assert!(!there);
                }
                Change::SetService { .. } | Change::SetDest { .. } => {}
            }
        }
    }

    #[test]
    fn a_service_that_has_and_keeps_real_servers_is_never_without_on_the_way(
        current in table(), desired in table()
    ) {
        let mut kernel = kernel(&current);
        let serving = |table: &Table, key: &Key| table.get(key).is_some_and(|found| !found.dests.is_empty());
        let both: Vec<Key> =
            desired.keys().filter(|key| serving(&current, key) && serving(&desired, key)).copied().collect();
        for change in plan(&current, &desired, &BTreeSet::new()) {
            kernel.apply(&[change]);
            for key in &both {
                prop_assert!(serving(&kernel.table, key), "{key} has none");
            }
        }
    }
}

#[test]
fn a_weight_is_one_change_in_place() {
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let key = Key::Address(Protocol::Tcp, SocketAddr::from(([10, 0, 0, 9], 80)));
    let dest = Dest { weight: 1, forward: Forward::Gate, upper: 0, lower: 0 };
    let service = Service {
        scheduler: "wlc".into(),
        flags: Flags::default(),
        persistent: None,
        netmask: u32::MAX,
        engine: None,
        dests: BTreeMap::from([(address, dest)]).into(),
    };
    let current = Table::from([(key, service)]);
    let mut desired = current.clone();
    desired.get_mut(&key).unwrap().dests_mut().get_mut(&address).unwrap().weight = 0;
    let changes = plan(&current, &desired, &BTreeSet::new());
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].to_string(), "~ tcp 10.0.0.9:80 -> 10.0.0.1:80  gate weight 1 -> gate weight 0");
}
