//! What to do about it, in words and with the command.

use std::fmt::Write;

use base::terminal::look::Look;

use super::{Safe, put};
use crate::ctl::status::Phase;

/// Advice of one kind is given for so many at most.
const MOST: usize = 3;

/// A section with what can be done, if there is anything.
pub(super) fn render(look: Look, out: &mut String) {
    let mut all = String::new();
    groups(look, &mut all);
    nodes(look, &mut all);
    if look.flag("maintenance") {
        item(&mut all, "When the work is done:", "hbctl maintenance off", "");
    }
    if look.flag("standby") {
        item(&mut all, "To have this node take groups again:", "hbctl online", "");
    }
    if !all.is_empty() {
        put!(out, "<section><h2>What to do</h2><ul class=todo>{all}</ul></section>");
    }
}

fn item(all: &mut String, before: &str, command: &str, after: &str) {
    put!(all, "<li>{} <code>{}</code> {}</li>", Safe(before), Safe(command), Safe(after));
}

fn groups(look: Look, all: &mut String) {
    let down = look.list("groups").filter(|group| Phase::of(&group.text("state")) == Phase::Down);
    let commands: Vec<_> = down.take(MOST).map(|group| format!("hbctl why {}", group.text("name"))).collect();
    if let Some((first, more)) = commands.split_first() {
        put!(all, "<li>Why it is not served, rule by rule: <code>{}</code>", Safe(first));
        more.iter().for_each(|command| put!(all, " <code>{}</code>", Safe(command)));
        all.push_str("</li>");
    }
    let failed = |group: &Look| group.list("resources").any(|one| one.number("failures").unwrap_or(0) > 0);
    for group in look.list("groups").filter(failed).take(MOST) {
        let name = group.text("name");
        let before = format!("When the cause of the failures in {name} is mended:");
        item(all, &before, &format!("hbctl cleanup {name}"), "");
    }
}

fn nodes(look: Look, all: &mut String) {
    let waits = |group: Look| group.text("requires") == "fencing" && group.text("state") != "started";
    let fencing = look.list("groups").any(waits);
    for node in look.list("nodes").take(MOST * 2) {
        let name = node.text("name");
        match node.text("state").as_str() {
            "dead" => {
                let before = format!(
                    "See whether {name} is off, or only cut off: its power, its screen, its cables. What happened:"
                );
                item(all, &before, "hbctl events", "");
                if fencing {
                    let before =
                        "What requires fencing waits for proof. Only if you have seen that it is off:";
                    item(all, before, &format!("hbctl fence-ack {name}"), "");
                }
            }
            "left" => item(
                all,
                &format!("hbd was ended on {name}. To have it back, there:"),
                "systemctl start hbd",
                "",
            ),
            "up" => {
                let is_down = |link: &Look| link.text("state") != "up";
                for link in node.list("links").filter(is_down).take(MOST) {
                    let before = format!("{name} is not heard on");
                    let after =
                        "any more: cable, switch or packet filter. Services go on while another link is up.";
                    item(all, &before, &link.text("name"), after);
                }
                if node.flag("standby") {
                    item(
                        all,
                        &format!("To have {name} take groups again:"),
                        &format!("hbctl online {name}"),
                        "",
                    );
                }
            }
            _ => {}
        }
    }
}
