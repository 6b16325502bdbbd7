//! `hbctl convert` from outside: what is printed, what is written, how it ends. What becomes of which directive is in
//! `tests/convert`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::daemon::{Ended, finish, hbctl};

/// A folder with an old pair in it.
fn old() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("ha.cf", "node a b\nbcast eth1\nauto_failback off\nlogfile /var/log/ha\n");
    put("haresources", "a 10.0.0.80/24/eth0 ldirectord\n");
    put("ldirectord.cf", "quiescent = yes\nvirtual=10.0.0.80:25\n\treal=10.0.0.1:25 gate\n\tservice=smtp\n");
    folder
}

fn convert(folder: &Path, line: &str) -> Ended {
    let mut command = hbctl("convert");
    command.current_dir(folder).args(line.split_whitespace());
    finish(command.spawn().expect("hbctl starts"))
}

#[test]
fn one_file_is_printed_as_it_is_to_be_used() {
    let folder = old();
    let ended = convert(folder.path(), "ldirectord.cf");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    assert!(director::config::parse(&ended.out, Path::new("x.toml")).is_ok(), "{}", ended.out);
    let ended = convert(folder.path(), ". --only director");
    assert!(director::config::parse(&ended.out, Path::new("x.toml")).is_ok(), "{}", ended.out);
}

#[test]
fn two_files_are_told_apart_and_the_remarks_are_on_stderr_too() {
    let folder = old();
    let ended = convert(folder.path(), ".");
    assert_eq!(ended.code, 0, "{ended:?}");
    for wanted in ["# hbd.toml: file 1 of 2", "# director.toml: file 2 of 2", "--only", "--output", "logfile"]
    {
        assert!(ended.out.contains(wanted), "{wanted}: {}", ended.out);
    }
    assert!(ended.err.contains("/ha.cf:4: not carried over: logfile"), "{}", ended.err);
    let ended = convert(folder.path(), "ha.cf haresources --json");
    let shown: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert!(shown["files"]["hbd.toml"].is_string() && shown["files"]["director.toml"].is_null());
    assert!(shown["remarks"].as_array().is_some_and(|remarks| !remarks.is_empty()));
}

#[test]
fn files_are_written_with_their_mode_and_never_replaced_unasked() {
    let folder = old();
    let new = folder.path().join("new");
    let line = ". --output new";
    assert_eq!(convert(folder.path(), line).code, 1, "there is no such folder");
    std::fs::create_dir(&new).unwrap();
    std::fs::write(new.join("director.toml"), "mine").unwrap();
    let ended = convert(folder.path(), line);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended:?}");
    assert!(ended.err.contains("director.toml exists and is left alone"), "{}", ended.err);
    assert!(!new.join("hbd.toml").exists(), "all or nothing");
    let ended = convert(folder.path(), &format!("{line} --force"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("wrote new/hbd.toml, mode 0640"), "{}", ended.out);
    for name in ["hbd.toml", "director.toml"] {
        let mode = std::fs::metadata(new.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777 & !0o640, 0, "{name}: {mode:o}");
        assert!(std::fs::read_to_string(new.join(name)).unwrap().contains("Converted from"));
    }
    assert_eq!(std::fs::read_dir(&new).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn what_cannot_be_converted_ends_with_1_and_a_place() {
    let folder = old();
    std::fs::write(folder.path().join("ha.cf"), "node a b\nkepalive 2\n").unwrap();
    for line in [".", "ha.cf", "missing.cf", "ldirectord.cf --only hbd"] {
        let ended = convert(folder.path(), line);
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{line}: {ended:?}");
    }
    let ended = convert(folder.path(), ".");
    assert!(
        ended.err.contains("ha.cf:2:1") && ended.err.contains("did you mean 'keepalive'?"),
        "{}",
        ended.err
    );
}

#[test]
fn two_nodes_have_names_that_hbd_takes() {
    let folder = old();
    std::fs::write(folder.path().join("lvs.cf"), "primary = 10.0.0.1\nbackup = 10.0.0.2\n").unwrap();
    for (nodes, why) in [("a,A", "two names"), ("a,b\"c", "cannot be the name"), ("a", "takes two names")] {
        let ended = convert(folder.path(), &format!("lvs.cf --nodes {nodes}"));
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{nodes}: {ended:?}");
        assert!(ended.err.contains(why), "{}", ended.err);
    }
    let ended = convert(folder.path(), "lvs.cf --nodes alpha,beta");
    assert!(ended.out.contains("{ alpha = \"10.0.0.1\", beta = \"10.0.0.2\" }"), "{ended:?}");
}
