//! The folder `tests/convert`: the files of each folder are one old set-up, and what comes out of it must be what stands
//! beside them: `expected-hbd.toml`, `expected-director.toml` and `expected-remarks` (what is said on standard error), or
//! `expected-mistakes` for `mistakes-*`. `UPDATE_EXPECTED=1` rewrites the expectations; the difference is then the thing to
//! review. What comes out must be taken by the readers of hbd and the director, but in `*-todo`, where something is missing
//! that only a person knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hbd::config::{self, Willing};
use hbd::convert::{self, Converted, Options, Remark, Source, gather};
use proptest::prelude::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/convert")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// The name of a file without its folder.
fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// The old files of a folder, called by their names alone.
fn sources(folder: &Path) -> Vec<Source> {
    let files =
        entries(folder).into_iter().filter(|path| path.is_file() && !name(path).starts_with("expected-"));
    let mut sources =
        gather::gather(&files.collect::<Vec<_>>()).unwrap_or_else(|problems| panic!("{problems}"));
    call_by_name(&mut sources, folder);
    sources
}

fn call_by_name(sources: &mut [Source], folder: &Path) {
    for source in sources {
        let short =
            Path::new(&source.name).strip_prefix(folder).expect("of the folder").display().to_string();
        source.name = short;
        for (_, more) in &mut source.includes {
            call_by_name(more, folder);
        }
    }
}

/// What should stand in the files of expectations.
fn outcome(folder: &Path) -> BTreeMap<&'static str, String> {
    let mut files = BTreeMap::new();
    match convert::convert(&sources(folder), &Options::default()) {
        Ok(converted) => {
            let remarks: Vec<String> = all(&converted).map(|remark| remark.in_one_line() + "\n").collect();
            files.insert("expected-remarks", remarks.concat());
            files.extend(converted.hbd.map(|doc| ("expected-hbd.toml", doc.render())));
            files.extend(converted.director.map(|doc| ("expected-director.toml", doc.render())));
        }
        Err(problems) => {
            files.insert("expected-mistakes", problems.render(false));
        }
    }
    files
}

fn all(converted: &Converted) -> impl Iterator<Item = &Remark> {
    converted.hbd.iter().chain(&converted.director).flat_map(|doc| doc.remarks())
}

#[test]
fn every_set_up_becomes_what_is_expected() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    let folders = entries(&root());
    assert!(folders.len() >= 9, "the folder is nearly empty");
    for folder in folders {
        let outcome = outcome(&folder);
        if outcome.contains_key("expected-mistakes") != name(&folder).starts_with("mistakes-") {
            wrong.push(format!("{}: {outcome:?}", folder.display()));
        }
        let there = entries(&folder).into_iter().filter(|path| name(path).starts_with("expected-"));
        for path in there.filter(|path| !outcome.contains_key(name(path).as_str())) {
            if update {
                std::fs::remove_file(&path).expect("removing an expectation");
            } else {
                wrong.push(format!("{} is no more", path.display()));
            }
        }
        for (file, text) in outcome {
            let path = folder.join(file);
            if update {
                std::fs::write(&path, text).expect("writing an expectation");
            } else if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                wrong.push(format!("{}: not as expected, but:\n{text}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_comes_out_is_taken_by_those_who_read_it() {
    for folder in entries(&root()) {
        let todo = name(&folder).ends_with("-todo");
        for (file, text) in outcome(&folder) {
            let path = folder.join(file);
            let refused = match file {
                "expected-hbd.toml" => read_as_nodes(&text, &path).err(),
                "expected-director.toml" => director::config::parse(&text, &path).err(),
                _ => continue,
            };
            if let Some(problems) = refused.filter(|_| !todo) {
                panic!("{}:\n{text}\n{problems}", path.display());
            }
        }
    }
}

/// Reads `text` as each of its nodes does.
fn read_as_nodes(text: &str, path: &Path) -> Result<Vec<config::Config>, config::Problems> {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let nodes = table["node"].as_array().expect("nodes");
    nodes
        .iter()
        .map(|node| config::parse(text, path, node["name"].as_str().expect("a name"), &Willing))
        .collect()
}

#[test]
fn what_is_missing_is_refused_where_it_is_missing() {
    let text = read(&root().join("heartbeat-ucast-todo/expected-hbd.toml"));
    let problems = read_as_nodes(&text, Path::new("hbd.toml")).expect_err("an address is missing");
    assert!(problems.to_string().contains("FILL-IN"), "{problems}");
}

#[test]
fn no_secret_is_said_and_none_of_the_cluster_is_written() {
    for folder in entries(&root()) {
        for (file, text) in outcome(&folder) {
            // The passwords of checks are part of the director's configuration, as they were of ldirectord's.
            let secret = text.contains("SecretWord") || text.contains("ThisIsTheSecret");
            assert!(!secret || file == "expected-director.toml", "{}/{file}", folder.display());
        }
    }
}

#[test]
fn every_remark_stands_in_its_file() {
    for folder in entries(&root()) {
        let Ok(converted) = convert::convert(&sources(&folder), &Options::default()) else { continue };
        for doc in converted.hbd.iter().chain(&converted.director) {
            let comments: String = doc
                .render()
                .lines()
                .filter_map(|line| line.strip_prefix('#'))
                .map(|line| line.trim().to_owned() + " ")
                .collect();
            for remark in doc.remarks() {
                let words = remark.in_one_line();
                let why = words.rsplit(": ").next().expect("a reason");
                assert!(comments.contains(why), "{}: {why}\n{comments}", folder.display());
            }
        }
    }
}

/// A set-up of a folder, read by hbd as `node`.
fn cluster_of(folder: &str, node: &str) -> config::Config {
    let text = read(&root().join(folder).join("expected-hbd.toml"));
    config::parse(&text, Path::new(folder), node, &Willing).unwrap_or_else(|problems| panic!("{problems}"))
}

fn services_of(folder: &str) -> director::config::model::Config {
    let text = read(&root().join(folder).join("expected-director.toml"));
    director::config::parse(&text, Path::new(folder)).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn heartbeat_and_ldirectord_mean_the_same_as_before() {
    let cluster = cluster_of("heartbeat-ldirectord", "sued");
    let seconds = |time: std::time::Duration| time.as_secs();
    let times = &cluster.cluster;
    assert_eq!((seconds(times.keepalive), seconds(times.deadtime)), (2, 20));
    assert_eq!((seconds(times.warntime), seconds(times.initdead)), (8, 60));
    assert_eq!(cluster.nodes, ["Nord", "sued"]);
    assert_eq!(cluster.groups[0].preferred.as_deref(), Some("Nord"));
    let pings: Vec<_> =
        cluster.pings.iter().flat_map(|ping| &ping.addresses).map(ToString::to_string).collect();
    assert_eq!(pings, ["10.20.0.1"], "the address that moves proves nothing");
    let services = services_of("heartbeat-ldirectord");
    let weights: Vec<_> = services.virtuals[0].reals.iter().map(|real| real.weight).collect();
    assert_eq!(weights, [1, 2]);
    assert!(!services.virtuals[0].quiescent && services.virtuals[1].scheduler == "wlc");
    let check = &services.virtuals[0].reals[0].checks[0];
    assert_eq!((check.fall, check.rise, seconds(check.interval), seconds(check.timeout)), (1, 1, 10, 30));
}

#[test]
fn piranha_means_the_same_as_before() {
    let cluster = cluster_of("piranha-direct", "backup");
    assert_eq!(cluster.links.len(), 2, "the public and the private pair");
    let resources: Vec<_> =
        cluster.groups[0].resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(resources, ["IPaddr::10.30.0.5/24/eth0", "IPaddr::10.30.0.6/24/eth0", "director"]);
    let services = services_of("piranha-direct");
    let sync = services.sync.as_ref().expect("connections are told to the other one");
    assert_eq!((sync.interface.as_str(), sync.id), ("eth2", 5));
    let names: Vec<_> = services.virtuals.iter().map(|one| (one.name.as_str(), one.quiescent)).collect();
    assert_eq!(names, [("mail", true), ("names", false), ("shop", false)]);
    // Three checks of 6 s are the first that are 15 s of being well.
    assert_eq!(services.virtuals[0].reals[0].checks[0].rise, 3);
    let nat = services_of("piranha-nat");
    let forwards: Vec<_> = nat.virtuals[0].reals.iter().map(|real| real.forward.to_string()).collect();
    assert_eq!(forwards, ["masq", "masq"]);
    let together = cluster_of("piranha-nat", "primary").groups.remove(0).resources;
    assert_eq!(
        together.len(),
        3,
        "the address of the router moves with that of the service, and the director"
    );
}

#[test]
fn keepalived_means_the_same_as_before() {
    let simple = cluster_of("keepalived-simple", "other-node");
    assert_eq!(simple.cluster.failback, cluster::settings::Failback::Off, "nopreempt");
    assert_eq!(simple.cluster.keepalive.as_millis(), 200);
    let names = |group: &config::Group| {
        group.resources.iter().map(|resource| resource.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&simple.groups[0]), ["IPaddr::192.168.45.26/24/eth0:1", "systemd:nginx"]);
    let together = cluster_of("keepalived-unicast", "this-node");
    assert_eq!(together.groups.len(), 1, "what is synchronised is one group");
    assert_eq!(together.links.len(), 2);
    let services = services_of("keepalived-full");
    let of = |name: &str| services.virtuals.iter().find(|one| one.name == name).expect("a service");
    let web = of("http");
    assert_eq!((web.quorum, web.hysteresis, web.persistent, web.quiescent), (2, 1, Some(50), false));
    let forwards: Vec<_> = web.reals.iter().map(|real| real.forward.to_string()).collect();
    assert_eq!(forwards, ["gate", "gate", "masq"]);
    let check = &web.reals[1].checks[0];
    assert_eq!((check.port, check.fall, check.interval.as_secs()), (Some(8080), 2, 6));
    assert_eq!(web.reals[0].checks.len(), 2, "each url is a check");
    assert!(of("smtp").reals[2].checks.is_empty(), "without a checker nothing was asked");
    assert_eq!(of("https").reals[0].checks[0].fall, 1, "without retries the first failure counts");
    assert!(of("https").quiescent);
    let pools = services.virtuals.iter().filter(|one| one.name.starts_with("pool")).count();
    assert_eq!(pools, 4, "a range of three, and a mark; of the other family there is no real server");
}

#[test]
fn a_folder_brings_the_files_that_haresources_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    put("ha.cf", "node a b\nbcast eth0\n");
    put("haresources", "a 10.0.0.1 ldirectord::www.cf\n");
    put("www.cf", "virtual=10.0.0.1:80\n\treal=10.0.0.2:80 gate\n");
    put("unrelated.cf", "no such thing\n");
    let sources = gather::gather(&[folder.path().to_owned(), folder.path().join("www.cf")]).expect("good");
    assert_eq!(sources.len(), 3, "each once");
    let converted = convert::convert(&sources, &Options::default()).expect("good");
    assert!(converted.director.is_some());
    assert!(converted.hbd.expect("hbd.toml").render().contains("\"director\""));
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ha.cf");
    let told = |path: &Path| gather::gather(&[path.to_owned()]).expect_err("refused").to_string();
    assert!(told(&path).contains("there is no such file"));
    std::fs::write(&path, b"node a b\ncluster caf\xe9\n").expect("a file");
    assert!(told(&path).contains("ha.cf:2:12") && told(&path).contains("not UTF-8"));
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).expect("a file");
    assert!(told(&path).contains("larger than"));
    let letter = folder.path().join("letter");
    std::fs::write(&letter, "Dear reader,\n").expect("a file");
    assert!(told(&letter).contains("no file of Heartbeat"));
    std::fs::remove_file(&path).expect("it is there");
    assert!(told(folder.path()).contains("no file of an old set-up in this folder"));
    std::fs::write(folder.path().join("keepalived.conf"), "vrrp_instance a {\n}\n").expect("a file");
    assert_eq!(gather::gather(&[folder.path().to_owned()]).expect("one").len(), 1);
    assert!(told(Path::new("/dev/zero")).contains("no regular file"));
}

#[test]
fn two_set_ups_at_once_are_refused() {
    let source = |kind, name: &str, text: &str| Source {
        kind,
        name: name.to_owned(),
        text: text.to_owned(),
        includes: Vec::new(),
    };
    let both = [
        source(convert::Kind::HaCf, "ha.cf", "node a b\nbcast eth0\n"),
        source(convert::Kind::Lvs, "lvs.cf", "primary = 10.0.0.1\n"),
    ];
    let problems = convert::convert(&both, &Options::default()).expect_err("two set-ups");
    assert!(problems.to_string().contains("another set-up"));
    let twice = [both[0].clone(), source(convert::Kind::HaCf, "old/ha.cf", "node c d\nbcast eth0\n")];
    assert!(convert::convert(&twice, &Options::default()).is_err());
}

/// The directives in the first column of the tables under a heading of a guide: the first word of each piece of code.
fn directives(guide: &str, from: &str, to: &str) -> Vec<String> {
    let text = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(guide));
    let part = text.split_once(from).expect("the part").1.split_once(to).expect("its end").0;
    let cells = part.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let codes = cells
        .flat_map(|cell| cell.trim_end_matches('`').split("`, `").map(str::to_owned).collect::<Vec<_>>());
    let words = codes.filter_map(|code| Some(code.split([' ', '`', '=']).next()?.to_owned()));
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect()
}

#[test]
fn what_the_guides_tell_of_is_known() {
    let refused = |kind, text: String| {
        let source = Source { kind, name: "x".to_owned(), text, includes: Vec::new() };
        convert::convert(&[source], &Options::default())
            .err()
            .map(|problems| problems.to_string())
            .unwrap_or_default()
    };
    let ha_cf = directives("migration.md", "### ha.cf", "### haresources");
    assert!(ha_cf.len() > 30, "{ha_cf:?}");
    for directive in ha_cf {
        let said = refused(convert::Kind::HaCf, format!("{directive} 1 2 3\n"));
        assert!(!said.contains("has no directive"), "{said}");
    }
    let values = ["udp", "fwm", "ping", "on", "nat", "tunnel", "uptime", "ruptime", "off", "oracle"];
    for directive in directives("migration-director.md", "## From ldirectord", "In the files of") {
        let said = refused(convert::Kind::Ldirectord, format!("virtual=10.0.0.1:80\n\t{directive} = 1\n"));
        assert!(values.contains(&directive.as_str()) || !said.contains("has no directive"), "{said}");
    }
    for directive in directives("migration-director.md", "## From Piranha", "In Piranha DNS") {
        let places = ["", "virtual a {\n", "virtual a {\nserver b {\n"].map(|open| {
            let close = "}\n".repeat(open.matches('{').count());
            refused(convert::Kind::Lvs, format!("{open}{directive} = 1\n{close}"))
        });
        let block = ["virtual", "server", "failover", "sync"].contains(&directive.as_str());
        let known = places.iter().any(|said| !said.contains("there is no setting"));
        assert!(block || values.contains(&directive.as_str()) || known, "{directive}");
    }
}

/// An old file of the folder with a few bytes changed, taken out or put in.
fn mutated() -> impl Strategy<Value = String> {
    let files = entries(&root()).into_iter().flat_map(|folder| entries(&folder));
    let texts: Vec<String> = files
        .filter(|path| path.is_file() && !name(path).starts_with("expected-"))
        .map(|path| read(&path))
        .collect();
    let bits = prop::sample::select(vec![
        "",
        "\"",
        "{",
        "}",
        "=",
        "\n",
        " ",
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
        "->",
        ":",
        "\\",
        "include x\n",
        "$a",
        "[",
        "]",
        "é",
    ]);
    let changes = prop::collection::vec((0_usize..4000, 0_usize..12, bits), 1..6);
    (prop::sample::select(texts), changes).prop_map(|(text, changes)| base::fuzz::changed(&text, &changes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        hbd::fuzz::convert(text.as_bytes());
    }

    #[test]
    fn any_near_miss_is_answered(text in mutated()) {
        hbd::fuzz::convert(text.as_bytes());
    }
}

#[test]
fn hand_made_nastiness_does_not_panic() {
    for text in [
        "",
        "\0",
        "\u{feff}",
        "=",
        "{",
        "}",
        "\"",
        "virtual",
        "virtual=",
        "virtual {",
        "node",
        "node ,",
        "real=->",
        "\r\n\r\n",
    ] {
        hbd::fuzz::convert(text.as_bytes());
    }
    hbd::fuzz::convert("{".repeat(100_000).as_bytes());
    hbd::fuzz::convert("virtual=1.2.3.4:5\n".repeat(2000).as_bytes());
    hbd::fuzz::convert("a ".repeat(100_000).as_bytes());
    // As much of one thing as fits: none of it may take long.
    let many = |line: &dyn Fn(usize) -> String| (0..3_000).map(line).collect::<String>();
    let began = std::time::Instant::now();
    for text in [
        many(&|n| format!("ping host{n}.example.com\n")),
        many(&|n| format!("virtual=10.{}.{}.1:{n}\n\treal=10.0.0.1:80 masq\n", n / 200, n % 200)),
        many(&|n| format!("virtual a{n} {{\nactive = 1\nwibble{n} = 2\n}}\n")),
        many(&|n| format!("vrrp_instance a{n} {{\ninterface e{n}\nwibble{n}\n}}\n")),
        many(&|n| {
            format!("virtual_server 10.0.0.1 {n} {{\nreal_server 10.0.0.2 {n} {{\nTCP_CHECK {{\n}}\n}}\n}}\n")
        }),
        many(&|n| format!("node{n} 10.{}.{}.1 Delay::{n}\n", n / 200, n % 200)),
    ] {
        hbd::fuzz::convert(text.as_bytes());
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "it took {:?}", began.elapsed());
}
