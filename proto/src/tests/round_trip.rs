use super::*;

#[test]
fn what_is_said_is_heard() {
    for (method, text) in KEYS {
        let keys = keys(text);
        assert_eq!(keys.signing().1, method);
        for message in [heartbeat(), eventful()] {
            assert_eq!(keys.open(cluster(), &keys.seal(cluster(), &message)), Ok(message));
        }
    }
}

#[test]
fn a_packet_signed_with_the_old_key_is_heard_while_keys_are_changed() {
    let old = keys("auth 1\n1 md5 12345678");
    let both = keys("auth 1\n1 md5 12345678\n2 sha256 12345678");
    let changed = keys("auth 2\n1 md5 12345678\n2 sha256 12345678");
    let new = keys("auth 2\n2 sha256 12345678");
    for (from, to) in [
        (&old, &both),
        (&both, &old),
        (&both, &changed),
        (&changed, &both),
        (&changed, &new),
        (&new, &changed),
    ] {
        assert_eq!(to.open(cluster(), &from.seal(cluster(), &heartbeat())), Ok(heartbeat()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_heard_as_said(message in any_message(), cluster in any::<u64>().prop_map(ClusterId)) {
        for (_, text) in KEYS {
            let keys = keys(text);
            let packet = keys.seal(cluster, &message);
            prop_assert!(packet.len() <= MAX_PACKET);
            let heard = keys.open(cluster, &packet);
            prop_assert_eq!(heard.as_ref(), Ok(&message));
        }
    }

    #[test]
    fn any_bytes_are_no_trap(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz::decode(&bytes);
        fuzz::authkeys(&bytes);
        fuzz::replay(&bytes);
    }

    #[test]
    fn nearly_a_body_is_no_trap(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..8)) {
        let mut body = body_of(&eventful());
        let at = at.index(body.len());
        body.splice(at..(at + bytes.len()).min(body.len()), bytes);
        fuzz::decode(&body);
    }

    #[test]
    fn nearly_an_authkeys_file_is_no_trap(
        words in prop::collection::vec(prop::sample::select(
            vec!["auth", "1", "2", "256", "crc", "md5", "sha256", "sha1", "ä", " ", "\t", "\n", "\r\n", "#"]
        ), 0..40)
    ) {
        fuzz::authkeys(words.concat().as_bytes());
    }
}

/// The body of `message`, without header and tag.
fn body_of(message: &Message) -> Vec<u8> {
    let mut body = Vec::new();
    crate::codec::put_body(&mut body, message);
    body
}
