//! What `hbctl status` shows, compared with `tests/status/*.txt`. `UPDATE_EXPECTED=1` writes those anew; the diff
//! is the review.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

/// Columns of the screen the samples are made for.
const WIDTH: usize = 80;

fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status");
    let mut found: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of samples")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    found.sort();
    assert!(found.len() >= 10, "samples are missing in {}", folder.display());
    found
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a sample");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_samples_look_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    for sample in samples() {
        let shown = hbd::ctl::render_status(&read(&sample), WIDTH);
        let expected = sample.with_extension("txt");
        if update {
            std::fs::write(&expected, &shown).expect("writing what is expected");
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != shown {
            wrong.push(format!("--- {}\n{shown}", expected.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "shown otherwise than expected (UPDATE_EXPECTED=1 accepts it):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_samples_fit_the_screen_and_hold_no_escapes() {
    for sample in samples() {
        for line in hbd::ctl::render_status(&read(&sample), WIDTH).lines() {
            assert!(line.chars().count() <= WIDTH, "{}: {line:?}", sample.display());
            assert!(!line.chars().any(char::is_control), "{}: {line:?}", sample.display());
            assert_eq!(line.trim_end(), line, "{}", sample.display());
        }
    }
}

#[test]
fn the_first_word_is_the_verdict() {
    let wanted = [
        ("healthy", "OK"),
        ("no-groups", "OK"),
        ("from-interface", "OK"),
        ("peer-dead", "DEGRADED"),
        ("standby", "DEGRADED"),
        ("maintenance", "DEGRADED"),
        ("links", "DEGRADED"),
        ("many-resources", "DEGRADED"),
        ("blocked", "DOWN"),
        ("failed", "DOWN"),
        ("joining", "DOWN"),
    ];
    for (name, verdict) in wanted {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/status/{name}.json"));
        let shown = hbd::ctl::render_status(&read(&sample), WIDTH);
        assert_eq!(shown.split_whitespace().next(), Some(verdict), "{name}:\n{shown}");
        // DEGRADED says why; all but a change on its way is a reason.
        if verdict == "DEGRADED" && name != "many-resources" {
            assert!(shown.lines().nth(1).is_some_and(|line| line.starts_with("  ! ")), "{name}:\n{shown}");
        }
    }
}

/// Any JSON, with the keys and words the daemon uses more often than chance would have it.
fn any_json() -> impl Strategy<Value = Value> {
    const KEYS: [&str; 24] = [
        "cluster",
        "node",
        "nodes",
        "groups",
        "resources",
        "links",
        "name",
        "state",
        "owner",
        "epoch",
        "degraded",
        "failures",
        "last_error",
        "last_heard_ms",
        "since_ms",
        "uptime_ms",
        "standby",
        "maintenance",
        "late",
        "ping",
        "up",
        "witness",
        "rejected",
        "preferred",
    ];
    let word = prop_oneof![
        "\\PC{0,12}",
        ".{0,100}",
        prop::sample::select(vec!["started", "up", "dead", "failed", "stopped", "a", ""])
            .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 200, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), inner, 0..16)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// The body of the fuzzer: any JSON is shown without a panic and without anything that steers a terminal.
fn show_anything(value: &Value, width: usize) {
    let shown = hbd::ctl::render_status(value, width);
    assert!(!shown.is_empty());
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

proptest! {
    #[test]
    fn any_json_is_shown(value in any_json(), width in 0usize..200) {
        show_anything(&value, width);
    }

    #[test]
    fn any_value_in_a_real_answer_is_shown(at in 0usize..4, value in any_json(), width in 0usize..200) {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status/links.json");
        let mut status = read(&sample);
        let target = ["/nodes/0", "/groups/0", "/groups/0/resources", "/nodes/0/links/0"][at];
        *status.pointer_mut(target).expect("the sample has it") = value;
        show_anything(&status, width);
    }
}
