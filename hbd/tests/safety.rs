//! docs/safety.md against the tests: every row names what proves it, and what it names is there and runs.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of all tables: their cells, without heads and lines between.
fn rows(page: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = page.lines().collect();
    let is_row = |line: &str| line.starts_with('|');
    let body =
        |at: usize| is_row(lines[at]) && at >= 2 && is_row(lines[at - 1]) && !lines[at].starts_with("|---");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    (0..lines.len()).filter(|at| body(*at)).map(|at| cells(lines[at])).collect()
}

/// What stands between backquotes and looks like `kind file::name`.
fn proofs(cell: &str) -> Vec<(String, String, String)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    let proof = |text: &str| {
        let (kind, rest) = text.split_once(' ')?;
        let (file, name) = rest.split_once("::")?;
        Some((kind.to_owned(), file.to_owned(), name.to_owned()))
    };
    quoted.filter_map(proof).collect()
}

/// What is wrong with a proof; `None` if it is there and runs.
fn missing(kind: &str, file: &str, name: &str) -> Option<String> {
    if kind == "vm" {
        let runs = read("tests/vm/run").lines().any(|line| line.starts_with("ALL=(") && line.contains(file));
        let there = std::fs::read_to_string(root().join("tests/vm").join(file))
            .is_ok_and(|text| text.contains(&format!("guest \"{name}\"")));
        return (!(runs && there)).then(|| format!("tests/vm/{file} has no \"{name}\", or is not run"));
    }
    let folder = match kind {
        "core" => "cluster/tests/pair",
        "lab" => "tests/lab/tests/scenarios",
        "sim" => "tests/sim/src",
        _ => return Some(format!("`{kind}` is no kind of test")),
    };
    let path = format!("{folder}/{file}.rs");
    let Ok(text) = std::fs::read_to_string(root().join(&path)) else {
        return Some(format!("there is no {path}"));
    };
    let Some(at) = text.find(&format!("fn {name}(")) else {
        return Some(format!("{path} has no {name}"));
    };
    if kind == "sim" {
        let tables = read("tests/sim/src/check/mod.rs") + &read("tests/sim/src/trial.rs");
        // As in `splits::s1_…),` and in `l1_power_loss),`.
        return (!tables.contains(&format!("{name}),")))
            .then(|| format!("{name} is in no table of the simulator"));
    }
    let before: Vec<&str> =
        text[..at].lines().rev().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let is_test = before.contains(&"#[test]") && !before.iter().any(|line| line.starts_with("#[ignore"));
    let module = read(&format!("{folder}/main.rs")).contains(&format!("mod {file};"));
    (!(is_test && module)).then(|| format!("{path}: {name} is not run"))
}

#[test]
fn every_row_names_what_proves_it_and_all_of_that_is_there() {
    let mut wrong = Vec::new();
    let rows = rows(&read("docs/safety.md"));
    assert!(rows.len() > 40, "the tables were not found: {} rows", rows.len());
    for row in &rows {
        let proofs = row.last().map(|cell| proofs(cell)).unwrap_or_default();
        if proofs.is_empty() {
            wrong.push(format!("no proof: {}", row.join(" | ")));
        }
        wrong.extend(proofs.iter().filter_map(|(kind, file, name)| missing(kind, file, name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_invariant_is_spoken_of() {
    let page = read("docs/safety.md");
    let all = (1..=20).map(|n| format!("S{n}")).chain((1..=7).map(|n| format!("L{n}")));
    let spoken = |name: &String| page.contains(&format!("| {name} |")) || page.contains(&format!("{name} ("));
    let missing: Vec<String> = all.filter(|name| !spoken(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_is_not_there_is_noticed() {
    assert_eq!(missing("lab", "cuts", "one_link_of_two_is_cut_and_nothing_moves"), None);
    for (kind, file, name) in [
        ("lab", "cuts", "no_such_test"),
        ("lab", "no_such_file", "x"),
        ("lab", "cuts", "degraded"),
        ("sim", "trial", "settle"),
        ("vm", "dog", "no such guest"),
        ("vm", "no-such-file", "x"),
        ("hope", "cuts", "x"),
    ] {
        assert!(missing(kind, file, name).is_some(), "{kind} {file}::{name}");
    }
    assert!(proofs("no proof, and `hbctl fence-ack`").is_empty());
}
