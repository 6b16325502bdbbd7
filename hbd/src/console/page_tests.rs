//! The page of each sample of `hbctl status`.

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;

/// The digest of what stands between `<tag>` and `</tag>`, as a policy names it.
fn digest(tag: &str) -> String {
    let after = FRAME.split_once(&format!("<{tag}>")).expect("the tag").1;
    let inner = after.split_once(&format!("</{tag}>")).expect("its end").0;
    format!("{tag}-src 'sha256-{}'", base::base64::encode(&Sha256::digest(inner)))
}

#[test]
fn the_policy_names_the_style_and_the_script_of_the_page() {
    for tag in ["style", "script"] {
        assert!(POLICY.contains(&digest(tag)), "POLICY lacks {}", digest(tag));
    }
    assert!(FRAME.len() < 16 << 10, "{} bytes", FRAME.len());
    for way_out in ["http:", "https:", "//", "url(", "@import", "style=", "onclick"] {
        assert!(!FRAME.contains(way_out), "the page is to be whole: {way_out}");
    }
}

fn samples() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let status = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), status)
        })
        .collect()
}

/// Whether each element that is opened is closed, in order.
fn assert_whole(page: &str, name: &str) {
    let main = &page[page.find("<main").unwrap()..page.find("<script").unwrap()];
    let mut open = Vec::new();
    for tag in main.split('<').skip(1) {
        let inner = tag.split('>').next().unwrap();
        let word = inner.trim_start_matches('/').split([' ', '>']).next().unwrap();
        if inner.starts_with('/') {
            assert_eq!(open.pop(), Some(word), "{name}");
        } else {
            open.push(word);
        }
    }
    assert!(open.is_empty(), "{name}: {open:?}");
}

#[test]
fn every_sample_has_a_whole_page() {
    let all = samples();
    assert!(all.len() > 10);
    for (name, status) in all {
        let page = render(&status, &[]);
        assert_whole(&page, &name);
        for sentence in status["degraded"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let text = Safe(&base::terminal::text::line(sentence)).to_string();
            assert!(page.contains(&text), "{name}: {sentence}");
        }
    }
    assert_whole(&render(&Value::Null, &[Value::Null]), "nothing");
    assert_whole(&silent("it <hangs>"), "silent");
}

#[test]
fn the_first_lines_say_who_serves_and_what_is_wrong() {
    let group = |name: &str, state: &str, owner: Option<&str>| json!({"name": name, "state": state, "owner": owner, "since_ms": 7_260_000, "requires": "fencing"});
    let status = json!({"cluster": "lvs", "node": "a", "state": "up", "degraded": ["node b is dead: silent for 5s"],
        "nodes": [{"name": "b", "state": "dead", "last_heard_ms": 5000, "links": []}],
        "groups": [group("vip", "started", Some("a")), group("web", "started", Some("a")), group("db", "blocked", None)]});
    let page = render(&status, &[]);
    let head = &page[page.find("<main").unwrap()..page.find("<h2>Nodes").unwrap()];
    for part in [
        "verdict bad",
        "<title>DOWN lvs</title>",
        "<span>Nobody serves db <small>blocked for 2h 1m</small></span>",
        "<span>a serves vip and web <small>for 2h 1m</small></span>",
        "<li>node b is dead: silent for 5s</li>",
        "<code>hbctl why db</code>",
        "<code>hbctl fence-ack b</code>",
    ] {
        assert!(head.contains(part) || page.contains(part) && part.contains("title"), "{part}\n{head}");
    }
}

#[test]
fn nothing_that_others_wrote_gets_out_of_its_place() {
    const EVIL: &str = "</main><script>alert(1)</script>\"'&";
    let status = json!({"cluster": EVIL, "node": EVIL, "state": EVIL, "version": EVIL, "degraded": [EVIL],
        "maintenance": true, "standby": true, "witness": {"state": EVIL, "error": EVIL},
        "ping": [{"name": EVIL, "up": true}], "fence_devices": [{"node": EVIL, "agent": EVIL, "ok": false}],
        "nodes": [{"name": EVIL, "state": EVIL, "links": [{"name": EVIL, "state": EVIL}]},
                  {"name": EVIL, "state": "dead"}, {"name": EVIL, "state": "left"},
                  {"name": EVIL, "state": "up", "standby": true, "links": [{"name": EVIL, "state": "down"}]}],
        "groups": [{"name": EVIL, "state": EVIL, "owner": EVIL, "preferred": EVIL, "requires": EVIL, "why": EVIL,
                    "resources": [{"name": EVIL, "state": EVIL, "failures": 2, "last_error": EVIL}]},
                   {"name": EVIL, "state": "started", "owner": EVIL}]});
    let event = json!({"level": EVIL, "time": EVIL, "subject": EVIL, "from": EVIL, "to": EVIL, "why": EVIL});
    let page = render(&status, &[event]);
    assert_eq!(
        page.matches("alert(1)").count(),
        page.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;").count()
    );
    assert_eq!(page.matches("<script").count(), 1);
    assert_whole(&page, "evil");
}
