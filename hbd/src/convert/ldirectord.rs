//! `ldirectord.cf`: global directives, and virtual services with theirs indented below.

use base::config::problem::Problems;
use base::config::suggest::nearest;

use super::source::{Line, Reading, Setting, Source, shown};

/// Directives for all services, or for one; services may override some of them.
const EVERYWHERE: [&str; 17] = [
    "checktimeout",
    "negotiatetimeout",
    "checkinterval",
    "checkcount",
    "failurecount",
    "fallback",
    "fallback6",
    "fallbackcommand",
    "emailalert",
    "emailalertfrom",
    "emailalertfreq",
    "emailalertstatus",
    "smtp",
    "quiescent",
    "cleanstop",
    "connecttimeout",
    "timeout",
];
const GLOBAL: [&str; 9] = [
    "autoreload",
    "callback",
    "logfile",
    "execute",
    "supervised",
    "fork",
    "readdquiescent",
    "maintenancedir",
    "comment",
];
const SERVICE: [&str; 27] = [
    "real",
    "real6",
    "checktype",
    "service",
    "checkcommand",
    "checkport",
    "request",
    "receive",
    "httpmethod",
    "virtualhost",
    "login",
    "passwd",
    "database",
    "secret",
    "scheduler",
    "persistent",
    "netmask",
    "protocol",
    "monitorfile",
    "ops",
    "servicename",
    "comment",
    "schedflags",
    "load",
    "dbtype",
    "hostheader",
    "regexp",
];
/// Services of a file, and settings and real servers of one.
const MOST_SERVICES: usize = 10_000;
const MOST_OF_ONE: usize = 2000;
/// Real servers of one `->`.
const LONGEST_RANGE: u32 = 1024;

/// `real = …`.
#[derive(Debug)]
pub(super) struct Real {
    pub(super) line: usize,
    pub(super) hosts: Vec<String>,
    pub(super) port: Option<String>,
    pub(super) forward: &'static str,
    pub(super) weight: u32,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) request: Option<String>,
    pub(super) receive: Option<String>,
}

/// `virtual = …` and what is below it.
#[derive(Debug)]
pub(super) struct Virtual {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) ipv6: bool,
    pub(super) settings: Vec<Setting>,
    pub(super) reals: Vec<Real>,
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) settings: Vec<Setting>,
    pub(super) virtuals: Vec<Virtual>,
}

/// Reads the file.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn parse(source: &Source) -> Result<File, Problems> {
    let reading = Reading::new(source);
    let mut file = File::default();
    for line in reading.lines().take_while(|_| !reading.is_hopeless()) {
        let text = without_comment(line.text);
        if text.trim().is_empty() {
            continue;
        }
        let Some((name, value)) = name_and_value(text, &line, &reading) else { continue };
        let indented = text.starts_with([' ', '\t']);
        match name {
            "virtual" | "virtual6" if file.virtuals.len() == MOST_SERVICES => {
                reading.wrong(
                    line.span(name),
                    format!("more than {MOST_SERVICES} services"),
                    "divide the file",
                );
                break;
            }
            "virtual" | "virtual6" if !value.is_empty() => {
                let (key, ipv6) = (value.to_owned(), name == "virtual6");
                let (settings, reals) = (Vec::new(), Vec::new());
                file.virtuals.push(Virtual { line: line.number, key, ipv6, settings, reals });
            }
            _ => setting(name, value, indented, &line, &reading, &mut file),
        }
    }
    reading.finish().map(|()| file)
}

/// `line` up to a `#` at its begin or behind a blank, outside quotes.
fn without_comment(line: &str) -> &str {
    let (mut quoted, mut before) = (false, ' ');
    for (at, c) in line.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            '#' if !quoted && before.is_whitespace() => return &line[..at],
            _ => {}
        }
        before = c;
    }
    line
}

/// `name = value`; `supervised` may stand alone.
fn name_and_value<'t>(text: &'t str, line: &Line<'_>, reading: &Reading<'_>) -> Option<(&'t str, &'t str)> {
    if let Some((name, value)) = text.split_once('=') {
        return Some((name.trim(), value.trim()));
    }
    if text.trim() == "supervised" {
        return Some(("supervised", "yes"));
    }
    let help = "each line is `name = value`";
    // Only its first word is shown: what stands behind it may be a secret.
    let word = text.split_whitespace().next().unwrap_or_default();
    reading.wrong(line.span(word), format!("'{}' is no directive", shown(word)), help);
    None
}

fn setting(name: &str, value: &str, indented: bool, line: &Line<'_>, reading: &Reading<'_>, file: &mut File) {
    let of_service = SERVICE.contains(&name);
    if !of_service && !EVERYWHERE.contains(&name) && !GLOBAL.contains(&name) {
        let known = SERVICE.into_iter().chain(EVERYWHERE).chain(GLOBAL).chain(["virtual", "virtual6"]);
        let help = match nearest(name, known) {
            Some(meant) => format!("did you mean '{meant}'?"),
            None => "ldirectord would refuse it too: correct or remove the line".to_owned(),
        };
        return reading.wrong(
            line.span(name),
            format!("ldirectord.cf has no directive '{}'", shown(name)),
            help,
        );
    }
    if ["connecttimeout", "timeout"].contains(&name) {
        let help = "ldirectord refuses this old name: write checktimeout or negotiatetimeout";
        return reading.wrong(line.span(name), format!("'{name}' is no more"), help);
    }
    let setting = || Setting { line: line.number, name: name.to_owned(), value: unquoted(value).to_owned() };
    if !indented && !of_service {
        return file.settings.push(setting());
    }
    let Some(service) = file.virtuals.last_mut() else {
        let message = format!("'{name}' belongs to no virtual service");
        return reading.wrong(
            line.span(name),
            message,
            "write it indented below a line virtual = ADDRESS:PORT",
        );
    };
    if !indented && name != "comment" {
        let message = format!("'{name}' is not indented, so it belongs to no virtual service");
        return reading.wrong(line.span(name), message, "indent it below its line virtual = ADDRESS:PORT");
    }
    if service.settings.len() + service.reals.len() >= MOST_OF_ONE {
        return reading.wrong(
            line.span(name),
            format!("more than {MOST_OF_ONE} lines of a service"),
            "divide it",
        );
    }
    if name != "real" && name != "real6" {
        return service.settings.push(setting());
    }
    if let Some(real) = real(value, line, reading) {
        service.reals.push(real);
    }
}

/// Without quotes around it.
pub(super) fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// `ADDRESS[->ADDRESS][:PORT] gate|masq|ipip [WEIGHT] ["REQUEST","RECEIVE"] [<l:N>] [<u:N>]`.
fn real(value: &str, line: &Line<'_>, reading: &Reading<'_>) -> Option<Real> {
    let wrong = |part: &str, message: String| {
        let help = "real = 10.0.0.1:80 gate|masq|ipip [WEIGHT] [\"request\", \"receive\"]";
        reading.wrong(line.span(part), message, help);
        None
    };
    let (place, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let (range, port) = super::spelling::split_port(place);
    let Some(hosts) = hosts(range) else {
        return wrong(place, format!("'{}' is no range of addresses", shown(place)));
    };
    let mut found = Real {
        line: line.number,
        hosts,
        port: port.map(str::to_owned),
        forward: "",
        weight: 1,
        upper: 0,
        lower: 0,
        request: None,
        receive: None,
    };
    let (words, texts) = match rest.find('"') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let after = texts.rfind('"').map_or("", |at| &texts[at + 1..]);
    let mut texts = texts.split('"').skip(1).step_by(2).map(str::to_owned);
    (found.request, found.receive) = (texts.next(), texts.next());
    for word in words.split_whitespace().chain(after.split_whitespace()) {
        let word = word.trim_matches(['<', '>', ',']);
        match word {
            "gate" | "masq" | "ipip" => {
                found.forward = ["gate", "masq", "ipip"].into_iter().find(|way| *way == word)?
            }
            "" => {}
            _ => match (word.split_once(':'), word.parse()) {
                (Some((name, number)), _) => {
                    let number = number.parse().ok();
                    match (name, number) {
                        ("l", Some(number)) => found.lower = number,
                        ("u", Some(number)) => found.upper = number,
                        _ => return wrong(word, format!("'{}' is no bound", shown(word))),
                    }
                }
                (None, Ok(weight)) => found.weight = weight,
                (None, Err(_)) => return wrong(word, format!("'{}' is not understood", shown(word))),
            },
        }
    }
    if found.forward.is_empty() {
        return wrong(place, "the way packets get there is missing".to_owned());
    }
    Some(found)
}

/// The addresses of `A` or `A->B`.
fn hosts(range: &str) -> Option<Vec<String>> {
    let Some((first, last)) = range.split_once("->") else { return Some(vec![range.to_owned()]) };
    let number = |text: &str| text.trim().parse::<std::net::Ipv4Addr>().ok().map(u32::from);
    let (first, last) = (number(first)?, number(last)?);
    let count = last.checked_sub(first)?;
    (count < LONGEST_RANGE)
        .then(|| (first..=last).map(|ip| std::net::Ipv4Addr::from(ip).to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::source::Kind;

    fn read(text: &str) -> Result<File, Problems> {
        parse(&Source {
            kind: Kind::Ldirectord,
            name: "ldirectord.cf".to_owned(),
            text: text.to_owned(),
            includes: Vec::new(),
        })
    }

    #[test]
    fn any_indent_is_one() {
        for indent in [" ", "  ", "\t", "        "] {
            let file =
                read(&format!("virtual=10.0.0.1:80\n{indent}real=10.0.0.2:80 gate\n{indent}scheduler=rr\n"))
                    .expect("good");
            assert_eq!((file.virtuals[0].reals.len(), file.virtuals[0].settings.len()), (1, 1));
        }
    }

    #[test]
    fn all_of_a_real_server() {
        let text = "virtual=10.0.0.1:80\n\treal=10.0.0.2->10.0.0.4:80 masq 5 \"a b.html\", \"ok\" <l:2> <u:9> # three\n";
        let file = read(text).expect("good");
        let real = &file.virtuals[0].reals[0];
        assert_eq!(real.hosts, ["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        assert_eq!((real.forward, real.weight, real.lower, real.upper), ("masq", 5, 2, 9));
        assert_eq!((real.request.as_deref(), real.receive.as_deref()), (Some("a b.html"), Some("ok")));
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, line) in [
            ("virtual=10.0.0.1:80\n\treel=10.0.0.2 gate\n", 2),
            ("\n\treal=10.0.0.2:80 gate\n", 2),
            ("virtual=10.0.0.1:80\nreal=10.0.0.2:80 gate\n", 2),
            ("nonsense\n", 1),
            ("timeout=5\n", 1),
            ("virtual=10.0.0.1:80\n\treal=10.0.0.2:80\n", 2),
            ("virtual=10.0.0.1:80\n\treal=10.0.0.9->10.0.0.2:80 gate\n", 2),
            ("virtual=10.0.0.1:80\n\treal=0.0.0.0->255.255.255.255:80 gate\n", 2),
        ] {
            assert_eq!(read(text).expect_err(text).list[0].line, line, "{text}");
        }
    }
}
