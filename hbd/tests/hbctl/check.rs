//! `hbctl check`: needs no daemon, says all that is wrong.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::daemon::{Ended, finish, hbctl};

/// A folder with a good configuration for the nodes a and b, and its keys.
fn good() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("authkeys");
    std::fs::write(&keys, "auth 1\n1 sha256 0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o600)).unwrap();
    let text = format!(
        r#"[cluster]
name = "lvs"
authkeys = "{}"

[[node]]
name = "a"
[[node]]
name = "b"

[[link]]
type = "bcast"
interface = "eth1"
[[link]]
type = "mcast"
interface = "eth0"
group = "239.255.42.1"

[[group]]
name = "vip"
preferred = "a"
resources = ["IPaddr::10.77.1.1/16/eth0", "IPaddr::10.77.1.2/16/eth0"]
"#,
        keys.display()
    );
    std::fs::write(folder.path().join("hbd.toml"), text).unwrap();
    folder
}

fn check(folder: &Path, line: &str) -> Ended {
    let mut command = hbctl("check");
    command.arg(folder.join("hbd.toml")).args(line.split_whitespace());
    finish(command.spawn().expect("hbctl starts"))
}

/// Puts `new` for `old` in the configuration.
fn change(folder: &Path, old: &str, new: &str) {
    let path = folder.join("hbd.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old}");
    std::fs::write(&path, text.replace(old, new)).unwrap();
}

#[test]
fn a_good_configuration_is_summed_up() {
    let folder = good();
    let ended = check(folder.path(), "--node a");
    assert_eq!(ended.code, 0, "{ended:?}");
    let first = ended.out.lines().next().unwrap();
    assert!(first.ends_with("hbd.toml: good: 2 nodes, 2 links, 1 group, 2 resources"), "{first}");
    let ended = check(folder.path(), "--node b --json");
    let shown: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &shown["good"], &shown["node"]), (0, &Value::Bool(true), &Value::from("b")));
    assert_eq!((&shown["links"], &shown["resources"]), (&Value::from(2), &Value::from(2)));
}

#[test]
fn all_mistakes_are_told_at_once_with_their_place() {
    let folder = good();
    change(folder.path(), "interface = \"eth1\"", "interfcae = \"eth1\"");
    change(folder.path(), "preferred = \"a\"", "preferred = \"c\"");
    let ended = check(folder.path(), "--node a");
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("hbd.toml:12:1") && ended.err.contains("interfcae"), "{}", ended.err);
    assert!(ended.err.contains("preferred = \"c\""), "{}", ended.err);
    assert!(!ended.err.contains('\x1b'), "{}", ended.err);

    let ended = check(folder.path(), "--node a --json");
    let shown: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &shown["good"]), (2, &Value::Bool(false)));
    assert!(shown["problems"].as_array().unwrap().iter().any(|problem| problem["line"] == 12), "{shown}");
    assert!(ended.err.contains("interfcae"), "the reason is on stderr too: {}", ended.err);
}

#[test]
fn colours_can_be_forced() {
    let folder = good();
    change(folder.path(), "name = \"lvs\"", "nmae = \"lvs\"");
    assert!(check(folder.path(), "--node a --color always").err.contains('\x1b'));
}

#[test]
fn a_node_the_file_does_not_know_is_a_mistake() {
    let folder = good();
    let ended = check(folder.path(), "--node stranger");
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("stranger"), "{}", ended.err);
}

#[test]
fn a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let ended = check(folder.path(), "");
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("no such file"), "{}", ended.err);
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let folder = good();
    std::fs::set_permissions(folder.path().join("authkeys"), PermissionsExt::from_mode(0o644)).unwrap();
    let ended = check(folder.path(), "--node a");
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("chmod 600"), "{}", ended.err);
}

#[test]
fn without_root_all_but_the_keys_is_checked() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can make a file that the user of the check may not read, and become that user.
        return;
    }
    const NOBODY: u32 = 65_534;
    let folder = good();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.path().join("hbd.toml"), PermissionsExt::from_mode(0o644)).unwrap();
    let program = folder.path().join("hbctl");
    std::fs::copy(env!("CARGO_BIN_EXE_hbctl"), &program).unwrap();
    let mut command = Command::new(&program);
    command.arg("check").arg(folder.path().join("hbd.toml")).args(["--node", "a"]).uid(NOBODY).gid(NOBODY);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = finish(command.spawn().unwrap());
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains(": good: "), "{}", ended.out);
    assert!(ended.err.contains("authkeys was not checked"), "{}", ended.err);
}
