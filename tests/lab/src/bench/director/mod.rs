//! `lab bench director`: the director beside Debian's ldirectord and keepalived, one after the other on the same ground,
//! in a machine with IPVS (scripts/bench starts one).
//!
//! ```text
//! ground    two network namespaces: the director's machine, and one that is all the real servers
//! servers   the real servers: when one gave its first bad or good answer, and how often they were asked
//! watch     the kernel's table, read again and again
//! product   what differs between the three: files and command lines; all processes of one in a control group
//! parts     reaction, load (1,000 real servers), transitions, reload (10,000)
//! ```

mod ground;
mod parts;
mod product;
mod servers;
mod watch;

use std::path::PathBuf;

use super::record::Record;
use super::table::{Goal, Measure, Sheet};
use crate::Result;
use ground::Ground;

/// What to measure and where to put it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Samples of each reaction.
    pub runs: u32,
    /// Products to measure; empty: all that are installed.
    pub only: Vec<String>,
    /// Parts to measure (`reaction`, `load`, `transitions`, `reload`); empty: all.
    pub parts: Vec<String>,
    /// The folder for `director.csv`, `director.svg` and `director.txt`.
    pub out: PathBuf,
}

/// The parts in the order they are run.
pub const PARTS: [&str; 4] = ["reaction", "load", "transitions", "reload"];

/// The sheet of this bench.
pub const SHEET: Sheet = Sheet {
    name: "director",
    measures: &MEASURES,
    peers: [("keepalived", "#c2571a"), ("ldirectord", "#6b6b6b")],
    panels: &["killed-out", "killed-in", "bad-out", "good-in", "transition", "reload"],
};

const MEASURES: [Measure; 12] = [
    Measure::plain("killed-out", "a real server is killed: until it has left the table", "ms"),
    Measure::plain("killed-in", "   it serves again: until it is back", "ms"),
    Measure {
        goal: Goal::AtMost(5.0),
        ..Measure::plain("bad-out", "it answers badly: from that answer to its removal", "ms")
    },
    Measure::plain("good-in", "   from the first good answer to its return", "ms"),
    Measure::plain("rate", "1,000 real servers: asked", "1/s"),
    Measure::plain("check", "   processor time of one check", "us"),
    Measure::plain("share", "   of one processor", "%"),
    Measure::plain("memory", "   memory (Pss)", "MB"),
    Measure::plain("transition", "50 real servers go and come: processor, of each change", "us"),
    Measure::plain("reload", "10,000 real servers get another weight: all in the table", "ms"),
    Measure::plain("reload-cpu", "   processor time of that", "ms"),
    Measure::plain("reload-memory", "   memory (Pss) with 10,000", "MB"),
];

/// Measures, prints the table and writes the files. What cannot be measured is told and left out.
///
/// # Errors
/// There can be no ground here, there is nothing to measure, or a file cannot be written.
pub fn run(options: &Options) -> Result<()> {
    super::check(options.runs, &options.parts, &PARTS)?;
    let products = product::installed(&options.only)?;
    super::folder(&options.out)?;
    let ground = Ground::new()?;
    let mut record = Record::default();
    super::each_part(
        &PARTS,
        &options.parts,
        &products,
        |p| p.name(),
        &mut record,
        |part, product, record| parts::measure(part, &ground, *product, options.runs, record),
    );
    let names: Vec<_> = products.iter().map(|p| (p.name(), p.version())).collect();
    let heading = format!(
        "director bench: {} samples of each reaction; median, and the worst in brackets\n{}",
        options.runs,
        ground.machine()
    );
    super::publish(&SHEET, &record, &names, &heading, &options.out)
}
