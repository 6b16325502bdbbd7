//! `lab bench failover`: a client's view of hbd beside Debian's keepalived and heartbeat, on the same ground.
//!
//! ```text
//! product   what differs between the three: files, command line, how to hand over, when a pair is settled
//! ground    one world with one product's pair in it, the addresses on one node
//! sample    one change of owner as the client saw it, and whether the prober itself could see
//! outage    power loss and planned hand-over        many     1,000 addresses
//! steady    memory and CPU of an idle pair          record   what was measured; table, CSV and plot are made of it
//! ```
//! Nothing here judges: a goal that is missed is a word in the table, and the exit code stays 0.

pub mod director;
mod ground;
mod hbd;
mod heartbeat;
mod keepalived;
mod many;
mod outage;
mod plot;
mod private;
mod processes;
mod product;
mod record;
mod sample;
mod softirq;
mod steady;
mod table;
mod when;

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::Context;
use crate::{LabError, Result};
use product::Product;
use record::Record;

/// What to measure and where to put it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Samples of each kind of failover and product.
    pub runs: u32,
    /// Shorter steady state, fewer addresses for the peers that take long.
    pub quick: bool,
    /// Names of products to measure; empty: all that are installed.
    pub only: Vec<String>,
    /// Parts to measure (`power`, `standby`, `many`, `steady`); empty: all.
    pub parts: Vec<String>,
    /// The folder for `failover.csv`, `failover.svg` and `failover.txt`.
    pub out: PathBuf,
}

/// The parts in the order they are run; the steady state is last, when nothing is left to start.
pub const PARTS: [&str; 4] = ["power", "standby", "many", "steady"];

/// Measures, prints the table and writes the files. A product that cannot be measured is told and left out.
///
/// # Errors
/// The lab cannot run here, there is nothing to measure, or a file cannot be written.
pub fn failover(options: &Options) -> Result<()> {
    if !crate::available() {
        return Err(LabError::new("the bench needs what the lab needs, see above"));
    }
    check(options.runs, &options.parts, &PARTS)?;
    let products = product::installed(&options.only)?;
    folder(&options.out)?;
    let mut record = Record::default();
    each_part(
        &PARTS,
        &options.parts,
        &products,
        |p| p.name(),
        &mut record,
        |part, product, record| measure(part, product.as_ref(), options, record),
    );
    let names: Vec<(&str, String)> = products.iter().map(|p| (p.name(), p.version())).collect();
    let heading = format!(
        "failover bench: {} samples of each failover; median, and the worst in brackets",
        options.runs
    );
    publish(&table::FAILOVER, &record, &names, &heading, &options.out)
}

/// Measures each part that is wanted (all, if none is named) with each product. What cannot be measured is told and left out.
fn each_part<P>(
    all: &[&str],
    wanted: &[String],
    products: &[P],
    name: impl Fn(&P) -> &'static str,
    record: &mut Record,
    measure: impl Fn(&str, &P, &mut Record) -> Result<()>,
) {
    let began = Instant::now();
    for part in all.iter().filter(|part| wanted.is_empty() || wanted.iter().any(|p| p == *part)) {
        for product in products {
            let name = name(product);
            eprintln!("{:>4} s  {part}: {name}", began.elapsed().as_secs());
            if let Err(error) = measure(part, product, record) {
                eprintln!("        {name}: {error}");
                record.fail(part, name, &error);
            }
        }
    }
}

/// Prints the table and writes the files: `NAME.txt`, `NAME.csv`, `NAME.svg`.
fn publish(
    sheet: &table::Sheet,
    record: &Record,
    names: &[(&str, String)],
    heading: &str,
    out: &Path,
) -> Result<()> {
    let text = table::render(sheet, record, names, heading);
    print!("{text}");
    let name = sheet.name;
    save(out, &format!("{name}.txt"), &text)?;
    save(out, &format!("{name}.csv"), &record.csv())?;
    save(out, &format!("{name}.svg"), &plot::render(sheet, record))?;
    println!("written to {}: {name}.txt, {name}.csv, {name}.svg", out.display());
    Ok(())
}

fn folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).context(|| format!("cannot make {}", path.display()))
}

fn measure(part: &str, product: &dyn Product, options: &Options, record: &mut Record) -> Result<()> {
    match part {
        "power" => outage::power(product, options, record),
        "standby" => outage::standby(product, options, record),
        "many" => many::measure(product, options, record),
        _ => steady::measure(product, options, record),
    }
}

fn check(runs: u32, parts: &[String], known: &[&str]) -> Result<()> {
    if !(1..=1000).contains(&runs) {
        return Err(LabError(format!("--runs {runs} is out of range: 1 to 1000")));
    }
    match parts.iter().find(|p| !known.contains(&p.as_str())) {
        Some(part) => Err(LabError(format!("there is no part `{part}`: use {}", known.join(", ")))),
        None => Ok(()),
    }
}

fn save(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text).context(|| format!("cannot write {}", path.display()))
}
