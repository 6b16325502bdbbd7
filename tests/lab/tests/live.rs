//! Two minutes of the live lab on fixed seeds; scripts/lab takes others, and longer.

use std::process::Command;

/// Walks on a ground for so many minutes: no walk begins later, and the one under way ends at its next calm.
fn walk(ground: &str, seed: &str, minutes: &str) {
    if !lab::available() || (ground == "witness" && !lab::etcd::available()) {
        return;
    }
    // A program of its own: it leaves the mount namespace.
    let out = env!("CARGO_TARGET_TMPDIR");
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["live", "--ground", ground, "--seed", seed, "--minutes", minutes, "--out", out])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_minute_of_everything_that_can_happen() {
    walk("plain", "1", "1.2");
}

#[test]
fn some_time_with_a_power_switch_and_ping_points() {
    walk("guarded", "4", "0.6");
}

#[test]
fn some_time_with_a_witness() {
    walk("witness", "2", "0.6");
}

#[test]
fn the_same_seed_is_the_same_walk() {
    let plan = |seed: &str| {
        let words = ["live", "--plan", "--seed", seed];
        Command::new(env!("CARGO_BIN_EXE_lab")).args(words).output().unwrap().stdout
    };
    assert!(!plan("5").is_empty() && plan("5") == plan("5"));
    assert_ne!(plan("5"), plan("6"));
}
