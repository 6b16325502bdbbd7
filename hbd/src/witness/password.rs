//! The password of the user that etcd knows, from a file that nobody else may read.

use std::path::Path;

use zeroize::Zeroizing;

use crate::private;

/// No password is longer.
const MAX: u32 = 4096;

/// The first line of a file.
///
/// # Errors
/// A sentence: the file cannot be read, others can read it, or there is no password in it.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = private::read(path, MAX, "the password cannot")?;
    let first = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    match first.is_empty() {
        true => Err(format!("there is no password in the first line of {}", path.display())),
        false => Ok(first),
    }
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
