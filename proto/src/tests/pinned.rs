//! The bytes themselves, for a second implementation to check itself; the same as in
//! `docs/protocol.md`.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn ids_are_fnv_1a() {
    assert_eq!(NodeId::of(""), NodeId(0x811c_9dc5));
    assert_eq!(NodeId::of("foobar"), NodeId(0xbf9c_f968));
    assert_eq!(GroupId::of("foobar"), GroupId(0xbf9c_f968));
    assert_eq!(ClusterId::of("foobar"), ClusterId(0x8594_4171_f739_67e8));
}

/// The header up to the method.
const START: &str = "686210";
/// The cluster and the body of [`heartbeat`].
const HEARTBEAT: &str = "12a577191df79afc056d69646173070123456789abcdefe8070102fedcba98765432100102\
    010f0ee026444511223344556677880503020706fc0389210a03";
/// The cluster and the body of [`eventful`].
const EVENTFUL: &str = "12a577191df79afc056d69646173070123456789abcdefe8070e02fedcba98765432100102\
    010f0ee026444511223344556677880503021406fc0389210a030cec90e52ef4ac0202e0264445\
    03480b01e02644450104726f6f740b02e02644450204726f6f741303e02644450304726f6f74ec90e52ee0264445\
    0b04e02644450404726f6f740f05e02644450504726f6f74ec90e52e\
    042506e026444508001de02644450901166e6f626f647920636f756c642074616b65206d61696c\
    050605e026444503060706e026444500020730\
    1611636c75737465722e6b656570616c697665000000071813\
    67726f75702e6d61696c2e7265717569726573ffffffff";
/// Method, method and key id on the wire, tag of [`heartbeat`], tag of [`eventful`].
const TAGS: [(Method, &str, &str, &str); 3] = [
    (Method::Sha256, "0101", "392c25a81cbe9e84f6c1899c555b3668", "4fad2c3c507c8fca111cf9950c9a94a0"),
    (Method::Md5, "0203", "3f91c93bb2fdfc3e3d2dd74b66867574", "9b4e21a7b828b035cf9f0d495ba3f537"),
    (Method::Crc, "0301", "b2676cbc", "0b375909"),
];

#[test]
fn packets_are_as_pinned() {
    for ((method, text), (pinned, key, calm, busy)) in KEYS.into_iter().zip(TAGS) {
        assert_eq!(method, pinned);
        let sealed = |message: &Message| hex(&keys(text).seal(cluster(), message));
        assert_eq!(sealed(&heartbeat()), format!("{START}{key}{HEARTBEAT}{calm}"));
        assert_eq!(sealed(&eventful()), format!("{START}{key}{EVENTFUL}{busy}"));
    }
}

#[test]
fn the_length_is_known_without_a_key() {
    for message in [heartbeat(), eventful()] {
        let lengths = TAGS.map(|(method, ..)| {
            let text = match method {
                Method::Sha256 => "auth 1\n1 sha256 the quick brown fox",
                Method::Md5 => "auth 3\n3 md5 Hello!",
                Method::Crc => "auth 1\n1 crc",
            };
            keys(text).seal(cluster(), &message).len() + if method == Method::Crc { 12 } else { 0 }
        });
        assert_eq!(lengths, [packet_length(&message); 3]);
    }
}

#[test]
fn the_document_shows_the_same_bytes() {
    let document = include_str!("../../../docs/protocol.md");
    let document: String = document.split_whitespace().collect();
    for (_, text) in KEYS {
        for message in [heartbeat(), eventful()] {
            let packet = hex(&keys(text).seal(cluster(), &message));
            assert!(document.contains(&packet), "docs/protocol.md lacks {packet}");
        }
    }
}
