//! The manual against the program: keys, commands, options, defaults and the example must be what the code has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/man").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A line of roff as it is read, as far as these pages use it.
fn plain(line: &str) -> String {
    let request = line.strip_prefix('.').and_then(|line| line.split_once(' '));
    let text = match request {
        Some((name, rest)) if ["BR", "RB", "BI", "IB"].contains(&name) => {
            let mut out = String::new();
            let mut quoted = false;
            for c in rest.chars() {
                match c {
                    '"' => quoted = !quoted,
                    ' ' if !quoted => {}
                    c => out.push(c),
                }
            }
            out
        }
        Some((_, rest)) => rest.replace('"', ""),
        None => line.to_owned(),
    };
    text.replace("\\(dq", "\"").replace("\\fI", "").replace("\\fP", "").replace("\\-", "-").replace("\\&", "")
}

/// The keys of director.toml(5): what has ` = ` in the tag of its entry, by table; those indented below another
/// belong to the table of that name. With each, all that is said of it.
fn documented_keys(page: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let tables = page.split("\n.SH TABLES\n").nth(1).expect("TABLES").split("\n.SH ").next().expect("a part");
    let mut keys: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let (mut place, mut above, mut last) = (String::new(), Vec::new(), String::new());
    let mut lines = tables.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix(".SS ") {
            place = heading.to_owned();
            last.clear();
        } else if line == ".RS" {
            let inner = match last.as_str() {
                "alerts" => "an alert".to_owned(),
                other => format!("'{other}'"),
            };
            above.push(std::mem::replace(&mut place, inner));
        } else if line == ".RE" {
            place = above.pop().expect(".RE without .RS");
        } else if line == ".TP" {
            let tag = plain(lines.next().unwrap_or(""));
            let key = tag.split_once(" = ").unwrap_or_else(|| panic!("no key: {tag}")).0.to_owned();
            let fresh = keys.entry(place.clone()).or_default().insert(key.clone(), String::new());
            assert!(fresh.is_none(), "{key} is there twice in {place}");
            last = key;
        } else if let Some(said) = keys.get_mut(&place).and_then(|keys| keys.get_mut(&last)) {
            said.push_str(&plain(line));
            said.push(' ');
        }
    }
    keys
}

#[test]
fn every_key_of_the_reader_is_in_the_manual_and_no_other() {
    let mut known: BTreeMap<String, BTreeSet<String>> = director::config::known_keys()
        .into_iter()
        .map(|(place, keys)| (place, keys.into_iter().map(str::to_owned).collect()))
        .collect();
    known.remove("the file");
    let documented: BTreeMap<String, BTreeSet<String>> = documented_keys(&page("director.toml.5"))
        .into_iter()
        .map(|(place, keys)| (place, keys.into_keys().collect()))
        .collect();
    assert_eq!(documented, known, "left: director.toml(5), right: the reader");
}

#[test]
fn the_defaults_in_the_manual_are_those_of_the_reader() {
    let text = "[[virtual]]\nname = \"v\"\naddress = \"192.168.1.30:80\"\nforward = \"gue\"\n\
                [[virtual.real]]\naddress = \"10.0.0.1:80\"\n";
    let config =
        director::config::parse(text, Path::new("x.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let (service, show) = (&config.virtuals[0], base::config::duration::show);
    let (real, check) = (&service.reals[0], &service.reals[0].checks[0]);
    let keys = documented_keys(&page("director.toml.5"));
    for (table, key, default) in [
        ("[director]", "interval", show(check.interval)),
        ("[director]", "timeout", show(check.timeout)),
        ("[director]", "fall", check.fall.to_string()),
        ("[director]", "rise", check.rise.to_string()),
        ("[director]", "quiescent", service.quiescent.to_string()),
        ("[director]", "drain", show(config.drain).replace("1m", "60s")),
        ("[director]", "checks_at_once", config.checks_at_once.to_string()),
        ("[director]", "group", config.group.clone()),
        ("[director]", "standby", if config.warm { "\"warm\"" } else { "\"cold\"" }.to_owned()),
        ("[[virtual]]", "scheduler", format!("\"{}\"", service.scheduler)),
        ("[[virtual]]", "quorum", service.quorum.to_string()),
        ("[[virtual]]", "hysteresis", service.hysteresis.to_string()),
        ("[[virtual]]", "never_below", format!("\"{}%\"", service.never_below)),
        ("[[virtual]]", "slow_start", show(service.slow_start)),
        ("[[virtual]]", "tunnel_port", real.forward.to_string().replace("gue:", "")),
        ("[[virtual.real]]", "weight", real.weight.to_string()),
        ("[[virtual.real]]", "upper", real.upper.to_string()),
        ("[[virtual.real]]", "lower", real.lower.to_string()),
    ] {
        let said = &keys[table][key];
        let word = said.split_once("Default ").unwrap_or_else(|| panic!("{key} has no default: {said}")).1;
        let word = word.split_whitespace().next().unwrap_or("").trim_end_matches('.');
        assert_eq!(word, default, "{key} in {table}");
    }
}

#[test]
fn every_type_of_check_is_in_the_manual_and_no_other() {
    let text = page("director.toml.5");
    let part = text.split("\n.SH CHECKS\n").nth(1).expect("CHECKS").split("\n.SH ").next().expect("a part");
    let mut documented = BTreeSet::new();
    for entry in part.split("\n.TP\n").skip(1) {
        let tag = plain(entry.lines().next().unwrap_or(""));
        documented.extend(tag.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned));
    }
    let known: BTreeSet<String> =
        director::check::parse::TYPES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(documented, known, "left: director.toml(5), right: the reader");
}

#[test]
fn the_example_in_the_manual_is_good() {
    let text = page("director.toml.5");
    let example = text.split(".EX\n").nth(1).expect("an example").split(".EE").next().expect("its end");
    let example: String = example.lines().map(|line| line.replace("\\(dq", "\"") + "\n").collect();
    let config = director::config::parse(&example, Path::new("example"))
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.warnings, Vec::<String>::new());
}

fn options(command: &clap::Command) -> BTreeSet<String> {
    let arguments = command.get_arguments().filter(|arg| !arg.is_positional());
    arguments.filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")).collect()
}

#[test]
fn every_command_and_option_is_in_the_manual_and_no_other() {
    let mut command = director::ctl::command_line();
    command.build();
    let text = page("director.8");
    let section = |name: &str| {
        let part = text.split(&format!("\n.SH {name}\n")).nth(1).unwrap_or_else(|| panic!("no {name}"));
        part.split("\n.SH ").next().expect("a part").to_owned()
    };
    let tags = |part: &str| -> Vec<String> {
        part.split("\n.TP\n").skip(1).map(|entry| plain(entry.lines().next().unwrap_or(""))).collect()
    };
    let words = |tag: &str| -> BTreeSet<String> {
        let words = tag.split([' ', ',', '[', ']', '|']);
        words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
    };
    let global = options(&command);
    let documented: BTreeSet<String> =
        tags(&format!("\n{}", section("OPTIONS"))).iter().flat_map(|tag| words(tag)).collect();
    assert_eq!(documented, global, "left: director(8), right: director");
    let commands = tags(&section("COMMANDS"));
    let name = |tag: &str| tag.split_whitespace().next().unwrap_or("").to_owned();
    let documented: BTreeSet<String> = commands.iter().map(|tag| name(tag)).collect();
    let known: BTreeSet<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    assert_eq!(documented, known, "left: director(8), right: director");
    for sub in command.get_subcommands() {
        let tag = commands.iter().find(|tag| name(tag) == sub.get_name()).expect("compared above");
        let own: BTreeSet<String> = options(sub).difference(&global).cloned().collect();
        assert_eq!(words(tag), own, "options of {}; left: director(8), right: director", sub.get_name());
    }
}

/// What the guide for those who come from elsewhere tells them to write must be taken.
#[test]
fn the_migration_guide_writes_what_the_reader_takes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migration-director.md");
    let guide = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let whole = guide.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut tried: Vec<String> = whole.map(str::to_owned).collect();
    assert!(!tried.is_empty());
    let ours = guide.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1));
    for code in ours.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        let (director, service) = match code.split_once(" = ") {
            Some(("sync" | "interval", _)) => (code, ""),
            Some(("check" | "weights" | "quiescent" | "fallback" | "fall" | "rise", _)) => ("", code),
            _ => continue,
        };
        tried.push(format!(
            "[director]\n{director}\n[[virtual]]\nname = \"v\"\naddress = \"10.1.0.1:80\"\n{service}\n\
             [[virtual.real]]\naddress = \"10.0.0.1:80\"\n"
        ));
    }
    assert!(tried.len() > 12, "only {} of the guide's lines were tried", tried.len());
    for text in tried {
        if let Err(problems) = director::config::parse(&text, Path::new("guide.toml")) {
            panic!("{text}\n{problems}");
        }
    }
}
