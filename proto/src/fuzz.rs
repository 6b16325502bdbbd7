//! What a fuzzer may throw at: plain functions of any bytes that panic when a promise is broken.
//! Ordinary tests call them too.

use crate::serial::{Deframer, longest_frame, put_frame};
use crate::{ClusterId, Keyring, MAX_PACKET, ReplayWindow, Seen};

/// Any bytes as a datagram, and any bytes as the body of an authentic one.
pub fn decode(data: &[u8]) {
    let cluster = ClusterId::of("fuzz");
    for keys in ["auth 1\n1 crc", "auth 1\n1 md5 12345678", "auth 1\n1 sha256 12345678"] {
        let keys = Keyring::parse(keys).expect("a good file");
        let _ = keys.open(cluster, data);
        let packet = keys.seal_with(0, cluster, |body| body.extend_from_slice(data));
        // What was understood means the same after it was said again.
        if let Ok(message) = keys.open(cluster, &packet) {
            let again = keys.seal(cluster, &message);
            assert!(again.len() <= packet.len(), "saying it again takes no more bytes");
            assert_eq!(keys.open(cluster, &again).as_ref(), Ok(&message));
        }
    }
}

/// Any bytes as an authkeys file.
pub fn authkeys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Keyring::parse(&text) {
        Ok(keys) => {
            let (id, method) = keys.signing();
            assert!(keys.signer(id).is_some_and(|signer| signer.method() == method));
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "a refusal says why");
            assert!(problems.is_sorted_by_key(|problem| (problem.line, problem.column)));
            for problem in problems {
                let line = text.lines().nth(problem.line - 1).unwrap_or_default();
                assert!(problem.column <= line.chars().count() + 1, "{problem}");
            }
        }
    }
}

/// Any bytes as sequence numbers, eight each; none is taken twice.
pub fn replay(data: &[u8]) {
    let (mut window, mut taken) = (ReplayWindow::new(), std::collections::HashSet::new());
    for chunk in data.as_chunks::<8>().0 {
        let sequence = u64::from_be_bytes(*chunk);
        if matches!(window.accept(sequence), Seen::New | Seen::NewButLate) {
            assert!(sequence != 0 && taken.insert(sequence), "{sequence} was taken twice");
        }
        assert!(matches!(window.accept(sequence), Seen::Duplicate | Seen::TooOld));
    }
}

/// Any bytes as what a serial line brings: what is read was framed so, and the next whole frame is always heard.
pub fn serial(data: &[u8]) {
    let mut deframer = Deframer::new();
    for &byte in data {
        assert!(
            deframer.pending() <= 2 * longest_frame(MAX_PACKET),
            "no frame is waited for without a bound"
        );
        if let Some(packet) = deframer.push(byte) {
            assert!(packet.len() <= MAX_PACKET);
            let mut line = Vec::new();
            put_frame(&mut line, packet);
            let mut other = Deframer::new();
            let heard: Vec<Vec<u8>> =
                line.iter().filter_map(|&byte| other.push(byte).map(<[u8]>::to_vec)).collect();
            assert_eq!(heard, [packet]);
        }
    }
    let mut line = Vec::new();
    put_frame(&mut line, b"whatever was before");
    let last = line.iter().filter_map(|&byte| deframer.push(byte).map(<[u8]>::to_vec)).last();
    assert_eq!(last.as_deref(), Some(&b"whatever was before"[..]));
}
