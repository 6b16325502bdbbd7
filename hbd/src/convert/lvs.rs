//! Piranha's `lvs.cf`: settings, and blocks in braces with settings of their own.

use base::config::problem::Problems;
use base::config::suggest::nearest;

use super::source::{Line, Reading, Setting, Source, shown};

const GLOBAL: [&str; 34] = [
    "serial_no",
    "primary",
    "primary_private",
    "primary_shared",
    "backup",
    "backup_private",
    "backup_shared",
    "backup_active",
    "reservation_conflict_action",
    "heartbeat",
    "heartbeat_port",
    "keepalive",
    "deadtime",
    "network",
    "nat_router",
    "nat_nmask",
    "nat_mask",
    "service",
    "rsh_command",
    "monitor_links",
    "syncdaemon",
    "syncd_iface",
    "syncd_id",
    "tcp_timeout",
    "tcpfin_timeout",
    "udp_timeout",
    "hard_shutdown",
    "active_cmd",
    "inactive_cmd",
    "debug_level",
    "ipvsadm",
    "gratuitous_arps",
    "probe_file",
    "comment",
];
const SERVICE: [&str; 26] = [
    "active",
    "address",
    "vip_nmask",
    "vip_mask",
    "port",
    "protocol",
    "fwmark",
    "scheduler",
    "persistent",
    "pmask",
    "send",
    "expect",
    "use_regex",
    "send_program",
    "timeout",
    "reentry",
    "load_monitor",
    "quiesce_server",
    "sorry_server",
    "client_monitor",
    "master",
    "dirs",
    "start_cmd",
    "stop_cmd",
    "flags",
    "comment",
];
const SERVER: [&str; 5] = ["address", "active", "weight", "port", "comment"];
/// Blocks of a file, and settings of one: more than anybody has.
const MOST: usize = 5000;

/// `virtual NAME { … }`, `failover NAME { … }`, `server NAME { … }`, or the file as a whole.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) settings: Vec<Setting>,
    pub(super) blocks: Vec<Block>,
}

impl Block {
    /// What is said of `name`; the last one counts.
    pub(super) fn said(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().rfind(|setting| setting.name == name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.said(name).map(|setting| setting.value.as_str()).filter(|text| !text.is_empty())
    }

    /// A number, if it is one.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }

    pub(super) fn active(&self) -> bool {
        self.number("active") == Some(1)
    }
}

/// Reads the file.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn parse(source: &Source) -> Result<Block, Problems> {
    let reading = Reading::new(source);
    let mut stack = vec![Block::default()];
    for line in reading.lines().take_while(|_| !reading.is_hopeless()) {
        let text = without_comment(line.text).trim();
        if text.is_empty() {
            continue;
        }
        if text == "}" {
            close(&mut stack, &line, &reading);
        } else if let Some(head) = text.strip_suffix('{') {
            open(head.trim_end(), &mut stack, &line, &reading);
        } else if let Some(block) = stack.last_mut() {
            setting(text, block, &line, &reading);
        }
    }
    while stack.len() > 1 {
        if let Some(block) = stack.last() {
            let start = reading.lines().nth(block.line - 1).map_or(0, |line| line.start);
            let message = format!("the block '{} {}' is not closed", block.kind, shown(&block.name));
            reading.wrong(start..start + 1, message, "write a } in a line of its own behind its last line");
        }
        nest(&mut stack);
    }
    reading.finish().map(|()| stack.pop().unwrap_or_default())
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

/// Puts the innermost block into the one around it.
fn nest(stack: &mut Vec<Block>) {
    if stack.len() > 1
        && let Some(block) = stack.pop()
        && let Some(outer) = stack.last_mut()
    {
        outer.blocks.push(block);
    }
}

fn close(stack: &mut Vec<Block>, line: &Line<'_>, reading: &Reading<'_>) {
    if stack.len() == 1 {
        reading.wrong(
            line.span(line.text.trim()),
            "there is no block to close",
            "remove this brace, or look for the one that is missing above",
        );
    }
    nest(stack);
}

fn open(head: &str, stack: &mut Vec<Block>, line: &Line<'_>, reading: &Reading<'_>) {
    let (kind, name) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
    let allowed: &[&'static str] = match stack.last().map_or("", |block| block.kind) {
        "" => &["virtual", "failover", "sync"],
        "virtual" | "failover" => &["server"],
        _ => &[],
    };
    let known = allowed.iter().find(|known| **known == kind);
    if known.is_none() {
        let help = "blocks are virtual NAME {, failover NAME {, and server NAME { within them";
        reading.wrong(line.span(head), format!("'{}' cannot stand here", shown(head)), help);
    }
    if stack.last().is_some_and(|outer| outer.blocks.len() >= MOST) {
        reading.wrong(line.span(head), format!("more than {MOST} blocks"), "divide the file");
        return;
    }
    let (kind, name) = (known.copied().unwrap_or("unknown"), unquoted(name.trim()));
    stack.push(Block { kind, name, line: line.number, ..Block::default() });
    // Deeper than three is wrong already, and what is in there is of no use.
    if stack.len() > 3 {
        nest(stack);
    }
}

fn setting(text: &str, block: &mut Block, line: &Line<'_>, reading: &Reading<'_>) {
    let known: &[&str] = match block.kind {
        "" => &GLOBAL,
        "virtual" | "failover" => &SERVICE,
        "server" => &SERVER,
        // What sync names was copied by Piranha; nothing of it is needed.
        _ => return,
    };
    let Some((name, value)) = text.split_once('=') else {
        let word = text.split_whitespace().next().unwrap_or_default();
        return reading.wrong(
            line.span(word),
            format!("behind '{}' there is no '='", shown(word)),
            "each line is `name = value`",
        );
    };
    let (name, value) = (name.trim(), value.trim());
    if !known.contains(&name) {
        let help = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean '{meant}'?"),
            None => "Piranha would refuse it too: correct or remove the line".to_owned(),
        };
        return reading.wrong(line.span(name), format!("there is no setting '{}' here", shown(name)), help);
    }
    if value.matches('"').count() == 1 {
        return reading.wrong(line.span(value), "the quotes are not closed", "write both: \"…\"");
    }
    if block.settings.len() < MOST {
        block.settings.push(Setting { line: line.number, name: name.to_owned(), value: unquoted(value) });
    }
}

/// Without quotes around it, and what a backslash stands for put in its place.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let stands_for = match (c, chars.clone().next()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('t')) => '\t',
            ('\\', Some(c @ ('\\' | '"'))) => c,
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push(stands_for);
        chars.next();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::source::Kind;

    fn read(text: &str) -> Result<Block, Problems> {
        parse(&Source {
            kind: Kind::Lvs,
            name: "lvs.cf".to_owned(),
            text: text.to_owned(),
            includes: Vec::new(),
        })
    }

    #[test]
    fn blocks_have_their_settings() {
        let file = read("primary = 10.0.0.1\nvirtual a {\n active = 1 # yes\n send = \"GET # /\\r\\n\"\n server b {\n  weight = 2\n }\n}\n")
            .expect("good");
        assert_eq!(file.text("primary"), Some("10.0.0.1"));
        let service = &file.blocks[0];
        assert!(service.active());
        assert_eq!(service.text("send"), Some("GET # /\r\n"));
        assert_eq!((service.blocks[0].name.as_str(), service.blocks[0].number("weight")), ("b", Some(2)));
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, line) in [
            ("primry = 10.0.0.1\n", 1),
            ("\n}\n", 2),
            ("virtual a {\n active = 1\n", 1),
            ("virtual a {\n server b {\n  virtual c {\n  }\n }\n}\n", 3),
            ("primary\n", 1),
            ("virtual a {\n send = \"x\n}\n", 2),
            ("virtual a {\n server b {\n  scheduler = rr\n }\n}\n", 3),
        ] {
            assert_eq!(read(text).expect_err(text).list[0].line, line, "{text}");
        }
    }
}
