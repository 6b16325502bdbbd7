//! The first line and what is degraded.

use super::super::paint::Tone;
use super::super::text::{count, line};
use super::{Page, groups};
use base::terminal::look::Look;

/// How it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// All groups run and all that is there to help is ready.
    Ok,
    /// All groups run or are on their way; somebody should look.
    Degraded,
    /// A group does not run.
    Down,
}

/// The line of the verdict, and below it a line for each thing that is not as it should be.
pub(super) fn render(look: Look, page: &mut Page) {
    let mut reasons = reasons(look);
    reasons.extend(super::super::director::reason(look));
    let verdict = judge(look, &reasons);
    let (word, tone) = match verdict {
        Verdict::Ok => ("OK", Tone::Good),
        Verdict::Degraded => ("DEGRADED", Tone::Warn),
        Verdict::Down => ("DOWN", Tone::Bad),
    };
    let head = format!("{}  ", page.paint.tint(tone, word));
    let body = format!("cluster {}: {}", look.text("cluster"), summary(look));
    page.hang(&head, word.len() + 2, Tone::Plain, &body);
    let mark = format!("  {} ", page.paint.tint(tone, "!"));
    for reason in reasons {
        page.hang(&mark, 4, Tone::Plain, &reason);
    }
}

/// The verdict on a daemon's status and the reasons for it, for others that show them.
pub(crate) fn judged(look: Look) -> (Verdict, Vec<String>) {
    let reasons = reasons(look);
    (judge(look, &reasons), reasons)
}

fn judge(look: Look, reasons: &[String]) -> Verdict {
    let states: Vec<_> = look.list("groups").map(|group| groups::Phase::of(&group.text("state"))).collect();
    if states.contains(&groups::Phase::Down) {
        Verdict::Down
    } else if states.contains(&groups::Phase::Changing) || !reasons.is_empty() {
        Verdict::Degraded
    } else {
        Verdict::Ok
    }
}

fn knows_groups(look: Look) -> bool {
    look.0.get("groups").is_some_and(serde_json::Value::is_array)
}

/// `all 2 groups started`, or how many are and what the others do.
fn summary(look: Look) -> String {
    let all: Vec<_> = look.list("groups").collect();
    if !knows_groups(look) {
        return "the groups are unknown".to_owned();
    }
    if all.is_empty() {
        return "no groups configured".to_owned();
    }
    let others: Vec<_> = all.iter().filter(|group| group.text("state") != "started").collect();
    if others.is_empty() {
        return match all.len() {
            1 => format!("group {} started", all[0].text("name")),
            many => format!("all {many} groups started"),
        };
    }
    /// More names than this are no help in one line.
    const NAMED: usize = 4;
    let mut named: Vec<_> = others
        .iter()
        .take(NAMED)
        .map(|group| format!("{} {}", group.text("name"), group.text("state")))
        .collect();
    if others.len() > NAMED {
        named.push(format!("{} more", others.len() - NAMED));
    }
    format!("{} of {} started: {}", all.len() - others.len(), count(all.len(), "group"), named.join(", "))
}

/// The daemon's sentences. What it says nothing about and everybody should know is added, so that there is no
/// DEGRADED without a reason.
fn reasons(look: Look) -> Vec<String> {
    let mut reasons: Vec<String> = look
        .list("degraded")
        .filter_map(|sentence| sentence.0.as_str())
        .map(line)
        .filter(|text| !text.is_empty())
        .collect();
    let mut add = |words: &[&str], sentence: String| {
        // A whole daemon's sentence that speaks of the same matter is the better one.
        if words.is_empty() || !reasons.iter().any(|reason| words.iter().all(|word| mentions(reason, word))) {
            reasons.push(sentence);
        }
    };
    if look.flag("maintenance") {
        add(&["maintenance"], "maintenance is on: nothing is started, stopped or moved".to_owned());
    }
    if !knows_groups(look) {
        add(&[], "the answer of hbd lists no groups: are hbd and hbctl of one version?".to_owned());
    }
    let me = look.text("node");
    match look.maybe("state").as_deref() {
        Some("joining") => {
            add(&["joining"], format!("node {me} is still joining: it waits to hear its peer"))
        }
        Some("leaving") => add(&["leaving"], format!("node {me} is leaving")),
        _ => {}
    }
    if look.flag("standby") {
        add(&[&me, "standby"], format!("node {me} (this one) is in standby: it takes no groups"));
    }
    for node in look.list("nodes") {
        let name = node.text("name");
        match node.text("state").as_str() {
            "up" if node.flag("standby") => {
                add(&[&name, "standby"], format!("node {name} is in standby: it takes no groups"))
            }
            "up" => {}
            "init" => add(&[&name], format!("node {name} has not been heard yet")),
            "left" => add(&[&name], format!("node {name} has left the cluster")),
            state => add(&[&name], format!("node {name} is {state}")),
        }
    }
    reasons
}

/// Whether `word` stands in `sentence` as a word of its own.
fn mentions(sentence: &str, word: &str) -> bool {
    sentence
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .any(|part| part.trim_end_matches('.').eq_ignore_ascii_case(word))
}
