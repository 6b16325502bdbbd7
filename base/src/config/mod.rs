//! Reading a configuration: tables walked by hand, and what is wrong with them said all at once and
//! as a compiler does.
pub mod duration;
pub mod file;
pub mod net;
pub mod problem;
pub mod suggest;
pub mod table;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use problem::{Problem, Problems};

/// More than any configuration has; a bound on what is read into memory.
const MAX_BYTES: u64 = 1 << 20;

/// How long a pipe may take to give its text: a daemon that reloads must not wait for a writer who never comes.
const PIPE_LIMIT: Duration = Duration::from_secs(5);

/// The text of the configuration at `path`; `usual` is where it is unless told otherwise.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub fn read_text(path: &Path, usual: &Path) -> Result<String, Problems> {
    let file = path.display().to_string();
    let whole =
        |message: String, help: &str| Problems::from(Problem::whole(&file, message, Some(help.to_owned())));
    let bytes = read_bytes(path, PIPE_LIMIT).map_err(|error| {
        whole(
            format!("cannot read the configuration: {}", reason(&error)),
            &reading_help(path, usual, &error),
        )
    })?;
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

/// At most one byte more than may be, and from a pipe (`<(…)` of a shell, say) for no longer than `limit`.
fn read_bytes(path: &Path, limit: Duration) -> io::Result<Vec<u8>> {
    // Without it the opening of a named pipe waits for somebody to write there.
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let regular = file.metadata()?.is_file();
    let mut text = (&file).take(MAX_BYTES + 1);
    let mut bytes = Vec::new();
    let until = Instant::now() + limit;
    loop {
        if !regular {
            wait_readable(&file, until)?;
        }
        match text.read_to_end(&mut bytes) {
            // What was read until then is kept.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !regular => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(bytes),
        }
    }
}

fn wait_readable(file: &File, until: Instant) -> io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], left) {
        Ok(0) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "it is no regular file, and nobody writes to it"))
        }
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_is_read_to_its_end_and_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = read_bytes(&path, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let text = "x".repeat(200_000);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                File::options().write(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap()
            });
            assert_eq!(read_bytes(&path, Duration::from_secs(60)).unwrap(), text.as_bytes());
        });
    }
}
