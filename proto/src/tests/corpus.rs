//! What the fuzzer has found worth keeping (`tests/fuzz/corpus`), through the same bodies.

use std::path::Path;

use crate::fuzz;

/// Gives every kept input of `target` to `body`.
fn each(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for entry in entries {
        body(&std::fs::read(entry.expect("an entry").path()).expect("an input"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn of_the_codec() {
    each("codec", fuzz::decode);
}

#[test]
fn of_authkeys() {
    each("authkeys", fuzz::authkeys);
}

#[test]
fn of_the_replay_window() {
    each("replay", fuzz::replay);
}

#[test]
fn of_the_serial_framing() {
    each("serial", fuzz::serial);
}
