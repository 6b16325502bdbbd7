//! What the fuzzer has found worth keeping (`tests/fuzz/corpus`), through the same bodies.

use std::path::{Path, PathBuf};

/// The files of a folder of `tests`, which has some.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn each(folder: &str, body: fn(&[u8])) {
    for file in files(folder) {
        body(&std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
}

#[test]
fn of_the_configuration() {
    each("fuzz/corpus/config", hbd::fuzz::config);
    // What the fuzzer begins with, too.
    each("configs", hbd::fuzz::config);
}

#[test]
fn of_the_old_files() {
    each("fuzz/corpus/convert", hbd::fuzz::convert);
}

#[test]
fn of_the_control_socket() {
    each("fuzz/corpus/control", hbd::fuzz::control);
}

#[test]
fn of_the_console() {
    each("fuzz/corpus/console", hbd::fuzz::console);
}

/// `scripts/fuzz` lists what there is by these files; each has a body that a test above, in `proto` or in `director` calls,
/// and inputs.
#[test]
fn every_target_is_tested_somewhere() {
    let director = include_str!("../../director/tests/corpus.rs");
    let proto = include_str!("../../proto/src/tests/corpus.rs");
    let here = include_str!("corpus.rs");
    for file in files("fuzz/fuzz_targets") {
        let source = std::fs::read_to_string(&file).expect("a target");
        let target = file.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let body =
            source.rsplit("data: &[u8]| ").next().and_then(|rest| rest.split('(').next()).expect("a body");
        let called = [proto, director, here]
            .iter()
            .any(|tests| tests.contains(body.trim_start_matches("proto::")) && tests.contains(target));
        assert!(called, "no test runs {body} over the corpus of {target}");
        files(&format!("fuzz/corpus/{target}"));
    }
}
