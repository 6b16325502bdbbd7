//! From the command line to the daemon and back.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use base::control::client::{self, Conversation, Heard, Peer};
use cluster::Command as Order;
use serde_json::{Value, json};

use super::args::{Cli, Command, Common, Switch, Target};
use super::fail::Fail;
use super::paint::Paint;
use super::progress::Progress;
use super::{age, check, convert, director, event, keygen, status, text, tune, watch};
use crate::control::{Answer, Request, Verb};

/// Whom this tool talks to.
const HBD: Peer = Peer {
    daemon: "hbd",
    tool: "hbctl",
    others: "the group named by `group` in [daemon] of hbd.toml (hbd unless changed)",
};
/// How often the line of progress is refreshed while nothing is heard.
const TICK: Duration = Duration::from_millis(500);

/// Does what the command line says.
pub(super) fn run(cli: &Cli) -> Result<(), Fail> {
    let common = &cli.common;
    match &cli.command {
        Command::Status { watch: true } => watch::run(common),
        Command::Status { watch: false } => show_status(common),
        Command::Events { count, follow } => show_events(common, *count, *follow),
        Command::Why { group } => show_why(common, group),
        Command::Tune => show_tune(common),
        Command::Check { file, node } => check::run(common, file, node.as_deref()),
        Command::Keygen { method, output } => keygen::run(common, *method, output.as_deref()),
        Command::Convert { sources, output, only, nodes, force } => {
            let (output, nodes) = (output.as_deref(), nodes.as_deref());
            convert::run(common, &convert::Wanted { sources, output, only: *only, nodes, force: *force })
        }
        Command::Fence { node } => order(common, Verb::Fence { node: node.clone() }),
        Command::Reload => order(common, Verb::Reload),
        Command::Cleanup { target: Some(Target { group, resource: Some(resource) }) } => {
            has_resource(&ask(common, &common.socket(), Verb::Status)?, group, resource)?;
            order(common, Verb::Order { order: cluster_order(&cli.command)? })
        }
        other => order(common, Verb::Order { order: cluster_order(other)? }),
    }
}

/// A group that is there has this resource. Of one that is not, the daemon knows more to say.
fn has_resource(status: &Value, group: &str, resource: &str) -> Result<(), Fail> {
    let named = |list: &'_ Value| list.as_array().cloned().unwrap_or_default();
    let groups = named(&status["groups"]);
    let Some(found) = groups.iter().find(|found| found["name"] == group) else { return Ok(()) };
    let resources = named(&found["resources"]);
    if resources.iter().any(|known| known["name"] == resource) {
        return Ok(());
    }
    let names: Vec<&str> = resources.iter().filter_map(|known| known["name"].as_str()).collect();
    Err(Fail::Refused(format!("there is no resource {resource} in {group}; there are: {}", names.join(", "))))
}

/// The order to the core that a command stands for.
fn cluster_order(command: &Command) -> Result<Order, Fail> {
    Ok(match command {
        Command::Standby { node, force } => Order::Standby { node: node.clone(), force: *force },
        Command::Online { node } => Order::Online { node: node.clone() },
        Command::Move { group, to } => Order::Move { group: group.clone(), to: to.clone() },
        Command::Takeover { groups } => Order::Takeover { groups: groups.clone() },
        Command::Failback { groups } => Order::Failback { groups: groups.clone() },
        Command::Maintenance { switch } => Order::Maintenance { on: *switch == Switch::On },
        Command::Cleanup { target } => {
            Order::Cleanup { group: target.as_ref().map(|target| target.group.clone()) }
        }
        Command::FenceAck { node } => Order::FenceAck { node: node.clone() },
        Command::Diff { node } => Order::Diff { node: node.clone() },
        other => return Err(Fail::Usage(format!("{other:?} is no order to the cluster"))),
    })
}

/// Gives an order and waits for its end, or for its acceptance with `--no-wait`.
fn order(common: &Common, verb: Verb) -> Result<(), Fail> {
    let limit = common.order_timeout();
    let until = Instant::now() + limit;
    let mut conversation =
        Conversation::begin(HBD, &common.socket(), &Request { verb, no_wait: common.no_wait })?;
    let mut progress = Progress::new();
    loop {
        let now = Instant::now();
        if now >= until {
            let last = progress.end();
            let limit = age::show_duration(limit);
            // Without a word it is not known whether the daemon has even read the order.
            let heard = if last.is_empty() {
                ", hbd has said nothing; if it has the order, or wakes to read it, the order goes on"
                    .to_owned()
            } else {
                format!(" (last heard: {last}); the order goes on")
            };
            return Err(Fail::Refused(format!(
                "gave up waiting after {limit}{heard}: see `hbctl status` and `hbctl events`"
            )));
        }
        match conversation.next(Some(until.min(now + TICK)))? {
            Heard::Nothing => progress.tick(),
            Heard::Answer(Answer::Progress { text }) => progress.news(&text),
            Heard::Answer(Answer::Item { .. }) => {}
            Heard::Answer(answer) => {
                drop(progress);
                return conclude(common, answer);
            }
        }
    }
}

/// Says how an order ended.
fn conclude(common: &Common, answer: Answer) -> Result<(), Fail> {
    let mut stdout = io::stdout().lock();
    if common.json {
        let shown = match &answer {
            Answer::Refused { reason } => json!({ "done": false, "reason": reason }),
            Answer::Done { text, data } => json!({ "done": true, "text": text, "data": data }),
            Answer::Progress { .. } | Answer::Item { .. } => Value::Null,
        };
        print_json(&mut stdout, &shown)?;
    }
    match answer {
        Answer::Refused { reason } => Err(Fail::Refused(reason)),
        Answer::Done { text, .. } if !common.json => {
            let shown = if text.trim().is_empty() { "done" } else { text.trim_end() };
            Ok(writeln!(stdout, "{}", text::block(shown))?)
        }
        _ => Ok(()),
    }
}

/// Asks a question that has one answer, and waits for the answer's data.
pub(super) fn ask(common: &Common, socket: &Path, verb: Verb) -> Result<Value, Fail> {
    client::ask(HBD, socket, &Request { verb, no_wait: false }, common.question_timeout())
}

/// Prints `value` as people like to read it.
pub(super) fn print_json(out: &mut impl Write, value: &Value) -> Result<(), Fail> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// The status of the cluster, and with it that of this node's director.
pub(super) fn status_of(common: &Common, socket: &Path) -> Result<Value, Fail> {
    let mut data = ask(common, socket, Verb::Status)?;
    director::add(&mut data);
    Ok(data)
}

fn show_status(common: &Common) -> Result<(), Fail> {
    let data = status_of(common, &common.socket())?;
    let mut stdout = io::stdout().lock();
    if common.json {
        return print_json(&mut stdout, &data);
    }
    let paint = Paint::choose(common.color, &io::stdout());
    let shown = status::render_with(&data, super::paint::columns(), paint);
    Ok(stdout.write_all(shown.as_bytes())?)
}

fn show_events(common: &Common, count: usize, follow: bool) -> Result<(), Fail> {
    let socket = common.socket();
    let limit = common.question_timeout();
    let mut conversation =
        Conversation::begin(HBD, &socket, &Request { verb: Verb::Events { count, follow }, no_wait: false })?;
    let paint = Paint::choose(common.color, &io::stdout());
    let mut stdout = io::stdout().lock();
    loop {
        // Someone who follows waits for news as long as it takes; otherwise each event has its limit.
        let until = if follow { None } else { Some(Instant::now() + limit) };
        match conversation.next(until)? {
            Heard::Nothing => return Err(client::silent(&HBD, &socket, limit)),
            Heard::Answer(Answer::Item { data }) => {
                if common.json {
                    writeln!(stdout, "{data}")?;
                } else {
                    writeln!(stdout, "{}", event::line(&data, paint))?;
                }
                stdout.flush()?;
            }
            Heard::Answer(Answer::Progress { .. }) => {}
            Heard::Answer(Answer::Done { .. }) => return Ok(()),
            Heard::Answer(Answer::Refused { reason }) => return Err(Fail::Refused(reason)),
        }
    }
}

fn show_why(common: &Common, group: &str) -> Result<(), Fail> {
    let data = ask(common, &common.socket(), Verb::Why { group: group.to_owned() })?;
    let mut stdout = io::stdout().lock();
    if common.json {
        return print_json(&mut stdout, &json!({ "group": group, "why": data }));
    }
    let none = Vec::new();
    let width = super::paint::columns();
    for sentence in data.as_array().unwrap_or(&none) {
        let sentence = text::line(sentence.as_str().unwrap_or_default());
        for (number, line) in text::wrap(&sentence, width.saturating_sub(2)).iter().enumerate() {
            writeln!(stdout, "{}{line}", if number == 0 { "" } else { "  " })?;
        }
    }
    Ok(())
}

fn show_tune(common: &Common) -> Result<(), Fail> {
    let data = ask(common, &common.socket(), Verb::Tune)?;
    let mut stdout = io::stdout().lock();
    if common.json {
        return print_json(&mut stdout, &data);
    }
    let paint = Paint::choose(common.color, &io::stdout());
    Ok(stdout.write_all(tune::render(&data, super::paint::columns(), paint).as_bytes())?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn each_order_reaches_the_core_as_it_was_typed() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            ("standby", Order::Standby { node: None, force: false }),
            ("standby b --force", Order::Standby { node: some("b"), force: true }),
            ("online b", Order::Online { node: some("b") }),
            ("move vip", Order::Move { group: "vip".into(), to: None }),
            ("move vip --to b", Order::Move { group: "vip".into(), to: some("b") }),
            ("takeover", Order::Takeover { groups: vec![] }),
            ("takeover vip web", Order::Takeover { groups: vec!["vip".into(), "web".into()] }),
            ("failback vip", Order::Failback { groups: vec!["vip".into()] }),
            ("maintenance on", Order::Maintenance { on: true }),
            ("maintenance off", Order::Maintenance { on: false }),
            ("cleanup", Order::Cleanup { group: None }),
            ("cleanup vip/IPaddr::10.0.0.1/24/eth0", Order::Cleanup { group: some("vip") }),
            ("diff", Order::Diff { node: None }),
            ("diff b", Order::Diff { node: some("b") }),
            ("fence-ack b", Order::FenceAck { node: "b".into() }),
        ];
        for (line, wanted) in cases {
            let cli = Cli::try_parse_from(std::iter::once("hbctl").chain(line.split(' '))).expect(line);
            assert_eq!(cluster_order(&cli.command).expect(line), wanted, "{line}");
        }
    }

    #[test]
    fn a_resource_that_is_not_in_its_group_is_refused() {
        let status = json!({"groups": [{"name": "vip", "resources": [{"name": "nginx"}, {"name": "db"}]}]});
        assert!(has_resource(&status, "vip", "db").is_ok());
        assert!(has_resource(&status, "other", "db").is_ok());
        let Err(Fail::Refused(why)) = has_resource(&status, "vip", "ngnix") else { panic!("it is taken") };
        assert_eq!(why, "there is no resource ngnix in vip; there are: nginx, db");
    }
}
