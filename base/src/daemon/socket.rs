//! What belongs to one running daemon: its folders, its lock, its socket.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{Mode, umask};

/// Makes a folder and those above it, if they are missing.
///
/// # Errors
/// A sentence with the path.
pub fn folder(path: &Path, mode: u32) -> Result<(), String> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|error| format!("cannot make the folder {}: {error}", path.display()))
}

/// Held as long as the daemon runs; the kernel lets go of it however the daemon ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Makes sure that no second `daemon` (its name) uses this run folder.
///
/// # Errors
/// A sentence that says who does.
pub fn lock(run_dir: &Path, daemon: &str) -> Result<Lock, String> {
    let path = run_dir.join(format!("{daemon}.lock"));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(&path)
        .map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        let pid = fs::read_to_string(&path).unwrap_or_default();
        match error {
            nix::errno::Errno::EWOULDBLOCK => {
                format!(
                    "another {daemon} (pid {}) runs with the run folder {}",
                    pid.trim(),
                    run_dir.display()
                )
            }
            error => format!("cannot lock {}: {}", path.display(), error.desc()),
        }
    })?;
    // For people; the lock is what counts.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Lock { _file: file })
}

/// Makes sure that no second `daemon` keeps its state in this folder: two would write one file in turns. The folder itself is
/// locked, since it may be read-only or full; a file system that knows no such locks is taken as it is.
///
/// # Errors
/// A sentence that names the folder.
pub fn lock_state(state_dir: &Path, daemon: &str) -> Result<Option<Lock>, String> {
    let file =
        File::open(state_dir).map_err(|error| format!("cannot open {}: {error}", state_dir.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(Some(Lock { _file: file })),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            Err(format!("another {daemon} keeps its state in {}", state_dir.display()))
        }
        Err(_) => Ok(None),
    }
}

/// Listens on the control socket `DAEMON.sock`; a stale one of a predecessor is removed. The lock must be held.
///
/// # Errors
/// A sentence with the path.
pub fn listen(run_dir: &Path, daemon: &str, group: Option<&str>) -> Result<(UnixListener, PathBuf), String> {
    let path = run_dir.join(format!("{daemon}.sock"));
    let bound = || -> io::Result<UnixListener> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // From its first instant on it is for its owner only.
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(&path);
        umask(before);
        listener
    };
    let listener = bound().map_err(|error| format!("cannot listen on {}: {error}", path.display()))?;
    give_to(&path, group);
    Ok((listener, path))
}

/// Lets the members of `group`, if it exists, connect.
pub fn give_to(path: &Path, group: Option<&str>) {
    let found = group.and_then(crate::accounts::group);
    let done = match found {
        Some(found) => chown(path, None, Some(found))
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o660))),
        None => fs::set_permissions(path, Permissions::from_mode(0o600)),
    };
    if let Err(error) = done {
        tracing::warn!("{}: only this user can connect: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_daemon_is_refused_and_told_of_the_first() {
        let run = tempfile::tempdir().unwrap();
        let first = lock(run.path(), "hbd").unwrap();
        let refused = lock(run.path(), "hbd").unwrap_err();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        lock(run.path(), "hbd").unwrap();
    }

    #[test]
    fn a_state_folder_is_for_one_daemon_and_nothing_is_written_there() {
        let state = tempfile::tempdir().unwrap();
        let first = lock_state(state.path(), "hbd").unwrap();
        assert!(first.is_some());
        assert!(lock_state(state.path(), "hbd").unwrap_err().contains("another hbd keeps its state in"));
        drop(first);
        assert!(lock_state(state.path(), "hbd").unwrap().is_some());
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_stale_socket_is_replaced_and_closed_to_others() {
        let run = tempfile::tempdir().unwrap();
        drop(listen(run.path(), "hbd", None).unwrap());
        let (_listener, path) = listen(run.path(), "hbd", Some("da-no-such-group")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        give_to(&path, Some("root"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    }

    #[test]
    fn errors_name_the_path() {
        let missing = Path::new("/nonexistent/run");
        assert!(lock(missing, "hbd").unwrap_err().contains("/nonexistent/run/hbd.lock"));
        assert!(listen(missing, "hbd", None).unwrap_err().contains("/nonexistent/run/hbd.sock"));
        assert!(folder(Path::new("/proc/da-no-folder"), 0o755).unwrap_err().contains("/proc/da-no-folder"));
    }
}
