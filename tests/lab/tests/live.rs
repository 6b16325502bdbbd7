//! A few minutes of the live lab on a fixed seed; scripts/lab takes others, and longer.

use std::process::Command;

/// Time in which new walks begin.
const MINUTES: &str = "2";

#[test]
fn a_few_minutes_of_everything_that_can_happen() {
    if !lab::available() {
        return;
    }
    // A program of its own: it leaves the mount namespace.
    let out = env!("CARGO_TARGET_TMPDIR");
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["live", "--seed", "1", "--minutes", MINUTES, "--out", out])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
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
