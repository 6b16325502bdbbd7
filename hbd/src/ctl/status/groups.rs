//! The groups and their resources.

use super::super::age;
use super::super::paint::Tone;
use super::super::text::count;
use super::{Page, widest};
use base::terminal::look::Look;

/// With more resources than this, those that are well are only counted.
const LISTED: usize = 24;

/// What a group's state means to the people it serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It runs.
    Running,
    /// It will soon, or is about to move.
    Changing,
    /// It does not.
    Down,
}

impl Phase {
    /// Of the group state `state`; what is not known counts as down.
    pub(crate) fn of(state: &str) -> Phase {
        match state {
            "started" => Phase::Running,
            "starting" | "stopping" => Phase::Changing,
            _ => Phase::Down,
        }
    }

    fn tone(self) -> Tone {
        match self {
            Phase::Running => Tone::Good,
            Phase::Changing => Tone::Warn,
            Phase::Down => Tone::Bad,
        }
    }

    /// The colour of a resource's state on this node: being stopped is nothing bad in itself.
    fn tone_here(self) -> Tone {
        if self == Phase::Down { Tone::Plain } else { self.tone() }
    }
}

/// All groups.
pub(super) fn render(look: Look, page: &mut Page) {
    let groups: Vec<_> = look.list("groups").map(|group| (group.text("name"), group)).collect();
    if groups.is_empty() {
        return;
    }
    page.heading("Groups");
    let names = widest(groups.iter().map(|(name, _)| name.as_str()), 30);
    let places: Vec<_> = groups.iter().map(|(_, group)| place(*group)).collect();
    let place_width = widest(places.iter().map(String::as_str), 40);
    for ((name, group), place) in groups.iter().zip(&places) {
        let phase = Phase::of(&group.text("state"));
        let head = format!(
            "  {}  {}  ",
            page.cell(Tone::Head, name, names),
            page.cell(phase.tone(), place, place_width)
        );
        let width = 6 + names.max(name.chars().count()) + place_width.max(place.chars().count());
        page.hang(&head, width, Tone::Plain, &details(*group));
        let indent = names + 4;
        if phase != Phase::Running
            && let Some(why) = group.maybe("why")
        {
            page.hang(&format!("{:indent$}why: ", ""), indent + 5, Tone::Plain, &why);
        }
        let elsewhere =
            group.maybe("owner").is_some_and(|owner| look.maybe("node").is_some_and(|me| me != owner));
        resources(page, indent, *group, elsewhere);
    }
}

/// `started on a`.
fn place(group: Look) -> String {
    match group.maybe("owner") {
        Some(owner) => format!("{} on {owner}", group.text("state")),
        None => group.text("state"),
    }
}

fn details(group: Look) -> String {
    let mut said = Vec::new();
    said.extend(group.number("epoch").map(|epoch| format!("epoch {epoch}")));
    said.extend(group.number("since_ms").map(|ms| format!("for {}", age::show(ms))));
    said.extend(group.maybe("preferred").map(|node| format!("prefers {node}")));
    said.extend(
        group.maybe("requires").filter(|what| what != "nothing").map(|what| format!("requires {what}")),
    );
    said.join(", ")
}

/// Whether there is nothing to say about a resource but that it is there.
fn is_well(resource: Look, usual: &str) -> bool {
    resource.text("state") == usual
        && resource.number("failures").unwrap_or(0) == 0
        && resource.maybe("last_error").is_none()
}

/// The tree below a group. Where the group is `elsewhere`, the states are the owner's unless they differ from the
/// group's: then they are this node's, and that is said.
fn resources(page: &mut Page, indent: usize, group: Look, elsewhere: bool) {
    let all: Vec<_> = group.list("resources").collect();
    // On the node that does not have the group "stopped" is as well as "started" on the other.
    let usual = if all.iter().any(|one| one.text("state") == "started") { "started" } else { "stopped" };
    let shown: Vec<_> = all.iter().filter(|one| all.len() <= LISTED || !is_well(**one, usual)).collect();
    let folded = all.len() - shown.len();
    // The owner's state is said as it is; what differs from the group's is this node's.
    let group_state = group.text("state");
    let with_place = |state: String| if elsewhere && state != group_state { state + " here" } else { state };
    let states: Vec<_> = shown.iter().map(|one| with_place(one.text("state"))).collect();
    let folded_state = with_place(usual.to_owned());
    let mut state_width = widest(states.iter().map(String::as_str), 13);
    if folded > 0 {
        state_width = state_width.max(folded_state.len());
    }
    for (number, (resource, state)) in shown.iter().zip(&states).enumerate() {
        let last = number + 1 == shown.len() && folded == 0;
        one(page, indent, last, (state, state_width), **resource);
    }
    if folded > 0 {
        let word = page.cell(Phase::of(usual).tone_here(), &folded_state, state_width);
        let which = if shown.is_empty() { "all" } else { "the other" };
        page.line(&format!("{:indent$}`- {word}  {which} {folded} resources (--json lists them)", ""));
    }
}

fn one(page: &mut Page, indent: usize, last: bool, (state, state_width): (&str, usize), resource: Look) {
    let tone = match state.trim_end_matches(" here") {
        "failed" => Tone::Bad,
        "unknown" => Tone::Warn,
        other => Phase::of(other).tone_here(),
    };
    let twig = if last { "`-" } else { "|-" };
    let failures = match resource.number("failures") {
        Some(number) if number > 0 => {
            let said = count(usize::try_from(number).unwrap_or(usize::MAX), "failure");
            format!("  {}", page.paint.tint(Tone::Warn, said))
        }
        _ => String::new(),
    };
    let word = page.cell(tone, state, state_width);
    page.line(&format!("{:indent$}{twig} {word}  {}{failures}", "", resource.text("name")));
    if let Some(error) = resource.maybe("last_error") {
        let bar = if last { "  " } else { "| " };
        let column = indent + 3 + state_width + 2;
        let fill = column - indent - 2;
        // Each line of it keeps the trunk of the tree.
        let head = format!("{:indent$}{bar}{:fill$}", "", "");
        for part in super::super::text::wrap(&error, page.width.saturating_sub(column)) {
            let part = page.paint.tint(Tone::Warn, part);
            page.line(&format!("{head}{part}"));
        }
    }
}
