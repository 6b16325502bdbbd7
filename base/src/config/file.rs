//! Paths and programs as they stand in the file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::problem::{Report, Span};
use super::table::{At, shown};

/// An absolute path.
pub fn path(report: &Report<'_>, at: &At<&str>) -> Option<PathBuf> {
    if at.value.starts_with('/') {
        return Some(PathBuf::from(at.value));
    }
    let message = format!("'{}' is no absolute path", shown(at.value));
    report.error(&at.span, message, "write it from the root on: \"/…\"");
    None
}

/// A program's absolute path; `daemon` is what will run it.
pub fn program(report: &Report<'_>, at: &At<&str>, daemon: &str) -> Option<PathBuf> {
    let found = path(report, at)?;
    runnable(report, &at.span, &found, daemon);
    Some(found)
}

/// Says so if `program` cannot be run here. That is only odd: a file is also checked where it will not run.
pub fn runnable(report: &Report<'_>, span: &Span, program: &Path, daemon: &str) {
    let name = shown(&program.to_string_lossy());
    match std::fs::metadata(program) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 == 0 => {
            report.warning(span, format!("{name} is not executable"), format!("chmod +x {name}"));
        }
        Ok(found) if found.is_file() => {}
        _ => {
            let help = format!("install it before the {daemon} runs");
            report.warning(span, format!("there is no program {name}"), help);
        }
    }
}
