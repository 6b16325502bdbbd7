//! What a fuzzer may throw at: plain functions of any bytes that panic when a promise is broken.
//! Ordinary tests call them too.

use crate::{ClusterId, Keyring, ReplayWindow, Seen};

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
