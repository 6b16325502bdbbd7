//! Files with secrets in them: regular files of root or of the daemon's own user, that nobody else may touch.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// The bits of a mode that let others than the owner at it, or execute it.
const TOO_OPEN: u32 = 0o7177;

/// Why a file may not hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPrivate {
    /// It is a folder, a pipe, a device.
    NoFile,
    /// It belongs to this user.
    Owner(u32),
    /// Its permissions are these.
    Mode(u32),
}

impl fmt::Display for NotPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotPrivate::NoFile => write!(f, "is no regular file"),
            NotPrivate::Owner(user) => {
                write!(f, "is owned by the user {user}, and must be by root: chown root")
            }
            NotPrivate::Mode(mode) => {
                write!(f, "has mode {mode:04o}, and nobody but its owner may read it: chmod 600")
            }
        }
    }
}

/// Opens a file to be read; a pipe put there cannot hold anything up.
///
/// # Errors
/// Those of open(2).
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)
}

/// Whether the user `user` may keep secrets in a file.
///
/// # Errors
/// Why not.
pub(crate) fn check(meta: &Metadata, user: u32) -> Result<(), NotPrivate> {
    if !meta.is_file() {
        return Err(NotPrivate::NoFile);
    }
    if meta.uid() != 0 && meta.uid() != user {
        return Err(NotPrivate::Owner(meta.uid()));
    }
    let mode = meta.mode() & 0o7777;
    if mode & TOO_OPEN != 0 {
        return Err(NotPrivate::Mode(mode));
    }
    Ok(())
}

/// The first `most` bytes of a file, in memory that is wiped; `what` it is, for people, as "the password cannot".
///
/// # Errors
/// A sentence: the file cannot be read, or others can read it.
pub(crate) fn read(path: &Path, most: u32, what: &str) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let failed = |error| format!("{what} be read from {shown}: {error}");
    let file = open(path).map_err(failed)?;
    check(&file.metadata().map_err(failed)?, nix::unistd::geteuid().as_raw())
        .map_err(|why| format!("{shown} {why}"))?;
    // One allocation that never grows: what is left behind by one that does, nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(most as usize + 1));
    file.take(u64::from(most)).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
