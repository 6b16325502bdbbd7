//! An old file: its text, what kind of file it is, and the mistakes found in it.

use std::cell::RefCell;
use std::ops::Range;

use base::config::problem::{Problem, Problems};

use super::doc::Place;

/// Mistakes of one file that are told.
const TOLD: usize = 50;
/// Lines of a file, and bytes of a line (Heartbeat's own bound), that are read: more than any of these has.
const MOST_LINES: usize = 50_000;
const LONGEST_LINE: usize = 5120;

/// Which program's file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Heartbeat's `ha.cf`.
    HaCf,
    /// Heartbeat's `haresources`.
    HaResources,
    /// Heartbeat's `authkeys`.
    AuthKeys,
    /// `ldirectord.cf`.
    Ldirectord,
    /// Piranha's `lvs.cf`.
    Lvs,
    /// `keepalived.conf`.
    Keepalived,
}

impl Kind {
    /// What the file called `name` with this text is: by its name, else by its first words.
    pub fn of(name: &str, text: &str) -> Option<Kind> {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        match name.as_str() {
            "ha.cf" => return Some(Kind::HaCf),
            "haresources" => return Some(Kind::HaResources),
            "authkeys" => return Some(Kind::AuthKeys),
            "lvs.cf" => return Some(Kind::Lvs),
            _ if name.starts_with("ldirectord") && name.contains(".cf") => return Some(Kind::Ldirectord),
            _ if name.starts_with("keepalived") && name.contains(".conf") => return Some(Kind::Keepalived),
            _ => {}
        }
        text.lines().take(10_000).find_map(by_line)
    }
}

/// `name = value`, as ldirectord and Piranha have them.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) line: usize,
    pub(super) name: String,
    /// Without the quotes around it, and of Piranha's with `\r`, `\n` and the like replaced.
    pub(super) value: String,
}

/// What a line gives away.
fn by_line(line: &str) -> Option<Kind> {
    let line = line.split(['#', '!']).next().unwrap_or("").trim();
    let first = line.split(|c: char| c.is_whitespace() || c == '=' || c == '{').next().unwrap_or("");
    match first {
        "vrrp_instance"
        | "vrrp_sync_group"
        | "vrrp_script"
        | "global_defs"
        | "virtual_server"
        | "virtual_server_group"
        | "static_ipaddress" => Some(Kind::Keepalived),
        "virtual" if line.ends_with('{') => Some(Kind::Lvs),
        "serial_no" | "primary" | "backup" | "backup_active" | "heartbeat_port" => Some(Kind::Lvs),
        "virtual" | "virtual6" | "checktimeout" | "checkinterval" | "negotiatetimeout" | "quiescent" => {
            Some(Kind::Ldirectord)
        }
        "auth" => Some(Kind::AuthKeys),
        "node" | "bcast" | "ucast" | "mcast" | "initdead" | "auto_failback" | "udpport" => Some(Kind::HaCf),
        _ => None,
    }
}

/// A file to be converted.
#[derive(Clone, Debug)]
pub struct Source {
    /// What it is.
    pub kind: Kind,
    /// As messages call it.
    pub name: String,
    /// All of it.
    pub text: String,
    /// The files its `include` lines name (keepalived), by the line.
    pub includes: Vec<(usize, Vec<Source>)>,
}

/// A source while it is read: mistakes are collected, so that all are told at once.
pub(super) struct Reading<'s> {
    pub(super) source: &'s Source,
    problems: RefCell<Vec<Problem>>,
}

/// A line without its comment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'s> {
    /// From 1.
    pub(super) number: usize,
    /// Where it begins in the text.
    pub(super) start: usize,
    pub(super) text: &'s str,
}

impl Line<'_> {
    /// The bytes of `part`, which must be a part of the line.
    pub(super) fn span(&self, part: &str) -> Range<usize> {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let offset = offset.min(self.text.len());
        self.start + offset..self.start + (offset + part.len()).min(self.text.len())
    }
}

impl<'s> Reading<'s> {
    pub(super) fn new(source: &'s Source) -> Reading<'s> {
        Reading { source, problems: RefCell::new(Vec::new()) }
    }

    /// Its lines, as far as they are within bounds; the first that is not is a mistake.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'s>> + use<'s> {
        let mut start = 0;
        let mut lines = Vec::new();
        for (index, text) in self.source.text.split('\n').enumerate() {
            if index >= MOST_LINES || text.len() > LONGEST_LINE {
                let message = format!(
                    "the file has more than {MOST_LINES} lines, or a line more than {LONGEST_LINE} bytes"
                );
                self.wrong(start..start, message, "is this the right file?");
                break;
            }
            lines.push(Line { number: index + 1, start, text: text.trim_end_matches('\r') });
            start += text.len() + 1;
        }
        lines.into_iter()
    }

    /// As many mistakes were noted as are told: what follows need not be read.
    pub(super) fn is_hopeless(&self) -> bool {
        self.problems.borrow().len() >= TOLD
    }

    /// The place of a line.
    pub(super) fn place(&self, line: usize) -> Place {
        Place { file: self.source.name.clone(), line }
    }

    /// Notes a mistake at `span` of the text.
    pub(super) fn wrong(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        if self.is_hopeless() {
            return;
        }
        let mut problems = self.problems.borrow_mut();
        let (name, text) = (&self.source.name, &self.source.text);
        let problem = Problem::at(name, text, span.clone(), message.into(), Some(help.into()));
        let start = text[..floor(text, span.start)].rfind('\n').map_or(0, |at| at + 1);
        let line = text[start..].lines().next().unwrap_or("");
        problems.push(match masked(line) {
            Some(line) => problem.with_source(line),
            None => problem,
        });
    }

    /// The mistakes that were noted.
    ///
    /// # Errors
    /// They, if there are any.
    pub(super) fn finish(self) -> Result<(), Problems> {
        let list = self.problems.into_inner();
        if list.is_empty() { Ok(()) } else { Err(Problems { list }) }
    }
}

/// The character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A line that may have a secret in it, without what stands behind its first word.
fn masked(line: &str) -> Option<String> {
    let folded = line.to_ascii_lowercase();
    if !["pass", "secret", "stonith", "auth"].iter().any(|word| folded.contains(word)) {
        return None;
    }
    let end =
        line.trim_start().find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.trim_start().len());
    let end = line.len() - line.trim_start().len() + end;
    Some(format!("{} ***", &line[..end]))
}

/// A text for a message: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    base::config::table::shown(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_name_or_content() {
        for (name, text, kind) in [
            ("/etc/ha.d/ha.cf", "", Some(Kind::HaCf)),
            ("haresources", "", Some(Kind::HaResources)),
            ("authkeys", "", Some(Kind::AuthKeys)),
            ("/etc/sysconfig/ha/lvs.cf", "", Some(Kind::Lvs)),
            ("ldirectord-web.cf", "", Some(Kind::Ldirectord)),
            ("keepalived.conf", "", Some(Kind::Keepalived)),
            ("www.cf", "# mine\ncheckinterval = 5\nvirtual=1.2.3.4:80\n", Some(Kind::Ldirectord)),
            ("old", "virtual web {\n", Some(Kind::Lvs)),
            ("web.conf", "! Configuration File\nvrrp_instance VI_1 {\n", Some(Kind::Keepalived)),
            ("x", "keepalive 2\nnode a b\n", Some(Kind::HaCf)),
            ("letter", "Dear reader,\n", None),
            ("empty", "", None),
        ] {
            assert_eq!(Kind::of(name, text), kind, "{name}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_with_a_mistake() {
        let text = "fine\n  auth_pass hunter2 {\n".to_owned();
        let source = Source { kind: Kind::Keepalived, name: "k".to_owned(), text, includes: Vec::new() };
        let reading = Reading::new(&source);
        reading.wrong(7..16, "it is wrong", "mend it");
        let problems = reading.finish().unwrap_err();
        let shown = problems.render(false);
        assert!(shown.contains("auth_pass") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(problems.list[0].line, 2);
    }
}
