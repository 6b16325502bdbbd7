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
use std::time::Instant;

use super::record::Record;
use super::table::{Goal, Measure, Sheet};
use super::{plot, save, table};
use crate::Result;
use crate::error::Context;
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
    std::fs::create_dir_all(&options.out).context(|| format!("cannot make {}", options.out.display()))?;
    let ground = Ground::new()?;
    let began = Instant::now();
    let mut record = Record::default();
    let wanted = |part: &str| options.parts.is_empty() || options.parts.iter().any(|p| p == part);
    for part in PARTS.iter().filter(|part| wanted(part)) {
        for product in &products {
            eprintln!("{:>4} s  {part}: {}", began.elapsed().as_secs(), product.name());
            if let Err(error) = parts::measure(part, &ground, *product, options.runs, &mut record) {
                eprintln!("        {}: {error}", product.name());
                record.fail(part, product.name(), &error);
            }
        }
    }
    let names: Vec<_> = products.iter().map(|p| (p.name(), p.version())).collect();
    let heading = format!(
        "director bench: {} samples of each reaction; median, and the worst in brackets\n{}",
        options.runs,
        ground.machine()
    );
    let text = table::render(&SHEET, &record, &names, &heading);
    print!("{text}");
    save(&options.out, "director.txt", &text)?;
    save(&options.out, "director.csv", &record.csv())?;
    save(&options.out, "director.svg", &plot::render(&SHEET, &record))?;
    println!("written to {}: director.txt, director.csv, director.svg", options.out.display());
    Ok(())
}
