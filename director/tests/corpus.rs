//! What the fuzzer has found worth keeping (`tests/fuzz/corpus`), through the same bodies.

use std::path::Path;

fn each(folder: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        body(&std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
}

#[test]
fn of_servers_answers() {
    each("fuzz/corpus/answers", director::fuzz::answers);
}

#[test]
fn of_loads() {
    each("fuzz/corpus/load", director::fuzz::load);
}

#[test]
fn of_the_directors_configuration() {
    each("fuzz/corpus/director", director::fuzz::config);
    // What the fuzzer begins with, too.
    each("director-configs", director::fuzz::config);
}
