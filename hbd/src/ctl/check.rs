//! `hbctl check`: what the daemon would say of a configuration.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::args::Common;
use super::commands::print_json;
use super::fail::Fail;
use super::paint::Paint;
use super::text::{self, count};
use crate::config::{self, Config, LoadOptions, Problems};

/// Reads `file` as the node `node` (default: this host) would at its start, and says what is wrong with it.
pub(super) fn run(common: &Common, file: &Path, node: Option<&str>) -> Result<(), Fail> {
    match load(file, node) {
        Ok((config, note)) => {
            let warnings: Vec<String> =
                config.warnings.iter().cloned().chain(note).chain(crate::agents::advice(&config)).collect();
            say_good(common, file, &config, &warnings)
        }
        Err(problems) => {
            if common.json {
                let shown = json!({
                    "good": false, "file": file.display().to_string(), "summary": problems.summary(), "problems": problems,
                });
                print_json(&mut io::stdout().lock(), &shown)?;
            }
            let color = Paint::choose(common.color, &io::stderr()).is_on();
            Err(Fail::BadConfig(problems.render(color)))
        }
    }
}

/// The configuration, and a note if its authkeys could not be looked at. Only root may be expected to read
/// those, and the rest of a configuration can be checked by anybody.
fn load(file: &Path, node: Option<&str>) -> Result<(Config, Option<String>), Problems> {
    let authkeys = nix::unistd::geteuid().is_root();
    let config = config::load(file, node, LoadOptions { authkeys })?;
    if authkeys {
        return Ok((config, None));
    }
    let keys = &config.cluster.authkeys;
    match File::open(keys) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let note = format!(
                "{} was not checked: only root may read it; run this as root to check it too",
                keys.display()
            );
            Ok((config, Some(note)))
        }
        _ => {
            config::authkeys::read(keys)?;
            Ok((config, None))
        }
    }
}

fn say_good(common: &Common, file: &Path, config: &Config, warnings: &[String]) -> Result<(), Fail> {
    let resources: usize = config.groups.iter().map(|group| group.resources.len()).sum();
    let mut stdout = io::stdout().lock();
    if common.json {
        let shown = json!({
            "good": true, "file": file.display().to_string(), "node": config.me, "nodes": config.nodes.len(),
            "links": config.links.len(), "groups": config.groups.len(), "resources": resources,
            "warnings": warnings, "problems": [],
        });
        return print_json(&mut stdout, &shown);
    }
    for warning in warnings {
        // Said, if anybody listens.
        let _ = writeln!(io::stderr(), "warning: {}", text::line(warning));
    }
    writeln!(
        stdout,
        "{}: good: {}, {}, {}, {}",
        file.display(),
        count(config.nodes.len(), "node"),
        count(config.links.len(), "link"),
        count(config.groups.len(), "group"),
        count(resources, "resource")
    )?;
    Ok(())
}
