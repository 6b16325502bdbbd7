//! `hbctl keygen`: a fresh authkeys file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use proto::Keyring;
use serde_json::json;

use super::args::{Common, Method};
use super::commands::print_json;
use super::fail::Fail;

/// Bytes of a secret: as many as HMAC-SHA-256 has use for.
const SECRET_BYTES: usize = 32;

const REMINDER: &str = "The same file must be on both nodes as /etc/hbd/authkeys (or where `authkeys` in [cluster] says), \
                        with mode 0600, owned by root. Copy it over a safe channel, e.g. scp.";
const CRC_WARNING: &str = "crc protects against nothing: whoever reaches the link can steer the cluster. Use it on a \
                           serial line or a cable of its own only.";

/// Prints the file, or writes it to `output`.
pub(super) fn run(common: &Common, method: Method, output: Option<&Path>) -> Result<(), Fail> {
    let mut random = zeroize::Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(random.as_mut_slice())
        .map_err(|error| Fail::Refused(format!("the system gives no random numbers: {error}")))?;
    let method = match method {
        Method::Sha256 => proto::Method::Sha256,
        Method::Md5 => proto::Method::Md5,
        Method::Crc => proto::Method::Crc,
    };
    let text = Keyring::generate(method, random.as_slice());
    match output {
        Some(path) => {
            write_secret(path, text.as_bytes())?;
            say_written(common, method, path)?;
        }
        None => {
            let mut stdout = io::stdout().lock();
            if common.json {
                print_json(&mut stdout, &json!({ "method": method.name(), "authkeys": text.as_str() }))?;
            } else {
                stdout.write_all(text.as_bytes())?;
                stdout.flush()?;
            }
        }
    }
    remind(method, output.is_none() && stdout_is_open_file());
    Ok(())
}

fn say_written(common: &Common, method: proto::Method, path: &Path) -> Result<(), Fail> {
    let mut stdout = io::stdout().lock();
    if common.json {
        return print_json(
            &mut stdout,
            &json!({ "method": method.name(), "file": path.display().to_string() }),
        );
    }
    Ok(writeln!(stdout, "wrote {}, mode 0600", path.display())?)
}

fn remind(method: proto::Method, exposed: bool) {
    let mut stderr = io::stderr().lock();
    // The key is out; a stderr that is gone changes nothing.
    let _ = writeln!(stderr, "{REMINDER}");
    if method == proto::Method::Crc {
        let _ = writeln!(stderr, "{CRC_WARNING}");
    }
    if exposed {
        let _ = writeln!(
            stderr,
            "The file it was just written to can be read by others: chmod 600 it, or use --output."
        );
    }
}

/// Whether stdout is a file that others than its owner may read or write.
fn stdout_is_open_file() -> bool {
    nix::sys::stat::fstat(io::stdout()).is_ok_and(|stat| {
        let kind = nix::sys::stat::SFlag::from_bits_truncate(stat.st_mode) & nix::sys::stat::SFlag::S_IFMT;
        kind == nix::sys::stat::SFlag::S_IFREG && stat.st_mode & 0o077 != 0
    })
}

/// Makes the new file `path`, readable by nobody else from its first moment, and writes `bytes` to disk.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Fail> {
    let shown = path.display();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        Fail::Refused(match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("{shown} exists and is left alone: move it away first if it is to be replaced, on all nodes")
            }
            _ => format!("cannot make {shown}: {error}"),
        })
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a key is of no use, and would be in the way of the next try.
        let _ = std::fs::remove_file(path);
        Fail::Refused(format!("cannot write {shown}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authkeys");
        write_secret(&path, b"auth 1\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let again = write_secret(&path, b"other").unwrap_err();
        assert_eq!(again.exit_code(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"auth 1\n");
    }

    #[test]
    fn a_folder_that_is_missing_is_said() {
        let fail = write_secret(Path::new("/nonexistent-folder/authkeys"), b"").unwrap_err();
        assert!(matches!(fail, Fail::Refused(reason) if reason.contains("/nonexistent-folder/authkeys")));
    }
}
