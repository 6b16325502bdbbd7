//! The folder `tests/configs`: each `NAME.toml` is read, and what comes out must be what
//! `NAME.expected` says: the mistakes as they are shown, or for `good-*.toml` the configuration.
//! `UPDATE_EXPECTED=1` rewrites the expectations; the difference is then the thing to review.
//!
//! A first line `# node: NAME` says which machine reads the file; else it is `midas`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hbd::config::{self, Config, Environment, Problems, Program, Unit};
use proptest::prelude::*;

/// A machine with a handful of agents, the same on every computer that runs the tests.
struct Machine;

const PROGRAMS: [&str; 9] = [
    "/usr/lib/hbd/resource.d/director",
    "/etc/ha.d/resource.d/apache",
    "/usr/lib/hbd/resource.d/Filesystem",
    "/usr/lib/hbd/resource.d/MailTo",
    "/opt/agents/special",
    "/etc/init.d/nginx",
    "/usr/lib/ocf/resource.d/heartbeat/Filesystem",
    "/usr/lib/ocf/resource.d/heartbeat/Dummy",
    "/usr/sbin/fence_ipmilan",
];

const NOT_EXECUTABLE: [&str; 4] = [
    "/etc/ha.d/resource.d/forgotten",
    "/etc/init.d/forgotten-lsb",
    "/usr/lib/ocf/resource.d/heartbeat/forgotten",
    "/usr/sbin/fence_forgotten",
];

impl Environment for Machine {
    fn program(&self, path: &Path) -> Program {
        let is = |list: &[&str]| list.iter().any(|other| Path::new(other) == path);
        match (is(&PROGRAMS), is(&NOT_EXECUTABLE)) {
            (true, _) => Program::Executable,
            (_, true) => Program::NotExecutable,
            _ => Program::Missing,
        }
    }

    fn user_group_exists(&self, name: &str) -> bool {
        name == "hbd"
    }

    fn user_exists(&self, name: &str) -> bool {
        self.user_group_exists(name)
    }

    fn unit(&self, unit: &str) -> Unit {
        match unit {
            "nginx.service" | "getty@tty1.service" => Unit::Installed,
            "elsewhere.service" => Unit::NoSystemd,
            _ => Unit::Missing,
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/configs")
}

/// The files of the folder that end in `.toml`, by name.
fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("the folder tests/configs");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads `text` as the machine named in its first line does.
fn parse(text: &str, name: &str) -> Result<Config, Problems> {
    let node = text.lines().next().and_then(|line| line.strip_prefix("# node: ")).unwrap_or("midas");
    config::parse(text, Path::new(name), node, &Machine)
}

#[test]
fn every_file_says_what_is_expected() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    for path in files() {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let result = parse(&read(&path), &name);
        let good = name.starts_with("good-");
        let seen = match (&result, good) {
            (Ok(config), true) => format!("{config:#?}\n"),
            (Err(problems), false) => problems.render(false),
            (Ok(_), false) => {
                wrong.push(format!("{name}: read without a complaint"));
                continue;
            }
            (Err(problems), true) => {
                wrong.push(format!("{name}: refused:\n{problems}"));
                continue;
            }
        };
        let expected = path.with_extension("expected");
        if update {
            std::fs::write(&expected, &seen).expect("writing an expectation");
        } else if !expected.exists() {
            wrong.push(format!(
                "{name}: there is no {}; run again with UPDATE_EXPECTED=1 and review it",
                expected.display()
            ));
        } else if read(&expected) != seen {
            wrong.push(format!("{name}: not as expected, but:\n{seen}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_an_expectation_for_nothing_else() {
    let names: BTreeSet<PathBuf> = files().iter().map(|path| path.with_extension("expected")).collect();
    assert!(names.len() > 60, "the folder is nearly empty");
    for entry in std::fs::read_dir(folder()).expect("the folder tests/configs") {
        let path = entry.expect("an entry").path();
        let ok = path.extension().is_some_and(|end| end == "toml") || names.contains(&path);
        assert!(ok, "{} belongs to nothing", path.display());
    }
}

#[test]
fn every_mistake_has_a_place_and_advice() {
    for path in files() {
        let name = path.display().to_string();
        let Err(problems) = parse(&read(&path), &name) else {
            continue;
        };
        for problem in problems.list {
            assert!(problem.line > 0 && problem.column > 0, "{name}: {problem:?}");
            assert!(problem.help.as_ref().is_some_and(|help| !help.is_empty()), "{name}: {problem:?}");
        }
    }
}

#[test]
fn the_shipped_example_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/hbd.toml");
    for node in ["alpha", "beta"] {
        let config = config::parse(&read(&path), &path, node, &Machine)
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.me, node);
        assert_eq!(config.warnings, Vec::<String>::new());
        assert!(config.links.len() >= 2, "one link is a single point of failure");
    }
}

#[test]
fn fence_options_are_texts_and_never_shown() {
    let text = read(&folder().join("good-full.toml"));
    let config = parse(&text, "good-full.toml").unwrap_or_else(|problems| panic!("{problems}"));
    let fence = &config.fences[0];
    let options: Vec<(&str, &str)> =
        fence.options.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(options, [("ip", "10.9.0.1"), ("lanplus", "true"), ("port", "623"), ("username", "admin")]);
    assert!(!format!("{fence:?}").contains("10.9.0.1"), "there are passwords among them");
}

/// An older version makes the same of the same file (these are the digests of November 2026, commit 65d1a9e), so that two nodes
/// of which one is upgraded do not complain of each other.
#[test]
fn what_says_nothing_new_has_the_digest_it_always_had() {
    for (name, digest) in [
        ("good-smallest.toml", 11806207222945413423),
        ("good-serial-just-fits.toml", 2684086337600634508),
        ("good-warnings.toml", 9555952694818469572),
        ("good-host-names.toml", 11806207222945413423),
    ] {
        let config = parse(&read(&folder().join(name)), name).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.digest, digest, "{name}");
    }
}

/// What both nodes make of the same file must have the same digest.
#[test]
fn the_digest_is_of_the_cluster_not_of_the_node_or_the_layout() {
    let text = read(&folder().join("good-full.toml"));
    let digest = |text: &str, node: &str| {
        config::parse(text, Path::new("x.toml"), node, &Machine)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .digest
    };
    let here = digest(&text, "midas");
    assert_eq!(here, digest(&text, "estepe"));
    assert_eq!(here, digest(&format!("# a comment\n\n{}", text.replace(" = ", "  =  ")), "midas"));
    assert_eq!(here, digest(&text.replace("port = 695", "port = 696"), "midas"), "links may differ");
    for (from, to) in [
        ("deadtime = \"2s\"", "deadtime = \"2.5s\""),
        ("/24/eth0\"", "/25/eth0\""),
        ("preferred = \"midas\"", "preferred = \"estepe\""),
    ] {
        assert!(text.contains(from), "{from}");
        assert_ne!(here, digest(&text.replacen(from, to, 1), "midas"), "{from}");
    }
}

#[test]
fn problems_are_json_for_scripts() {
    let problems =
        config::parse("[cluster]\nname = \"x\"\nkeepaliv = \"1s\"\n", Path::new("x.toml"), "midas", &Machine)
            .unwrap_err();
    let json = serde_json::to_value(&problems).unwrap();
    let unknown =
        json.as_array().unwrap().iter().find(|problem| problem["line"] == 3).expect("one on line 3");
    assert_eq!(unknown["file"], "x.toml");
    assert_eq!(unknown["column"], 1);
    assert_eq!(unknown["severity"], "error");
    assert_eq!(unknown["message"], "unknown key 'keepaliv' in [cluster]");
    assert_eq!(unknown["help"], "did you mean 'keepalive'?");
}

#[test]
fn hand_made_nastiness_does_not_panic() {
    for text in [
        "",
        "\0",
        "\u{feff}",
        "=",
        "[",
        "[[",
        "a.b.c = {",
        "[cluster]\n[cluster]",
        "[[node]]\n[node]",
        "node = [1, {}, []]",
        "link = [{ type = \"ucast\", addresses = [] }]",
        "cluster = 1\nnode = 2\nlink = 3\ngroup = 4\nping = 5\nfence = 6\nwitness = 7\nwatchdog = 8\ndaemon = 9\nconsole = 10",
        "[cluster]\nname = \"\"\"\nü\n\"\"\"",
        "[cluster]\nkeepalive = \"99999999999999999999s\"",
        "[cluster]\nkeepalive = \"0.0000000000000001h\"",
        "[[group]]\nresources = [\"::\", \"IPaddr::\", \"IPaddr::::\", \"ocf:\", \"ocf::\", \"systemd:\", \"lsb:\", \":\", \"/\", \"..\"]",
        "[cluster]\r\nname = 'a\tb'\r\nünïcode = \"ü\"\r\n",
    ] {
        hbd::fuzz::config(text.as_bytes());
    }
    hbd::fuzz::config("[".repeat(100_000).as_bytes());
    hbd::fuzz::config(format!("a = {}", "[".repeat(100_000)).as_bytes());
    hbd::fuzz::config(format!("[[node]]\nname = \"{}\"", "x".repeat(100_000)).as_bytes());
}

/// A good file with a few bytes changed, taken out or put in.
fn mutated() -> impl Strategy<Value = String> {
    let text = read(&folder().join("good-full.toml"));
    let length = text.len();
    let bits = prop::sample::select(vec![
        "",
        "\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "-1",
        "0",
        "x",
        "::",
        "/",
        "ü",
        "\t",
        "99999999999",
        "#",
        ",",
        ".",
        "[[group]]\n",
    ]);
    prop::collection::vec((0..length, 0_usize..12, bits), 1..6)
        .prop_map(move |changes| base::fuzz::changed(&text, &changes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        hbd::fuzz::config(text.as_bytes());
    }

    #[test]
    fn any_near_miss_is_answered(text in mutated()) {
        hbd::fuzz::config(text.as_bytes());
    }

    #[test]
    fn any_agent_and_address_is_answered(spelling in "[a-zA-Z0-9:/.]{0,40}") {
        hbd::fuzz::config(format!("[[group]]\nname = \"g\"\nresources = [\"{spelling}\"]\n").as_bytes());
    }
}

#[test]
fn heartbeats_too_long_for_one_packet_are_said_to_be() {
    let with = |groups: usize| {
        let mut text = String::from(
            "[cluster]\nname = \"lvs\"\n[[node]]\nname = \"midas\"\n[[node]]\nname = \"estepe\"\n\
             [[link]]\ntype = \"bcast\"\ninterface = \"eth1\"\n",
        );
        for n in 0..groups {
            text.push_str(&format!(
                "[[group]]\nname = \"g{n}\"\nresources = [\"IPaddr::10.3.{}.{}/16/eth0\"]\n",
                n / 200,
                n % 200 + 1
            ));
        }
        config::parse(&text, Path::new("many.toml"), "midas", &Machine).expect("good").warnings
    };
    assert_eq!(with(100), Vec::<String>::new());
    let warnings = with(120);
    assert!(
        warnings.len() == 1 && warnings[0].contains("more than an Ethernet packet holds"),
        "{warnings:?}"
    );
}
