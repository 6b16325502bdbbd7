//! Reading a configuration: tables walked by hand, and what is wrong with them said all at once and
//! as a compiler does.
pub mod duration;
pub mod file;
pub mod net;
pub mod problem;
pub mod suggest;
pub mod table;

use std::io::Read;
use std::path::Path;

use problem::{Problem, Problems};

/// More than any configuration has; a bound on what is read into memory.
const MAX_BYTES: u64 = 1 << 20;

/// The text of the configuration at `path`; `usual` is where it is unless told otherwise.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub fn read_text(path: &Path, usual: &Path) -> Result<String, Problems> {
    let file = path.display().to_string();
    let whole =
        |message: String, help: &str| Problems::from(Problem::whole(&file, message, Some(help.to_owned())));
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(
        |error| {
            whole(
                format!("cannot read the configuration: {}", reason(&error)),
                &reading_help(path, usual, &error),
            )
        },
    )?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(whole(format!("the file is larger than {MAX_BYTES} bytes"), "is this the right file?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        // Up to the first bad byte nothing was replaced, so the place is the same.
        Problem::at(
            &file,
            &text,
            at..at + 1,
            "the file is not UTF-8".to_owned(),
            Some("save it as UTF-8, or remove this character".to_owned()),
        )
        .into()
    })
}

/// What the system says, without the number.
pub fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

fn reading_help(path: &Path, usual: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound if path == usual => {
            "write one (the shipped example shows how), or name another with --config FILE".to_owned()
        }
        std::io::ErrorKind::NotFound => "check the path".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            "run this as root, or as a user who may read the file".to_owned()
        }
        _ => "name a readable file".to_owned(),
    }
}

/// What the TOML parser says of the text `at`, and what to do about it.
pub fn syntax(message: &str, at: &str) -> (String, String) {
    if message == "duplicate key" {
        let help = "write it once; tables of which there may be several have two brackets: [[name]]";
        return (format!("'{}' is there twice", table::shown(at)), help.to_owned());
    }
    let help = if message.contains("values must be quoted") {
        return (
            format!("{} must be in quotes", table::shown(at)),
            format!("write \"{}\"", table::shown(at)),
        );
    } else if message.contains("unquoted key") {
        "keys are letters, digits, '-' and '_'"
    } else if message.contains("table") && message.contains("unclosed") {
        "close the bracket: [name], or two: [[name]]"
    } else if message.contains("string") || message.contains("quote") {
        "texts stand in double quotes, on one line"
    } else {
        "lines are `key = value`, `[table]` or `[[table]]`; see https://toml.io"
    };
    (format!("the syntax is broken: {message}"), help.to_owned())
}
