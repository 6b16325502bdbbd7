use super::*;

/// What `keys` says of `packet`, in a word.
fn reason(keys: &Keyring, packet: &[u8]) -> &'static str {
    keys.open(cluster(), packet).expect_err("refused").reason()
}

#[test]
fn a_packet_cut_anywhere_is_refused() {
    for (_, text) in KEYS {
        let keys = keys(text);
        let packet = keys.seal(cluster(), &eventful());
        for length in 0..packet.len() {
            let reason = reason(&keys, &packet[..length]);
            let tag = if keys.signing().1 == Method::Crc { 4 } else { 16 };
            assert_eq!(reason, if length < 13 + tag { "too_short" } else { "tag" }, "cut to {length}");
        }
    }
}

#[test]
fn a_packet_with_bytes_behind_it_is_refused() {
    for (_, text) in KEYS {
        let keys = keys(text);
        let mut packet = keys.seal(cluster(), &eventful());
        packet.push(0);
        assert_eq!(reason(&keys, &packet), "tag");
    }
}

#[test]
fn a_packet_with_one_bit_changed_is_refused() {
    for (_, text) in KEYS {
        let keys = keys(text);
        let packet = keys.seal(cluster(), &eventful());
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let expected: &[&str] = match bit / 8 {
                0 | 1 => &["magic"],
                2 => &["version", "tag"], // the minor is the tag's
                3 => &["method"],
                4 => &["unknown_key"],
                5..13 => &["foreign_cluster"],
                _ => &["tag"],
            };
            let reason = reason(&keys, &changed);
            assert!(expected.contains(&reason), "bit {bit}: {reason}");
        }
    }
}

#[test]
fn another_secret_is_refused() {
    for method in ["md5", "sha256"] {
        let ours = keys(&format!("auth 1\n1 {method} 12345678"));
        let theirs = keys(&format!("auth 1\n1 {method} 12345679"));
        let refused = ours.open(cluster(), &theirs.seal(cluster(), &heartbeat()));
        assert_eq!(refused, Err(Reject::Tag { id: 1 }));
    }
}

#[test]
fn a_key_we_do_not_have_is_refused() {
    let ours = keys("auth 1\n1 sha256 12345678");
    let theirs = keys("auth 2\n2 sha256 12345678");
    assert_eq!(
        ours.open(cluster(), &theirs.seal(cluster(), &heartbeat())),
        Err(Reject::UnknownKey { id: 2 })
    );
}

#[test]
fn a_weaker_method_under_the_same_number_is_refused() {
    let ours = keys("auth 1\n1 sha256 12345678");
    for weaker in ["auth 1\n1 md5 12345678", "auth 1\n1 crc"] {
        let packet = keys(weaker).seal(cluster(), &heartbeat());
        assert_eq!(ours.open(cluster(), &packet), Err(Reject::Method { id: 1 }));
    }
    let mut unknown = ours.seal(cluster(), &heartbeat());
    unknown[3] = 0;
    assert_eq!(ours.open(cluster(), &unknown), Err(Reject::Method { id: 1 }));
}

#[test]
fn a_crc_packet_that_says_it_is_an_hmac_is_refused() {
    let ours = keys("auth 1\n1 sha256 12345678");
    let mut packet = keys("auth 1\n1 crc").seal(cluster(), &heartbeat());
    packet[3] = 1;
    packet.truncate(packet.len() - 4);
    packet.extend_from_slice(&crc32fast::hash(&packet).to_be_bytes());
    assert_eq!(ours.open(cluster(), &packet), Err(Reject::Tag { id: 1 }));
}

#[test]
fn another_cluster_is_foreign_whatever_its_keys() {
    for (_, text) in KEYS {
        let packet = keys(text).seal(ClusterId::of("mail"), &heartbeat());
        for (_, ours) in KEYS {
            assert_eq!(keys(ours).open(cluster(), &packet), Err(Reject::ForeignCluster));
        }
    }
}

#[test]
fn a_packet_beyond_the_longest_is_refused_unread() {
    let keys = keys("auth 1\n1 sha256 12345678");
    let long = keys.seal_with(0, cluster(), |body| body.resize(MAX_PACKET, 0));
    assert_eq!(keys.open(cluster(), &long), Err(Reject::TooLong));
}

#[test]
fn foreign_protocols_are_refused() {
    let keys = keys("auth 1\n1 sha256 12345678");
    assert_eq!(reason(&keys, b""), "too_short");
    assert_eq!(reason(&keys, b">>>\nt=status\nst=active\n<<<\n"), "magic");
    assert_eq!(reason(&keys, b"###\n10:(0)t=status,%%%\n"), "magic");
}

#[test]
fn each_refusal_has_its_word_and_its_sentence() {
    let all = [
        Reject::TooShort,
        Reject::TooLong,
        Reject::Magic,
        Reject::Version { major: 2 },
        Reject::ForeignCluster,
        Reject::UnknownKey { id: 2 },
        Reject::Method { id: 2 },
        Reject::Tag { id: 2 },
        Reject::Malformed(Malformed { field: "epoch", fault: Fault::Ends }),
    ];
    let words: std::collections::HashSet<_> = all.iter().map(|reject| reject.reason()).collect();
    assert_eq!(words.len(), all.len());
    for reject in all {
        assert!(reject.to_string().contains(' '), "{reject}");
    }
}
