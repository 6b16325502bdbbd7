//! What needs no daemon: help, usage, keygen.

use std::os::unix::fs::PermissionsExt;

use crate::daemon::{finish, hbctl};

fn run(line: &str) -> crate::daemon::Ended {
    finish(hbctl(line).spawn().expect("hbctl starts"))
}

#[test]
fn wrong_usage_ends_with_2() {
    for line in [
        "",
        "frobnicate",
        "move",
        "maintenance",
        "maintenance perhaps",
        "status extra",
        "standby --timeout 5",
        "cleanup /nginx",
        "keygen --method rot13",
        "convert",
        "convert x --only ha.cf",
        "convert x --force",
        "convert x --nodes alpha",
        "status --color green",
        "tune b",
    ] {
        let ended = run(line);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "hbctl {line}");
        assert!(!ended.err.is_empty(), "hbctl {line}");
    }
}

#[test]
fn help_is_on_stdout_and_fits_the_screen() {
    let commands = "status standby online move takeover failback maintenance cleanup fence fence-ack events why tune check keygen convert reload";
    for line in
        std::iter::once("--help".to_owned()).chain(commands.split(' ').map(|name| format!("{name} --help")))
    {
        let ended = run(&line);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "hbctl {line}");
        assert!(ended.out.contains("Example"), "hbctl {line} shows no example");
        for text in ended.out.lines() {
            assert!(text.chars().count() <= 80, "hbctl {line}: {text}");
        }
    }
    assert!(run("--version").out.starts_with("hbctl "));
}

#[test]
fn keys_are_fresh_and_accepted() {
    for (method, secret_length) in [("sha256", 64), ("md5", 64), ("crc", 0)] {
        let first = run(&format!("keygen --method {method}"));
        assert_eq!(first.code, 0);
        assert!(proto::Keyring::parse(&first.out).is_ok(), "{method}");
        assert!(first.err.contains("0600") && first.err.contains("both nodes"), "{}", first.err);
        assert_eq!(first.err.contains("protects against nothing"), method == "crc");
        let last_word = first.out.split_whitespace().last().unwrap();
        let hex = last_word.chars().all(|c| c.is_ascii_hexdigit());
        assert_eq!(if hex { last_word.len() } else { 0 }, secret_length, "{method}");
        if secret_length > 0 {
            assert_ne!(run(&format!("keygen --method {method}")).out, first.out, "{method}");
        }
    }
}

#[test]
fn a_key_file_is_private_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authkeys");
    let line = format!("keygen --output {}", path.display());
    let first = run(&line);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(!first.out.contains("sha256") && !first.err.contains("sha256 "), "no secret is shown: {first:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let key = std::fs::read_to_string(&path).unwrap();
    assert!(proto::Keyring::parse(&key).is_ok());
    let again = run(&line);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("exists"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
}

#[test]
fn a_key_redirected_into_a_readable_file_is_remarked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authkeys");
    for (mode, remarked) in [(0o644, true), (0o600, false)] {
        let file = std::fs::File::create(&path).unwrap();
        file.set_permissions(PermissionsExt::from_mode(mode)).unwrap();
        let mut command = hbctl("keygen");
        let ended = finish(command.stdout(file).spawn().unwrap());
        assert_eq!((ended.code, ended.err.contains("chmod 600")), (0, remarked), "{mode:o}: {}", ended.err);
    }
}
