//! A bad configuration: hbd says what is wrong, ends with 2, and has touched nothing.

use lab::Result;
use lab::hbd::Settings;
use lab::hbd::daemon::program;
use lab::pair::{Pair, VIP};
use lab::scenario::{check, scenario};

/// A mistake, and what must be said of it.
type Case = (&'static str, fn(&mut Settings), &'static [&'static str]);

const CASES: [Case; 9] = [
    ("deadtime too short", |s| s.deadtime = "150ms".to_owned(), &["hbd.toml:4:12", "deadtime"]),
    ("an unknown key", |s| s.more += "colour = \"red\"\n", &["colour", "hbd.toml:"]),
    ("an unknown table", |s| s.more += "[clutser]\n", &["clutser"]),
    ("one node", |s| s.nodes = vec!["a".to_owned()], &["only one node"]),
    ("another machine", |s| s.nodes = vec!["x".to_owned(), "y".to_owned()], &["this machine is 'a'"]),
    (
        "an address that is none",
        |s| s.groups[0].resources = vec!["\"IPaddr::10.77.1.999/16/eth0\"".to_owned()],
        &["10.77.1.999"],
    ),
    ("a preferred node that is none", |s| s.groups[0].preferred = Some("c".to_owned()), &["'c'"]),
    (
        "an agent that is not installed",
        |s| s.groups[0].resources.push("\"nosuch::x\"".to_owned()),
        &["nosuch", "not installed"],
    ),
    ("no TOML at all", |s| s.more += "[[[\n", &["hbd.toml:"]),
];

/// hbd left nothing behind: no address, no socket, nobody on the port.
fn untouched(pair: &Pair) -> Result<()> {
    let addresses = lab::audit::addresses(&pair.world, "a")?;
    check(!addresses.contains(&lab::pair::ip(VIP)), || "it set the address".to_owned())?;
    check(!pair.world.exec("a", &["test", "-e", "/run/hbd/hbd.sock"])?.ok(), || {
        "it made its socket".to_owned()
    })?;
    // Port 694 is 02B6 in the kernel's list.
    let sockets = pair.world.must("a", &["cat", "/proc/net/udp"])?;
    check(!sockets.contains(":02B6 "), || format!("it listens:\n{sockets}"))
}

/// Runs hbd to its end, with these arguments.
fn hbd(pair: &Pair, arguments: &[&str]) -> Result<lab::command::Output> {
    let hbd = program("hbd")?.display().to_string();
    let line = [&[hbd.as_str()], arguments].concat();
    let output = pair.world.exec("a", &line)?;
    pair.world.timeline.note(format!("hbd {arguments:?} -> {}", output.code));
    Ok(output)
}

#[test]
fn mistakes_are_said_and_nothing_is_started() {
    scenario(Pair::new, |pair| {
        for (what, mistake, said) in CASES {
            pair.world.timeline.note(what);
            let mut settings = pair.settings.clone();
            mistake(&mut settings);
            settings.install(&pair.world, "a")?;
            for arguments in [&[] as &[&str], &["--check"]] {
                let output = hbd(pair, arguments)?;
                let told = said.iter().all(|words| output.stderr.contains(words));
                check(output.code == 2 && told, || {
                    format!("{what}: hbd {arguments:?} was to say {said:?}: {output:?}")
                })?;
                untouched(pair)?;
            }
            let checked = pair.hbctl("a", &["check"])?;
            check(checked.code == 2, || format!("{what}: hbctl check says {checked:?}"))?;
        }
        pair.settings.install(&pair.world, "a")?;
        let good = hbd(pair, &["--check"])?;
        check(good.code == 0, || format!("{good:?}"))?;
        untouched(pair)
    });
}

#[test]
fn keys_that_others_may_read_are_refused() {
    scenario(Pair::new, |pair| {
        let keys = &pair.settings.authkeys;
        let cases: [(&str, u32, &str); 4] = [
            (keys, 0o644, "0644"),
            ("auth 7\n1 sha256 the-secret\n", 0o600, "7"),
            ("auth 1\n1 rot13 the-secret\n", 0o600, "no method"),
            ("", 0o600, "auth"),
        ];
        for (text, mode, said) in cases {
            pair.settings.install(&pair.world, "a")?;
            pair.world.write_file("a", "/etc/hbd/authkeys", text, mode)?;
            for arguments in [&[] as &[&str], &["--check"]] {
                let output = hbd(pair, arguments)?;
                let told = output.stderr.contains(said) && output.stderr.contains("authkeys");
                check(output.code == 2 && told, || {
                    format!("keys {text:?}, mode {mode:o}, say {said}: {output:?}")
                })?;
                let secret =
                    output.stderr.contains("the-secret") || output.stderr.contains("lab-keeps-no-secrets");
                check(!secret, || format!("a secret was printed: {output:?}"))?;
                untouched(pair)?;
            }
        }
        pair.world.must("a", &["rm", "/etc/hbd/authkeys"])?;
        let output = hbd(pair, &[])?;
        check(output.code == 2 && output.stderr.contains("authkeys"), || {
            format!("no keys at all: {output:?}")
        })?;
        pair.world.must("a", &["rm", "/etc/hbd/hbd.toml"])?;
        let output = hbd(pair, &[])?;
        check(output.code == 2 && output.stderr.contains("/etc/hbd/hbd.toml"), || {
            format!("no file: {output:?}")
        })?;
        let output = hbd(pair, &["--no-such-flag"])?;
        check(output.code == 2, || format!("a wrong command line: {output:?}"))?;
        untouched(pair)
    });
}
