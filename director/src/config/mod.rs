//! `director.toml`: reading it, and saying what is wrong with it, all at once and as a compiler does.
//!
//! The tables are walked by hand ([`base::config::table`]); what a table leaves open it has from the one above:
//! `[director]`, then `[[virtual]]`, then `[[virtual.real]]` and the check.

mod address;
mod checks;
mod director;
mod keys;
pub mod model;
mod names;
mod real;
mod service;

use std::path::Path;

use base::config::problem::{Problem, Problems, Report};
use base::config::table::{ROOT, Table};
use base::config::{read_text, syntax};
use toml::de::DeTable;

pub use keys::known_keys;
use model::Config;

/// The configuration unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/hbd/director.toml";

/// Reads the configuration at `path`.
///
/// # Errors
/// All that is wrong with it.
pub fn load(path: &Path) -> Result<Config, Problems> {
    parse(&read_text(path, Path::new(DEFAULT_PATH))?, path)
}

/// Reads the configuration `text`, the content of `path`.
///
/// # Errors
/// All that is wrong with it, and its warnings with that.
pub fn parse(text: &str, path: &Path) -> Result<Config, Problems> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut report = Report::new(path, text);
    for error in &errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let (message, help) = syntax(error.message(), text.get(span.clone()).unwrap_or_default());
        report.syntax(&span, message, help);
    }
    let mut config = tables(Table::new(ROOT.to_owned(), 0..0, document.get_ref(), &report), &report);
    if report.has_errors() {
        return Err(report.into_problems());
    }
    config.warnings = report.into_problems().list.iter().map(Problem::in_one_line).collect();
    // A copy made while the document is still there lies beside it in memory, not scattered in it: so all of the
    // document's memory can be given back.
    Ok(config.clone())
}

/// All tables of the file.
fn tables<'a>(root: Table<'a>, report: &'a Report<'a>) -> Config {
    let (mut config, usual) = director::read(&root, report);
    config.virtuals = service::read(&root, &usual, report);
    if config.virtuals.is_empty() && !root.has("virtual") {
        let help = "add a virtual service: [[virtual]] with name, address and its [[virtual.real]]";
        report.missing(&(0..0), "there is no [[virtual]]: nothing to balance", help);
    }
    root.finish();
    config
}

/// Reads any text as a configuration, for fuzzing: whatever it is, there is no panic, and what is
/// refused is refused with reasons that can be shown.
pub fn fuzz(text: &str) {
    if let Err(problems) = parse(text, Path::new("fuzz.toml")) {
        assert!(problems.errors() > 0, "refused without a reason");
        assert!(!problems.render(false).is_empty());
    }
}
