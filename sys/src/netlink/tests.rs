use std::net::Ipv6Addr;
use std::time::Duration;

use super::wire::{Messages, Writer};
use super::*;

fn set(ip: &str, prefix: u8) -> AddressSet {
    let ip = ip.parse().expect("ip");
    AddressSet { ifindex: 4, ip, prefix, label: None, broadcast: None, lifetime: None, mark: 0x68 }
}

/// Hexadecimal as in a dump, blanks ignored.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).expect("hex")).collect()
}

fn written(set: &AddressSet, shared: bool) -> Vec<u8> {
    let mut writer = Writer::default();
    address::write_set(&mut writer, 7, set, shared);
    writer.bytes().to_vec()
}

/// Layout of linux/netlink.h, linux/rtnetlink.h and linux/if_addr.h, written out by hand.
#[cfg(target_endian = "little")]
#[test]
fn an_ipv4_address_is_written_as_the_headers_say() {
    let wanted = AddressSet {
        label: Some("eth0:1".into()),
        broadcast: Some(Ipv4Addr::new(10, 77, 255, 255)),
        lifetime: Some(Duration::from_millis(2100)),
        ..set("10.77.1.1", 16)
    };
    let bytes = hex("58000000 1400 0105 07000000 00000000   02 10 00 00 04000000
         0800 0200 0a4d0101   0800 0100 0a4d0101   0800 0400 0a4dffff
         0b00 0300 657468303a3100 00
         1400 0600 03000000 03000000 00000000 00000000
         0500 0b00 68 000000");
    assert_eq!(written(&wanted, false), bytes);
    assert_eq!(address::parse(&bytes[16..]).map(|address| address.key()), Some(wanted.key()));
}

#[cfg(target_endian = "little")]
#[test]
fn an_ipv6_address_is_written_as_the_headers_say() {
    let wanted = set("fd77::1", 64);
    let ip = "fd770000000000000000000000000001";
    let text = |flags: &str| {
        format!(
            "64000000 1400 0105 07000000 00000000   0a 40 00 00 04000000
             1400 0200 {ip}   1400 0100 {ip}   0800 0800 {flags}
             1400 0600 ffffffff ffffffff 00000000 00000000   0500 0b00 68 000000"
        )
    };
    let (alone, shared) = (hex(&text("02000000")), hex(&text("02020000")));
    assert_eq!(written(&wanted, false), alone);
    assert_eq!(written(&wanted, true), shared);
}

#[test]
fn lifetimes_are_rounded_up_and_never_endless_by_accident() {
    let left = |lifetime| {
        let bytes = written(&AddressSet { lifetime, ..set("10.0.0.1", 24) }, false);
        address::parse(&bytes[16..]).expect("readable").valid
    };
    let seconds = |count| Some(Duration::from_secs(count));
    assert_eq!(left(None), None);
    assert_eq!(left(Some(Duration::ZERO)), seconds(1));
    assert_eq!(left(Some(Duration::from_nanos(1))), seconds(1));
    assert_eq!(left(seconds(2)), seconds(2));
    assert_eq!(left(Some(Duration::from_millis(2001))), seconds(3));
    assert_eq!(left(Some(Duration::MAX)), seconds(u64::from(u32::MAX) - 1));
    assert_eq!(left(seconds(u64::from(u32::MAX))), seconds(u64::from(u32::MAX) - 1));
}

#[test]
fn what_cannot_be_an_address_is_found_before_the_kernel_is_asked() {
    assert_eq!(problem(&set("10.0.0.1", 32)), None);
    assert_eq!(problem(&set("fd00::1", 128)), None);
    for (ip, prefix) in
        [("10.0.0.1", 33), ("fd00::1", 129), ("0.0.0.0", 8), ("224.0.0.1", 24), ("ff02::1", 64), ("::", 0)]
    {
        assert!(problem(&set(ip, prefix)).is_some(), "{ip}/{prefix}");
    }
    let labelled = |label: &str| AddressSet { label: Some(label.into()), ..set("10.0.0.1", 24) };
    assert_eq!(problem(&labelled("eth0:abcdefghij")), None);
    assert!(problem(&labelled("eth0:abcdefghijk")).is_some());
    assert!(problem(&labelled("eth0\0x")).is_some());
    let ignored = AddressSet { label: Some("a label far too long".into()), ..set("fd00::1", 64) };
    assert_eq!(problem(&ignored), None);
}

fn on_link(network: &str, prefix: u8, metric: u32, ifindex: u32) -> route::OnLink {
    route::OnLink { network: network.parse().expect("ip"), prefix, metric, ifindex }
}

#[test]
fn the_longest_network_wins_then_the_lowest_metric() {
    let routes = [
        on_link("10.0.0.0", 8, 0, 1),
        on_link("10.77.0.0", 16, 100, 2),
        on_link("10.77.0.0", 16, 50, 3),
        on_link("10.77.4.0", 24, 0, 4),
        on_link("fd77::", 64, 256, 5),
    ];
    let to = |ip: &str| route::best(&routes[..], ip.parse().expect("ip"));
    assert_eq!(to("10.77.1.1"), Some(Route { ifindex: 3, prefix: 16 }));
    assert_eq!(to("10.77.4.9"), Some(Route { ifindex: 4, prefix: 24 }));
    assert_eq!(to("10.1.1.1"), Some(Route { ifindex: 1, prefix: 8 }));
    assert_eq!(to("192.168.1.1"), None);
    assert_eq!(to("fd77::9"), Some(Route { ifindex: 5, prefix: 64 }));
    assert_eq!(to("fd78::9"), None);
}

fn route_body(table: u8, kind: u8, prefix: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.message(libc::RTM_NEWROUTE, 0, 1, &[2, prefix, 0, 0, table, 2, 253, kind, 0, 0, 0, 0]);
    for (kind, payload) in attributes {
        writer.attribute(*kind, payload);
    }
    writer.bytes()[16..].to_vec()
}

#[test]
fn only_on_link_routes_of_the_main_table_count() {
    let interface = 4u32.to_ne_bytes();
    let network: (u16, &[u8]) = (libc::RTA_DST, &[10, 77, 0, 0]);
    let out: (u16, &[u8]) = (libc::RTA_OIF, &interface);
    let good = route::parse(&route_body(254, 1, 16, &[network, out]));
    assert_eq!(good, Some(on_link("10.77.0.0", 16, 0, 4)));
    let other_table = 1000u32.to_ne_bytes();
    let refused = [
        route_body(255, 1, 16, &[network, out]),
        route_body(254, 2, 16, &[network, out]),
        route_body(254, 1, 0, &[out]),
        route_body(254, 1, 0, &[network, out]),
        route_body(254, 1, 16, &[network]),
        route_body(254, 1, 16, &[out]),
        route_body(254, 1, 16, &[network, out, (libc::RTA_GATEWAY, &[10, 77, 0, 1])]),
        route_body(254, 1, 16, &[network, out, (libc::RTA_VIA, &[0; 18])]),
        route_body(254, 1, 16, &[network, out, (libc::RTA_MULTIPATH, &[0; 16])]),
        route_body(254, 1, 16, &[network, out, (libc::RTA_TABLE, &other_table)]),
        route_body(254, 1, 16, &[(libc::RTA_DST, &[10, 77]), out]),
    ];
    for (number, body) in refused.iter().enumerate() {
        assert_eq!(route::parse(body), None, "number {number}");
    }
}

#[test]
fn a_port_leaving_its_bridge_is_not_an_interface_that_is_gone() {
    let mut body = [0; 16];
    body[4] = 3;
    assert!(link::parse(&body).is_some());
    body[0] = libc::AF_BRIDGE as u8;
    assert_eq!(link::parse(&body), None);
}

#[test]
fn compares_networks_of_any_width() {
    let same = |one: &str, other: &str, prefix| {
        route::same_network(one.parse().expect("ip"), other.parse().expect("ip"), prefix)
    };
    assert!(same("10.1.2.3", "99.9.9.9", 0) && same("fd00::1", "::", 0));
    assert!(same("10.1.2.3", "10.1.2.3", 32) && !same("10.1.2.3", "10.1.2.2", 32));
    assert!(same("fd00::1", "fd00::2", 64) && !same("fd00::1", "fd00:0:0:1::2", 64));
    assert!(same("fd00::1", "fd00::1", 128) && !same("fd00::1", "fd00::2", 128));
    assert!(!same("10.1.2.3", "fd00::1", 0));
    // A prefix length that does not exist compares all there is.
    assert!(same("10.1.2.3", "10.1.2.3", 255) && !same("10.1.2.3", "10.1.2.2", 255));
}

#[test]
fn broadcast_addresses() {
    let of = |prefix| broadcast_address(Ipv4Addr::new(10, 77, 1, 1), prefix);
    assert_eq!(of(16), Some(Ipv4Addr::new(10, 77, 255, 255)));
    assert_eq!(of(30), Some(Ipv4Addr::new(10, 77, 1, 3)));
    assert_eq!(of(0), Some(Ipv4Addr::BROADCAST));
    assert_eq!((of(31), of(32), of(200)), (None, None, None));
}

/// Noise, and real messages with noise in them: nothing panics, and nothing takes more steps than there are bytes.
#[test]
fn hostile_bytes_are_walked_over_in_bounded_steps() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut seeds =
        vec![written(&set("10.77.1.1", 16), false), written(&set("fd77::1", 64), true), vec![0; 256]];
    let (body, kind, value) = link::promote_secondaries(4);
    let mut writer = Writer::default();
    writer.message(libc::RTM_NEWLINK, 0, 1, &body);
    writer.attribute(kind, &value);
    writer.attribute(libc::IFLA_IFNAME, b"eth0");
    seeds.push(writer.bytes().to_vec());
    seeds.push(seeds.concat());
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..random() % 6 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.truncate(random() as usize % (bytes.len() + 1));
        assert!(walk_untrusted(&bytes) <= bytes.len());
    }
    let noise: Vec<u8> = (0..4096).map(|_| random() as u8).collect();
    for end in 0..noise.len() {
        assert!(walk_untrusted(&noise[..end]) <= end);
    }
}

#[test]
fn news_is_read_from_messages() {
    let mut writer = Writer::default();
    address::write_set(&mut writer, 0, &set("10.77.1.1", 16), false);
    address::write_remove(&mut writer, 0, &set("fd77::1", 64).key());
    writer.message(libc::NLMSG_OVERRUN as u16, 0, 0, &[]);
    writer.message(libc::RTM_NEWROUTE, 0, 0, &[0; 12]);
    let news: Vec<_> = Messages::new(writer.bytes()).filter_map(|message| monitor::read(&message)).collect();
    assert_eq!(news.len(), 3);
    assert!(
        matches!(&news[0], Change::AddressAdded(address) if address.mark == 0x68 && address.valid.is_none())
    );
    assert!(
        matches!(&news[1], Change::AddressRemoved(address) if address.ip == Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1))
    );
    assert_eq!(news[2], Change::Overrun);
}

#[test]
fn the_loopback_device_is_there() {
    let mut netlink = Netlink::open().expect("open");
    let links = netlink.links().expect("links");
    let lo = links.iter().find(|link| link.loopback).expect("a loopback device");
    assert_eq!((lo.index, lo.name.as_str()), (1, "lo"));
    assert_eq!(lo.mac, Some([0; 6]));
    assert!(lo.mtu > 1500);
}
