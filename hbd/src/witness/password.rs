//! The password of the user that etcd knows, from a file that nobody else may read.

use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// No password is longer.
const MAX: u64 = 4096;
/// The bits of a mode that let others than the owner at it, or execute it.
const TOO_OPEN: u32 = 0o7177;

/// The first line of a file.
///
/// # Errors
/// A sentence: the file cannot be read, others can read it, or there is no password in it.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let failed = |error| format!("the password cannot be read from {shown}: {error}");
    // Not blocking, so that a pipe put there cannot hold anything up.
    let file =
        OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).map_err(failed)?;
    check(&file.metadata().map_err(failed)?, nix::unistd::geteuid().as_raw())
        .map_err(|why| format!("{shown} {why}"))?;
    let mut text = Zeroizing::new(String::with_capacity(MAX as usize + 1));
    file.take(MAX).read_to_string(&mut text).map_err(failed)?;
    let first = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    match first.is_empty() {
        true => Err(format!("there is no password in the first line of {shown}")),
        false => Ok(first),
    }
}

fn check(meta: &Metadata, user: u32) -> Result<(), String> {
    if !meta.is_file() {
        return Err("is no regular file".to_owned());
    }
    if meta.uid() != 0 && meta.uid() != user {
        return Err(format!("is owned by the user {}, and must be by root: chown root", meta.uid()));
    }
    let mode = meta.mode() & 0o7777;
    if mode & TOO_OPEN != 0 {
        return Err(format!("has mode {mode:04o}, and nobody but its owner may read it: chmod 600"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_password_is_read_from_a_file_of_ones_own_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        assert!(read(&file).unwrap_err().contains("cannot be read"));
        std::fs::write(&file, "t0p s3cret\nmore\n").unwrap();
        mode(0o640);
        let why = read(&file).unwrap_err();
        assert!(why.contains("has mode 0640") && why.contains("chmod 600"), "{why}");
        mode(0o600);
        assert_eq!(read(&file).unwrap().as_str(), "t0p s3cret");
        std::fs::write(&file, "\n").unwrap();
        assert!(read(&file).unwrap_err().contains("no password in the first line"));
        assert!(read(folder.path()).unwrap_err().contains("is no regular file"));
    }
}
