//! The documents against the programs: keys, commands, options and examples must be what the code has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory;
use hbd::config::{self, Config, Environment, Problems, Program, Unit};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn page(name: &str) -> String {
    read(&root().join("docs/man").join(name))
}

/// The arguments of a roff request: words, or whatever stands in quotes.
fn arguments(text: &str) -> Vec<String> {
    let (mut out, mut quoted) = (vec![String::new()], false);
    for c in text.trim().chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => out.push(String::new()),
            c => out.last_mut().expect("never empty").push(c),
        }
    }
    out
}

/// A line of roff as it is read: no requests, quotes and font changes, and only plain characters.
fn plain(line: &str) -> String {
    let line = match line.strip_prefix('.') {
        Some(request) => {
            let (name, rest) = request.split_once(' ').unwrap_or((request, ""));
            // Those that change the font from argument to argument put nothing between them.
            let between = if ["BR", "RB", "BI", "IB", "IR", "RI"].contains(&name) { "" } else { " " };
            arguments(rest).join(between)
        }
        None => line.to_owned(),
    };
    let mut out = String::new();
    let mut rest = line.as_str();
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (text, length) = match rest.as_bytes() {
            [b'f', ..] => ("", 2),
            [b'(', b'd', b'q', ..] => ("\"", 3),
            [b'(', b'a', b'q', ..] => ("'", 3),
            [b'(', b'b', b'u', ..] => ("*", 3),
            [b'-', ..] => ("-", 1),
            [b'&', ..] => ("", 1),
            [b'"', ..] => ("", rest.len()),
            _ => panic!("an escape this test does not know: \\{rest}"),
        };
        out.push_str(text);
        rest = &rest[length..];
    }
    out + rest
}

/// The part of a page under the heading `.SH name`, as roff.
fn section<'a>(page: &'a str, name: &str) -> &'a str {
    let heading = format!(".SH {name}\n");
    let start = page.find(&heading).unwrap_or_else(|| panic!("no section {name}")) + heading.len();
    let end = page[start..].find("\n.SH ").map_or(page.len(), |end| start + end + 1);
    &page[start..end]
}

/// The entries (`.TP`) of a part of a page: the tag, and with it all up to the next.
fn entries(part: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for entry in format!("\n{part}").split("\n.TP\n").skip(1) {
        let entry = entry.split("\n.SS ").next().unwrap_or(entry);
        let tag = plain(entry.lines().next().unwrap_or(""));
        out.push((tag, entry.lines().map(plain).collect::<Vec<_>>().join("\n")));
    }
    out
}

/// The keys of hbd.toml(5): what has ` = ` in the tag of its entry, by table. Keys that are indented
/// below another belong to the table of that name; keys of links are told apart by the types in brackets.
fn documented_keys(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut place, mut above, mut last) = (String::new(), Vec::new(), String::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix(".SS ") {
            place = heading.to_owned();
        } else if line == ".RS" {
            above.push(std::mem::replace(&mut place, last.clone()));
        } else if line == ".RE" {
            place = above.pop().expect(".RE without .RS");
        } else if line == ".TP" {
            let tag = plain(lines.next().unwrap_or(""));
            let Some((key, value)) = tag.split_once(" = ") else { continue };
            key.clone_into(&mut last);
            if place == "[[link]]" {
                let types = value.rsplit_once('(').and_then(|(_, types)| types.strip_suffix(')'));
                for kind in types.unwrap_or_else(|| panic!("of which types is {key}?")).split(", ") {
                    keys.entry(format!("[[link]] of type {kind}")).or_default().insert(key.to_owned());
                }
            } else {
                let fresh = keys.entry(place.clone()).or_default().insert(key.to_owned());
                assert!(fresh, "{key} is there twice in {place}");
            }
        }
    }
    keys
}

#[test]
fn every_key_of_the_reader_is_in_the_manual_and_no_other() {
    let mut known: BTreeMap<String, BTreeSet<String>> = config::known_keys()
        .into_iter()
        .map(|(place, keys)| (place, keys.into_iter().map(str::to_owned).collect()))
        .collect();
    let text = page("hbd.toml.5");
    for table in known.remove("the file").expect("the tables") {
        let there = [format!("\n.SS [{table}]\n"), format!("\n.SS [[{table}]]\n")];
        assert!(there.iter().any(|heading| text.contains(heading)), "hbd.toml(5) has no [{table}]");
    }
    known.insert("A resource".to_owned(), known["a resource"].clone());
    known.remove("a resource");
    assert_eq!(documented_keys(&text), known, "left: hbd.toml(5), right: the reader");
}

/// The options of a command with their names as they are typed.
fn options(command: &clap::Command) -> Vec<String> {
    let mut out = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        out.extend(arg.get_long().map(|long| format!("--{long}")));
        out.extend(arg.get_short().map(|short| format!("-{short}")));
    }
    out
}

/// The words of a tag that begin with `-`.
fn flags(tag: &str) -> BTreeSet<String> {
    tag.split([' ', ',', '|', '[', ']'])
        .filter(|word| word.starts_with('-') && word.len() > 1)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_and_option_of_hbctl_is_in_its_manual_and_no_other() {
    let mut command = hbd::ctl::command_line();
    command.build();
    let text = page("hbctl.8");
    let documented: BTreeSet<String> =
        entries(section(&text, "OPTIONS")).iter().flat_map(|(tag, _)| flags(tag)).collect();
    let global: BTreeSet<String> = options(&command).into_iter().collect();
    assert_eq!(documented, global, "left: hbctl(8), right: hbctl");

    let commands = entries(section(&text, "COMMANDS"));
    let name = |tag: &str| tag.split_whitespace().next().unwrap_or("").to_owned();
    let documented: BTreeSet<String> = commands.iter().map(|(tag, _)| name(tag)).collect();
    let real: BTreeSet<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    assert_eq!(documented, real, "left: hbctl(8), right: hbctl");
    for sub in command.get_subcommands() {
        let (tag, _) = commands.iter().find(|(tag, _)| name(tag) == sub.get_name()).expect("compared above");
        let own: BTreeSet<String> =
            options(sub).into_iter().filter(|option| !global.contains(option)).collect();
        assert_eq!(flags(tag), own, "options of {}; left: hbctl(8), right: hbctl", sub.get_name());
        for arg in sub.get_positionals().filter(|arg| arg.is_required_set()) {
            let names = arg.get_value_names().expect("a name").iter();
            for word in names.flat_map(|name| name.split('|')).map(str::to_lowercase) {
                assert!(tag.contains(&word), "hbctl(8): {} lacks {word}: {tag}", sub.get_name());
            }
        }
    }
}

#[test]
fn every_option_of_hbd_is_in_its_manual_with_its_default() {
    let mut command = hbd::daemon::args::Args::command();
    command.build();
    let text = page("hbd.8");
    let documented = entries(section(&text, "OPTIONS"));
    let tags: BTreeSet<String> = documented.iter().flat_map(|(tag, _)| flags(tag)).collect();
    assert_eq!(tags, options(&command).into_iter().collect(), "left: hbd(8), right: hbd");
    for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
        let long = format!("--{}", arg.get_long().expect("a long name"));
        let (_, entry) =
            documented.iter().find(|(tag, _)| flags(tag).contains(&long)).expect("compared above");
        for default in arg.get_default_values() {
            let default = default.to_str().expect("UTF-8");
            assert!(entry.contains(default), "hbd(8): the default of {long} is {default}:\n{entry}");
        }
    }
}

/// A machine with the agents of this repository, and whatever else one may have.
struct Machine;

impl Environment for Machine {
    fn program(&self, path: &Path) -> Program {
        let ours = path
            .strip_prefix("/usr/lib/hbd/resource.d")
            .map(|name| root().join("resource-agents").join(name));
        let there = match ours {
            Ok(file) => file.is_file(),
            // Where nobody but the administrator puts anything.
            Err(_) => !path.starts_with("/etc/hbd") && !path.starts_with("/etc/ha.d"),
        };
        if there { Program::Executable } else { Program::Missing }
    }

    fn user_group_exists(&self, name: &str) -> bool {
        name == "hbd"
    }

    fn user_exists(&self, name: &str) -> bool {
        self.user_group_exists(name)
    }

    fn unit(&self, _: &str) -> Unit {
        Unit::Installed
    }
}

/// Everything an example may leave out that is not whole.
const CLUSTER: &str = "[cluster]\nname = \"x\"\n";
const NODES: &str = "[[node]]\nname = \"alpha\"\n[[node]]\nname = \"beta\"\n";
const LINK: &str = "[[link]]\ntype = \"bcast\"\ninterface = \"eth1\"\n";
const GROUP: &str = "[[group]]\nname = \"x\"\nresources = [\"10.99.99.99/24/eth0\"]\n";

/// `example` with what it lacks: a resource gets a group, tables get the tables that must be there.
fn completed(example: &str) -> String {
    let lines: Vec<&str> = example.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let starts = |with: &str| lines.iter().any(|line| line.starts_with(with));
    if lines.first().is_some_and(|line| line.starts_with(['"', '{'])) {
        let commas: Vec<String> =
            lines.iter().map(|line| format!("  {},\n", line.trim_end_matches(','))).collect();
        let group = format!("[[group]]\nname = \"x\"\nresources = [\n{}]\n", commas.concat());
        return format!("{CLUSTER}{NODES}{LINK}{group}");
    }
    let mut text = example.to_owned();
    for (heading, part) in
        [("[cluster]", CLUSTER), ("[[node]]", NODES), ("[[link]]", LINK), ("[[group]]", GROUP)]
    {
        if !starts(heading) {
            text = format!("{text}\n{part}");
        }
    }
    text
}

/// Reads an example as each of its nodes does.
fn parse(example: &str, name: &str) -> Result<Vec<Config>, Problems> {
    let text = completed(example);
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
    let nodes = table["node"].as_array().expect("nodes");
    nodes
        .iter()
        .map(|node| config::parse(&text, Path::new(name), node["name"].as_str().expect("a name"), &Machine))
        .collect()
}

/// The examples of a Markdown text that are marked as TOML, each with the number of its line.
fn toml_of_markdown(text: &str) -> Vec<(usize, String)> {
    let (mut out, mut open) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.trim()) {
            (None, "```toml") => open = Some((number + 1, String::new())),
            (Some(_), "```") => out.extend(open.take()),
            (Some((_, example)), _) => {
                example.push_str(line);
                example.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "an example does not end");
    out
}

#[test]
fn every_example_in_the_documents_is_a_good_configuration() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .expect("the folder docs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        // Those are the director's: director/tests/docs.rs reads them.
        .filter(|path| !path.ends_with("migration-director.md"))
        .collect();
    files.push(root().join("README.md"));
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files.iter().filter(|file| file.exists()) {
        // Those of director.toml are held to the director's reader, by its own tests.
        let directors = |example: &str| example.contains("[director]") || example.contains("[[virtual]]");
        for (line, example) in toml_of_markdown(&read(file)) {
            if directors(&example) {
                continue;
            }
            let name = format!("{}:{line}", file.file_name().expect("a name").to_string_lossy());
            seen += 1;
            if let Err(problems) = parse(&example, &name) {
                wrong.push(format!("{name}: {problems}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 10, "only {seen} examples were found");
}

#[test]
fn every_example_in_the_manual_is_a_good_configuration_without_a_warning() {
    let text = page("hbd.toml.5");
    let examples: Vec<String> = section(&text, "EXAMPLE")
        .split(".EX\n")
        .skip(1)
        .map(|rest| rest.split(".EE").next().unwrap_or(rest).lines().map(|line| plain(line) + "\n").collect())
        .collect();
    assert_eq!(examples.len(), 2);
    for (number, example) in examples.iter().enumerate() {
        let name = format!("example {}", number + 1);
        assert!(example.starts_with("[cluster]"), "{name} is whole");
        let nodes = parse(example, &name).unwrap_or_else(|problems| panic!("{problems}"));
        for config in &nodes {
            assert_eq!(config.warnings, Vec::<String>::new(), "{name}");
            assert_eq!(config.digest, nodes[0].digest, "{name}: the same on both nodes");
        }
    }
}

/// The default that the manual gives for a key of a table: the word after "Default".
fn documented_default(page: &str, table: &str, key: &str) -> String {
    let heading = format!("\n.SS {table}\n");
    let at = page.find(&heading).unwrap_or_else(|| panic!("no {table}")) + heading.len();
    let part = page[at..].split("\n.SS ").next().unwrap_or("");
    let found = entries(part).into_iter().find(|(tag, _)| tag.split(" = ").next() == Some(key));
    let (_, entry) = found.unwrap_or_else(|| panic!("no {key} in {table}"));
    let after = entry.split_once("Default").unwrap_or_else(|| panic!("{key} has no default: {entry}")).1;
    let word = after.split_whitespace().next().unwrap_or("");
    word.trim_end_matches(['.', ',', ';']).to_owned()
}

#[test]
fn the_defaults_in_the_manual_are_those_of_the_reader() {
    let all = format!(
        "{LINK}[[fence]]\nnode = \"alpha\"\nagent = \"fence_ipmilan\"\n[watchdog]\n\
         [witness]\ntype = \"etcd\"\nendpoints = [\"http://10.0.0.9:2379\"]\n{GROUP}"
    );
    let config = &parse(&all, "defaults").unwrap_or_else(|problems| panic!("{problems}"))[0];
    let text = page("hbd.toml.5");
    let resource = &config.groups[0].resources[0];
    let (fence, cluster) = (&config.fences[0], &config.cluster);
    for (table, key, default) in [
        ("[cluster]", "keepalive", cluster.keepalive),
        ("[cluster]", "deadtime", cluster.deadtime),
        ("[[fence]]", "timeout", fence.timeout),
        ("[[fence]]", "delay", fence.delay),
        ("[witness]", "ttl", config.witness.as_ref().expect("a witness").ttl),
        ("[watchdog]", "timeout", config.watchdog.as_ref().expect("a watchdog").timeout),
        ("A resource", "start_timeout", resource.start_timeout),
        ("A resource", "stop_timeout", resource.stop_timeout),
        ("A resource", "monitor_timeout", resource.monitor_timeout),
        ("A resource", "failure_window", resource.failure_window),
    ] {
        let says = documented_default(&text, table, key);
        assert_eq!(config::duration::parse(&says), Ok(default), "{key} in {table}: {says}");
    }
    let config::LinkKind::Bcast { port, .. } = config.links[0].kind else { panic!("a broadcast link") };
    for (table, key, default) in [
        ("[[link]]", "port", port.to_string()),
        ("A resource", "restarts", resource.restarts.to_string()),
        ("[cluster]", "authkeys", cluster.authkeys.display().to_string()),
        ("[daemon]", "group", config.daemon.group.clone().expect("the machine has it")),
        ("[daemon]", "realtime", config.daemon.realtime.to_string()),
    ] {
        assert_eq!(documented_default(&text, table, key), default, "{key} in {table}");
    }
    assert_eq!((cluster.warntime, cluster.initdead), (cluster.deadtime / 2, cluster.deadtime * 2));
    let folders: Vec<String> =
        config.daemon.agent_path.iter().map(|folder| folder.display().to_string()).collect();
    let listed =
        entries(&text).into_iter().find(|(tag, _)| tag.starts_with("agent_path")).expect("agent_path").1;
    assert!(listed.contains(&folders.join(", ")), "{listed}");
}

/// A page that groff complains of looks wrong somewhere. Where there is no groff, nobody can tell.
#[test]
fn every_page_is_sound_for_groff() {
    let mut pages = 0;
    for entry in std::fs::read_dir(root().join("docs/man")).expect("the folder docs/man") {
        let path = entry.expect("an entry").path();
        let groff =
            Command::new("groff").args(["-man", "-ww", "-Tutf8"]).arg(&path).stdin(Stdio::null()).output();
        match groff {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("not looked at: there is no groff here");
                return;
            }
            Err(error) => panic!("groff: {error}"),
            Ok(output) => {
                let complaints = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", path.display());
                pages += 1;
            }
        }
    }
    assert!(pages >= 4, "only {pages} pages");
}
