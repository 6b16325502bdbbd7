//! The folder `tests/director-configs`: each `NAME.toml` is read, and what comes out must be what
//! `NAME.expected` says: the mistakes as they are shown, or for `good-*.toml` the configuration.
//! `UPDATE_EXPECTED=1` rewrites the expectations; the difference is then the thing to review.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use director::config;
use proptest::prelude::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/director-configs")
}

/// The files of the folder that end in `.toml`, by name.
fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("the folder tests/director-configs");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_file_says_what_is_expected() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    for path in files() {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let result = config::parse(&read(&path), Path::new(&name));
        let seen = match (&result, name.starts_with("good-")) {
            (Ok(config), true) => format!("{config:#?}\n"),
            (Err(problems), false) => problems.render(false),
            (Ok(_), false) => {
                wrong.push(format!("{name}: read without a complaint"));
                continue;
            }
            (Err(problems), true) => {
                wrong.push(format!("{name}: refused:\n{problems}"));
                continue;
            }
        };
        let expected = path.with_extension("expected");
        if update {
            std::fs::write(&expected, &seen).expect("writing an expectation");
        } else if !expected.exists() || read(&expected) != seen {
            wrong.push(format!("{name}: not as {} expects, but:\n{seen}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_an_expectation_for_nothing_else() {
    let names: BTreeSet<PathBuf> = files().iter().map(|path| path.with_extension("expected")).collect();
    assert!(names.len() >= 18, "the folder is nearly empty");
    for entry in std::fs::read_dir(folder()).expect("the folder tests/director-configs") {
        let path = entry.expect("an entry").path();
        let ok = path.extension().is_some_and(|end| end == "toml") || names.contains(&path);
        assert!(ok, "{} belongs to nothing", path.display());
    }
}

#[test]
fn every_mistake_has_a_place_and_advice() {
    for path in files() {
        let name = path.display().to_string();
        let Err(problems) = config::parse(&read(&path), &path) else { continue };
        for problem in problems.list {
            assert!(problem.line > 0 && problem.column > 0, "{name}: {problem:?}");
            assert!(problem.help.as_ref().is_some_and(|help| !help.is_empty()), "{name}: {problem:?}");
        }
    }
}

#[test]
fn the_shipped_example_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/director.toml");
    let config = config::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(!config.virtuals.is_empty());
}

#[test]
fn a_secret_is_shown_nowhere() {
    let text = read(&folder().join("secret-not-shown.toml"));
    let refused = config::parse(&text, Path::new("x.toml")).unwrap_err();
    assert!(!refused.render(false).contains("hunter2"), "{refused}");
    let good = text.replace(", pasword = \"hunter2\"", "");
    let config = config::parse(&good, Path::new("x.toml")).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn hand_made_nastiness_does_not_panic() {
    for text in [
        "",
        "\0",
        "\u{feff}",
        "virtual = [1, {}, []]",
        "director = 1\nvirtual = 2",
        "[[virtual]]\ncheck = [[]]\nreal = [{}]",
        "[[virtual]]\nname = \"\"\"\nü\n\"\"\"\naddress = \"[:\"",
        "[[virtual]]\nfwmark = 99999999999999999999",
    ] {
        config::fuzz(text);
    }
    config::fuzz(&"[".repeat(100_000));
    config::fuzz(&format!("[[virtual]]\nname = \"{}\"", "x".repeat(100_000)));
}

/// A good file with a few bytes changed, taken out or put in.
fn mutated() -> impl Strategy<Value = String> {
    let text = read(&folder().join("good-families.toml"));
    let length = text.len();
    let bits = prop::sample::select(vec![
        "",
        "\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "-1",
        "0",
        "x",
        ":",
        "/",
        "ü",
        "99999999999",
        "#",
        ",",
        ".",
        "[[virtual]]\n",
        "[[virtual.real]]\n",
    ]);
    prop::collection::vec((0..length, 0_usize..12, bits), 1..6)
        .prop_map(move |changes| base::fuzz::changed(&text, &changes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        config::fuzz(&text);
    }

    #[test]
    fn any_near_miss_is_answered(text in mutated()) {
        config::fuzz(&text);
    }

    #[test]
    fn any_address_is_answered(spelling in "[a-f0-9:./\\[\\]]{0,40}") {
        config::fuzz(&format!("[[virtual]]\nname = \"g\"\naddress = \"{spelling}\"\nfallback = \"{spelling}\"\n"));
    }
}
