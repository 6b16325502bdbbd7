//! Setting, renewing, leasing and removing addresses; routes.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use sys::netlink::{Address, AddressKey, AddressSet, Netlink, Reason, Removed, Route};

use crate::space::{Space, single, wait_for};

const MARK: u8 = 0x68;

pub fn set(ifindex: u32, ip: &str, prefix: u8, lifetime: Option<u64>) -> AddressSet {
    let lifetime = lifetime.map(Duration::from_secs);
    AddressSet {
        ifindex,
        ip: ip.parse().expect("ip"),
        prefix,
        label: None,
        broadcast: None,
        lifetime,
        mark: MARK,
    }
}

pub fn thousand(ifindex: u32, lifetime: Option<u64>) -> Vec<AddressSet> {
    let ip = |number: u32| Ipv4Addr::from_bits(Ipv4Addr::new(10, 77, 1, 0).to_bits() + number).to_string();
    (0..1000).map(|number| set(ifindex, &ip(number), 16, lifetime)).collect()
}

fn open(space: &Space) -> (Netlink, u32) {
    (space.enter(Netlink::open).expect("open"), space.index("v0"))
}

fn find(netlink: &mut Netlink, ip: &str) -> Option<Address> {
    let ip: IpAddr = ip.parse().expect("ip");
    netlink.addresses().expect("list").into_iter().find(|address| address.ip == ip)
}

fn put(netlink: &mut Netlink, batch: &[AddressSet]) {
    for result in netlink.set_addresses(batch).expect("set") {
        result.expect("set");
    }
}

fn keys(batch: &[AddressSet]) -> Vec<AddressKey> {
    batch.iter().map(AddressSet::key).collect()
}

#[test]
fn a_thousand_are_added_renewed_and_removed() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    let batch = thousand(index, Some(100));
    put(&mut netlink, &batch);
    let ours = |netlink: &mut Netlink| -> Vec<Address> {
        let all = netlink.addresses().expect("list");
        all.into_iter().filter(|address| address.mark == MARK).collect()
    };
    let present = ours(&mut netlink);
    assert_eq!(present.len(), 1000);
    assert!(present.iter().all(|address| {
        let left = address.valid.expect("a lease");
        address.ifindex == index && address.prefix == 16 && (1..=100).contains(&left.as_secs())
    }));
    assert_eq!(present.iter().filter(|address| !address.secondary()).count(), 1);
    assert_eq!(present[0].label.as_deref(), Some("v0"));

    put(&mut netlink, &thousand(index, Some(5000)));
    let renewed = ours(&mut netlink);
    assert_eq!(renewed.len(), 1000);
    assert!(renewed.iter().all(|address| address.valid.is_some_and(|left| left.as_secs() > 100)));

    let removed = netlink.remove_addresses(&keys(&batch)).expect("remove");
    assert!(removed.iter().all(|result| result == &Ok(Removed::Gone)), "{removed:?}");
    assert_eq!(ours(&mut netlink), []);
    let again = netlink.remove_addresses(&keys(&batch)).expect("remove");
    assert!(again.iter().all(|result| result == &Ok(Removed::WasNotThere)), "{again:?}");
}

#[test]
fn each_mistake_is_reported_at_its_address_and_the_others_are_set() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    let labelled = |ip, label: &str| AddressSet {
        label: Some(label.into()),
        broadcast: Some(Ipv4Addr::new(10, 77, 255, 255)),
        ..set(index, ip, 16, None)
    };
    let batch = [
        set(index, "10.77.1.1", 16, None),
        set(9999, "10.77.1.2", 16, None),
        set(index, "10.77.1.1", 16, None),
        set(index, "10.77.1.3", 33, None),
        labelled("10.77.1.4", "v0:vip"),
        labelled("10.77.1.5", "a label much too long"),
        set(index, "::ffff:0:0", 200, None),
        set(index, "fd77::5", 64, None),
        set(9999, "fd77::6", 64, None),
    ];
    let results = netlink.set_addresses(&batch).expect("the socket works");
    let good: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true, false, true, false, false, true, false]);
    let text = results[1].as_ref().expect_err("no such interface").to_string();
    assert!(text.starts_with("add 10.77.1.2/16 on interface 9999: ") && text.contains("ENODEV"), "{text}");
    assert!(results[8].as_ref().is_err_and(|error| error.is_interface_gone()), "{:?}", results[8]);
    assert!(matches!(&results[5], Err(error) if matches!(error.reason, Reason::Invalid(_))));
    assert_eq!(find(&mut netlink, "10.77.1.4").expect("set").label.as_deref(), Some("v0:vip"));
    assert!(space.ip("-4 addr show dev v0").contains("10.77.1.4/16 brd 10.77.255.255"));
    assert!(find(&mut netlink, "fd77::5").is_some());

    let keys = [
        AddressKey { ifindex: 9999, ..batch[0].key() },
        batch[0].key(),
        AddressKey { prefix: 24, ..batch[4].key() },
    ];
    let removed = netlink.remove_addresses(&keys).expect("the socket works");
    assert!(removed[0].as_ref().is_err_and(|error| error.is_interface_gone()), "{removed:?}");
    assert_eq!(removed[1..], [Ok(Removed::Gone), Ok(Removed::WasNotThere)]);
    assert!(find(&mut netlink, "10.77.1.4").is_some(), "another prefix length is another key");
}

#[test]
fn a_thousand_refusals_arrive_one_by_one() {
    let Some(space) = single() else { return };
    let (mut netlink, _) = open(&space);
    let results = netlink.set_addresses(&thousand(9999, None)).expect("the socket works");
    assert_eq!(results.len(), 1000);
    for (result, wanted) in results.iter().zip(thousand(9999, None)) {
        let error = result.as_ref().expect_err("no such interface");
        assert!(error.is_interface_gone() && error.what.contains(&wanted.ip.to_string()), "{error}");
    }
    assert_eq!(netlink.links().expect("still usable").len(), 3);
}

#[test]
fn a_lease_ends_unless_it_is_renewed_or_made_endless() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    let lease = |ip, lifetime| set(index, ip, 16, lifetime);
    let left = ["10.77.1.1", "fd77::1"];
    let kept = ["10.77.1.2", "fd77::2"];
    let late = ["10.77.1.3", "fd77::3"];
    for ip in left.iter().chain(&kept) {
        put(&mut netlink, &[lease(ip, Some(1))]);
    }
    for ip in &kept {
        put(&mut netlink, &[lease(ip, None)]);
        assert_eq!(find(&mut netlink, ip).expect("there").valid, None);
    }
    put(&mut netlink, &late.map(|ip| lease(ip, None)));
    put(&mut netlink, &late.map(|ip| lease(ip, Some(1))));
    for ip in left.iter().chain(&late) {
        wait_for("the end of the lease", || find(&mut netlink, ip).is_none().then_some(()));
    }
    for ip in &kept {
        assert!(find(&mut netlink, ip).is_some(), "{ip} was made endless after the others were leased");
    }
}

#[test]
fn an_ipv6_address_can_be_used_at_once() {
    let Some(space) = single() else { return };
    space.enter(|| {
        // The kernel would look for duplicates here if it were let.
        std::fs::write("/proc/sys/net/ipv6/conf/v0/accept_dad", "1").expect("sysctl");
        std::fs::write("/proc/sys/net/ipv6/conf/all/accept_dad", "1").expect("sysctl");
        let mut netlink = Netlink::open().expect("open");
        let index = nix::net::if_::if_nametoindex("v0").expect("v0");
        put(&mut netlink, &[set(index, "fd77::1", 64, Some(60))]);
        UdpSocket::bind("[fd77::1]:0").expect("bind at once");
        let address = find(&mut netlink, "fd77::1").expect("there");
        assert!(!address.tentative() && !address.dad_failed());
        assert_eq!((address.mark, address.prefix), (MARK, 64));
    });
    space.ip("addr add fd77::2/64 dev v0");
    let (mut netlink, _) = open(&space);
    assert!(find(&mut netlink, "fd77::2").expect("there").tentative(), "the control must be tentative");
}

#[test]
fn the_end_of_an_ipv6_lease_leaves_the_machines_own_route_alone() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    space.ip("addr add fd77::1/64 dev v0");
    // A lone node sets it without end; then the peer comes, and it becomes a lease.
    for lifetime in [None, Some(60), None, Some(1)] {
        put(&mut netlink, &[set(index, "fd77::100", 64, lifetime)]);
        let routes = space.ip("-6 route show dev v0");
        assert!(routes.contains("fd77::/64") && !routes.contains("expires"), "{lifetime:?}: {routes}");
    }
    wait_for("the end of the lease", || find(&mut netlink, "fd77::100").is_none().then_some(()));
    let routes = space.ip("-6 route show dev v0");
    assert!(routes.contains("fd77::/64") && !routes.contains("expires"), "{routes}");

    // In a network of its own the address brings the route along.
    put(&mut netlink, &[set(index, "fd78::1", 64, Some(60)), set(index, "fd78::2", 64, Some(60))]);
    assert!(space.ip("-6 route show dev v0").contains("fd78::/64"));
}

#[test]
fn the_first_of_a_network_goes_without_the_others() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    let ips = ["10.77.1.1", "10.77.1.2", "10.77.1.3", "10.77.1.4"];
    put(&mut netlink, &ips.map(|ip| set(index, ip, 16, None)));
    assert!(!find(&mut netlink, ips[0]).expect("there").secondary());
    let removed = netlink.remove_addresses(&[set(index, ips[0], 16, None).key()]).expect("remove");
    assert_eq!(removed, [Ok(Removed::Gone)]);
    let here = |netlink: &mut Netlink| ips.map(|ip| find(netlink, ip).is_some());
    assert_eq!(here(&mut netlink), [false, true, true, true]);

    // The same when the lease of the first one runs out: the kernel removes it without asking anybody.
    put(&mut netlink, &[set(index, ips[1], 16, Some(1))]);
    wait_for("the end of the lease", || find(&mut netlink, ips[1]).is_none().then_some(()));
    assert_eq!(here(&mut netlink), [false, false, true, true]);
    assert!(space.ip("-4 route show dev v0").contains("10.77.0.0/16"), "the network stays reachable");

    // All of them in one batch, the first one named first: each is reported as removed.
    let rest = [set(index, ips[2], 16, None).key(), set(index, ips[3], 16, None).key()];
    assert_eq!(netlink.remove_addresses(&rest).expect("remove"), [Ok(Removed::Gone), Ok(Removed::Gone)]);
}

#[test]
fn a_family_that_is_switched_off_is_said_to_be() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    space.enter(|| std::fs::write("/proc/sys/net/ipv6/conf/v0/disable_ipv6", "1")).expect("sysctl");
    let results = netlink.set_addresses(&[set(index, "fd77::1", 64, None)]).expect("the socket works");
    let error = results[0].as_ref().expect_err("IPv6 is off").to_string();
    assert!(error.contains("disable_ipv6") && error.contains("the kernel says: "), "{error}");
}

#[test]
fn a_foreign_address_keeps_its_place_and_its_mark() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    space.ip("addr add 10.77.0.1/16 dev v0");
    let foreign = find(&mut netlink, "10.77.0.1").expect("there");
    put(&mut netlink, &[set(index, "10.77.1.1", 16, Some(1))]);
    wait_for("the end of the lease", || find(&mut netlink, "10.77.1.1").is_none().then_some(()));
    assert_eq!(find(&mut netlink, "10.77.0.1"), Some(foreign.clone()));
    assert_eq!((foreign.mark, foreign.valid), (0, None));
}

#[test]
fn the_network_of_an_address_is_found() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    let on = |netlink: &mut Netlink, ip: &str, on| {
        netlink.networks(true, true).expect("routes").to(ip.parse().expect("ip"), on)
    };
    let to = |netlink: &mut Netlink, ip: &str| on(netlink, ip, None);
    assert_eq!(to(&mut netlink, "10.77.1.1"), None);
    space.ip("addr add 10.77.0.1/16 dev v0");
    space.ip("addr add fd77::1/64 dev v0");
    space.ip("route add default via 10.77.0.2");
    space.ip("route add 10.77.9.0/24 via 10.77.0.2");
    space.ip("route add 10.78.0.0/24 dev v1 scope link");
    assert_eq!(to(&mut netlink, "10.77.1.1"), Some(Route { ifindex: index, prefix: 16 }));
    assert_eq!(to(&mut netlink, "10.77.9.1"), Some(Route { ifindex: index, prefix: 16 }));
    assert_eq!(to(&mut netlink, "10.78.0.9"), Some(Route { ifindex: space.index("v1"), prefix: 24 }));
    assert_eq!(to(&mut netlink, "192.0.2.1"), None, "a default route is no network");
    assert_eq!(to(&mut netlink, "fd77::9"), Some(Route { ifindex: index, prefix: 64 }));
    assert_eq!(to(&mut netlink, "fd79::9"), None);
    // The same network on another interface, and farther away: it counts where that interface is asked for.
    let other = space.index("v1");
    space.ip("route add 10.77.0.0/20 dev v1 scope link metric 7");
    space.ip("route add 10.77.0.0/16 dev v1 scope link metric 9");
    assert_eq!(to(&mut netlink, "10.77.1.1"), Some(Route { ifindex: other, prefix: 20 }));
    assert_eq!(on(&mut netlink, "10.77.1.1", Some(index)), Some(Route { ifindex: index, prefix: 16 }));
    assert_eq!(on(&mut netlink, "10.77.99.1", Some(other)), Some(Route { ifindex: other, prefix: 16 }));
    assert_eq!(on(&mut netlink, "10.99.0.1", Some(other)), None);
}

#[test]
fn interfaces_are_listed_as_they_are() {
    let Some(space) = single() else { return };
    let (mut netlink, index) = open(&space);
    space.ip("link set v0 address 02:00:5e:10:00:07 mtu 1400");
    let link = |netlink: &mut Netlink| {
        netlink.links().expect("list").into_iter().find(|link| link.index == index).expect("v0")
    };
    let found = link(&mut netlink);
    assert_eq!((found.name.as_str(), found.mac, found.mtu), ("v0", Some([2, 0, 0x5e, 0x10, 0, 7]), 1400));
    assert!(found.up && !found.loopback);
    wait_for("the carrier", || link(&mut netlink).running.then_some(()));
    space.ip("link set v1 down");
    wait_for("the carrier to go", || (!link(&mut netlink).running).then_some(()));
    assert!(link(&mut netlink).up, "switched on, but without a carrier");
}
