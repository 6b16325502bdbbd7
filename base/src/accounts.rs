//! Groups of this machine, asked for without taking the user database into the daemon.
//!
//! The modules of the C library that know users and groups (nss(5)) stay in a process once one of them was asked, and a
//! daemon that keeps all its pages in memory keeps theirs too. A group that is in `/etc/group` needs none of them; for others
//! getent(1) is asked, which ends.

use std::process::{Command, Stdio};

/// For a group database on the network that does not answer, in seconds.
const PATIENCE: &str = "10";

/// The number of a group, by its name; `None` if there is no such group, or nobody to ask.
/// Takes as long as the group database does, up to ten seconds: not for an event loop.
pub fn group(name: &str) -> Option<u32> {
    let file = std::fs::read_to_string("/etc/group").unwrap_or_default();
    in_text(&file, name).or_else(|| asked(name))
}

/// The number of a group in text of the form of group(5).
fn in_text(text: &str, name: &str) -> Option<u32> {
    let number = |line: &str| {
        let mut fields = line.split(':');
        let of_it = fields.next() == Some(name);
        fields.nth(1).filter(|_| of_it).and_then(|gid| gid.parse().ok())
    };
    text.lines().find_map(number)
}

fn asked(name: &str) -> Option<u32> {
    // Names that getent would take for a number or an option are no names of groups (useradd(8)).
    if name.is_empty() || name.starts_with('-') || name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    in_text(&said(PATIENCE, &["getent", "group", name])?, name)
}

/// What a program says within so many seconds (timeout(1) ends it then).
fn said(seconds: &str, words: &[&str]) -> Option<String> {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", seconds]).args(words).stdin(Stdio::null()).stderr(Stdio::null());
    String::from_utf8(command.output().ok()?.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let text = "root:x:0:\nhbd-old:x:7:\nhbd:x:112:alice,bob\nbroken\nodd:x:many:\n";
        assert_eq!(in_text(text, "hbd"), Some(112));
        assert_eq!(in_text(text, "hb"), None);
        assert_eq!(in_text(text, "broken"), None);
        assert_eq!(in_text(text, "odd"), None);
    }

    #[test]
    fn nobody_is_waited_for_without_end() {
        assert_eq!(said("10", &["echo", "hbd:x:1:"]).as_deref(), Some("hbd:x:1:\n"));
        // Ten minutes, and it does not heed being told to end.
        let deaf = ["sh", "-c", "trap '' TERM; echo half; exec sleep 600"];
        assert_eq!(said("0.1", &deaf).as_deref(), Some("half\n"));
    }

    #[test]
    fn the_machine_is_asked() {
        assert_eq!(group("root"), Some(0));
        assert_eq!(asked("root"), Some(0));
        for strange in ["da-no-such-group", "", "0", "-s"] {
            assert_eq!(group(strange), None, "{strange:?}");
        }
    }
}
