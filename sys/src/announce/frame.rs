//! The frames themselves, byte for byte.

use std::net::{Ipv4Addr, Ipv6Addr};

const BROADCAST: [u8; 6] = [0xff; 6];
/// ff02::1, all nodes of the link, and the multicast address it has on Ethernet (RFC 2464 section 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// A gratuitous ARP as a broadcast request: "who has `ip`? tell `ip`" (RFC 826; an ARP announcement of RFC 5227).
///
/// ```text
///  0  destination ff:ff:ff:ff:ff:ff     6  source mac                12  0x0806
/// 14  1 Ethernet, 0x0800 IPv4, 6, 4, 1  22  mac   28  ip             32  00:…:00   38  ip
/// ```
pub fn arp_frame(mac: [u8; 6], ip: Ipv4Addr) -> [u8; 42] {
    arp(mac, ip, ip, 1, [0; 6])
}

/// The same as a broadcast reply; the target's hardware address is the new one too, as RFC 5944 section 4.6 wants it
/// and as Linux checks before it believes a gratuitous reply.
pub fn arp_reply_frame(mac: [u8; 6], ip: Ipv4Addr) -> [u8; 42] {
    arp(mac, ip, ip, 2, mac)
}

/// An ARP probe (RFC 5227 section 1.1): "who has `ip`? tell nobody". Entries that the neighbours have stay as they are.
pub fn arp_probe_frame(mac: [u8; 6], ip: Ipv4Addr) -> [u8; 42] {
    arp(mac, Ipv4Addr::UNSPECIFIED, ip, 1, [0; 6])
}

fn arp(mac: [u8; 6], sender: Ipv4Addr, ip: Ipv4Addr, operation: u8, target: [u8; 6]) -> [u8; 42] {
    let mut frame = [0; 42];
    frame[0..6].copy_from_slice(&BROADCAST);
    frame[6..12].copy_from_slice(&mac);
    frame[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, operation]);
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&sender.octets());
    frame[32..38].copy_from_slice(&target);
    frame[38..42].copy_from_slice(&ip.octets());
    frame
}

/// An unsolicited neighbour advertisement to all nodes: `ip` is at `mac`, override what you knew (RFC 4861
/// sections 4.4
/// and 7.2.6). The router flag is off.
///
/// ```text
///  0  Ethernet to 33:33:00:00:00:01, 0x86dd
/// 14  IPv6: length 32, next header 58, hop limit 255, from ip, to ff02::1
/// 54  ICMPv6: type 136, code 0, checksum, flags 0x20 (override), target ip
/// 78  option 2 (target link-layer address), 1 × 8 bytes, mac
/// ```
pub fn na_frame(mac: [u8; 6], ip: Ipv6Addr) -> [u8; 86] {
    let mut frame = [0; 86];
    frame[0..6].copy_from_slice(&ALL_NODES_MAC);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    frame[14] = 0x60; // version 6
    frame[19] = 32; // payload length
    frame[20] = 58; // ICMPv6
    frame[21] = 255; // proves that no router passed it on
    frame[22..38].copy_from_slice(&ip.octets());
    frame[38..54].copy_from_slice(&ALL_NODES.octets());
    frame[54] = 136;
    frame[58] = 0x20;
    frame[62..78].copy_from_slice(&ip.octets());
    frame[78..80].copy_from_slice(&[2, 1]);
    frame[80..86].copy_from_slice(&mac);
    let sum = checksum(&frame[22..54], &frame[54..86]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// A neighbour solicitation as duplicate address detection sends it (RFC 4862 section 5.4.2): from nobody, to the group that
/// whoever has `ip` listens to. The answer goes to all nodes.
///
/// ```text
///  0  Ethernet to 33:33:ff:xx:xx:xx, 0x86dd
/// 14  IPv6: length 24, next header 58, hop limit 255, from ::, to ff02::1:ffxx:xxxx
/// 54  ICMPv6: type 135, code 0, checksum, 0, target ip
/// ```
pub fn dad_frame(mac: [u8; 6], ip: Ipv6Addr) -> [u8; 78] {
    let last = &ip.octets()[13..];
    let mut group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
    group[13..].copy_from_slice(last);
    let mut frame = [0; 78];
    frame[0..3].copy_from_slice(&[0x33, 0x33, 0xff]);
    frame[3..6].copy_from_slice(last);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    frame[14] = 0x60; // version 6
    frame[19] = 24; // payload length
    frame[20] = 58; // ICMPv6
    frame[21] = 255; // proves that no router passed it on
    frame[38..54].copy_from_slice(&group);
    frame[54] = 135;
    frame[62..78].copy_from_slice(&ip.octets());
    let sum = checksum(&frame[22..54], &frame[54..78]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The Internet checksum over the pseudo header (RFC 8200 section 8.1) and an ICMPv6 message, both of even length.
fn checksum(addresses: &[u8], message: &[u8]) -> u16 {
    let words = addresses.chunks_exact(2).chain(message.chunks_exact(2));
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    sum += message.len() as u32 + 58; // 64 bytes at most: neither this nor the sum overflows
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use etherparse::{
        ArpHardwareId, ArpOperation, EtherType, Icmpv6Type, LinkSlice, NetSlice, SlicedPacket,
        TransportSlice, ether_type,
    };

    use super::*;

    const MAC: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 7];

    fn check_arp(frame: &[u8], operation: ArpOperation, target: [u8; 6]) {
        let packet = SlicedPacket::from_ethernet(frame).expect("a frame");
        assert_eq!(ethernet(&packet), Some((BROADCAST, MAC, ether_type::ARP)));
        let Some(NetSlice::Arp(arp)) = packet.net else { panic!("no ARP: {packet:?}") };
        assert_eq!(arp.hw_addr_type(), ArpHardwareId::ETHERNET);
        assert_eq!(arp.proto_addr_type(), ether_type::IPV4);
        assert_eq!(arp.operation(), operation);
        assert_eq!((arp.sender_hw_addr(), arp.target_hw_addr()), (&MAC[..], &target[..]));
        assert_eq!(
            (arp.sender_protocol_addr(), arp.target_protocol_addr()),
            (&[10, 77, 1, 1][..], &[10, 77, 1, 1][..])
        );
    }

    /// Destination, source and type of the Ethernet header.
    fn ethernet(packet: &SlicedPacket<'_>) -> Option<([u8; 6], [u8; 6], EtherType)> {
        let Some(LinkSlice::Ethernet2(slice)) = &packet.link else {
            return None;
        };
        Some((slice.destination(), slice.source(), slice.ether_type()))
    }

    #[test]
    fn arp_is_what_another_decoder_takes_for_gratuitous_arp() {
        let ip = Ipv4Addr::new(10, 77, 1, 1);
        check_arp(&arp_frame(MAC, ip), ArpOperation::REQUEST, [0; 6]);
        check_arp(&arp_reply_frame(MAC, ip), ArpOperation::REPLY, MAC);
    }

    #[test]
    fn a_probe_claims_nothing() {
        let frame = arp_probe_frame(MAC, Ipv4Addr::new(10, 77, 1, 1));
        let packet = SlicedPacket::from_ethernet(&frame).expect("a frame");
        let Some(NetSlice::Arp(arp)) = packet.net else { panic!("no ARP: {packet:?}") };
        assert_eq!(arp.operation(), ArpOperation::REQUEST);
        assert_eq!(
            (arp.sender_protocol_addr(), arp.target_protocol_addr()),
            (&[0; 4][..], &[10, 77, 1, 1][..])
        );
        assert_eq!((arp.sender_hw_addr(), arp.target_hw_addr()), (&MAC[..], &[0; 6][..]));
    }

    #[test]
    fn a_solicitation_is_what_another_decoder_takes_for_duplicate_address_detection() {
        let ip: Ipv6Addr = "fd77::1:89ab".parse().expect("an address");
        let frame = dad_frame(MAC, ip);
        let packet = SlicedPacket::from_ethernet(&frame).expect("a frame");
        assert_eq!(ethernet(&packet), Some(([0x33, 0x33, 0xff, 1, 0x89, 0xab], MAC, ether_type::IPV6)));
        let Some(NetSlice::Ipv6(ipv6)) = &packet.net else { panic!("no IPv6") };
        let (header, group) = (ipv6.header(), "ff02::1:ff01:89ab".parse::<Ipv6Addr>().expect("a group"));
        assert_eq!((header.source_addr(), header.destination_addr()), (Ipv6Addr::UNSPECIFIED, group));
        assert_eq!((header.hop_limit(), header.payload_length()), (255, 24));
        let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else { panic!("no ICMPv6") };
        assert!(icmp.is_checksum_valid(Ipv6Addr::UNSPECIFIED.octets(), group.octets()));
        assert!(matches!(icmp.icmp_type(), Icmpv6Type::NeighborSolicitation));
        assert_eq!(icmp.payload(), ip.octets());
    }

    #[test]
    fn advertisement_is_what_another_decoder_takes_for_one() {
        for text in ["fd77::1:1", "fe80::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"] {
            let ip: Ipv6Addr = text.parse().expect("an address");
            let frame = na_frame(MAC, ip);
            let packet = SlicedPacket::from_ethernet(&frame).expect("a frame");
            assert_eq!(ethernet(&packet), Some((ALL_NODES_MAC, MAC, ether_type::IPV6)));
            let Some(NetSlice::Ipv6(ipv6)) = &packet.net else { panic!("no IPv6") };
            let header = ipv6.header();
            assert_eq!((header.source_addr(), header.destination_addr()), (ip, ALL_NODES));
            assert_eq!((header.hop_limit(), header.payload_length()), (255, 32));
            let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else { panic!("no ICMPv6") };
            assert!(icmp.is_checksum_valid(ip.octets(), ALL_NODES.octets()));
            let Icmpv6Type::NeighborAdvertisement(flags) = icmp.icmp_type() else {
                panic!("no advertisement")
            };
            assert!(flags.r#override && !flags.router && !flags.solicited);
            assert_eq!(&icmp.payload()[..16], ip.octets());
            assert_eq!(&icmp.payload()[16..], [&[2, 1][..], &MAC].concat());
        }
    }
}
