//! The authkeys file: who may read it, and what is in it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use proto::{KeyProblem, Keyring};
use zeroize::Zeroizing;

use super::problem::{Problem, Problems};
use crate::private::{self, NotPrivate};

/// More than any authkeys file has; a bound on what is read into memory.
const MAX_BYTES: u64 = 1 << 16;

/// Reads and checks the authkeys file at `path`: a regular file, owned by root or the user this
/// runs as, that nobody else may touch.
///
/// # Errors
/// Why it is refused, with the command that mends it; or all that is wrong with its content. A
/// secret is in neither.
pub fn read(path: &Path) -> Result<Keyring, Problems> {
    read_as(path, nix::unistd::geteuid().as_raw())
}

/// [`read`], for the user `user`.
fn read_as(path: &Path, user: u32) -> Result<Keyring, Problems> {
    let file = path.display().to_string();
    let whole = |message: String, help: String| Problems::from(Problem::whole(&file, message, Some(help)));
    let opened = private::open(path).map_err(|error| {
        whole(format!("cannot read the keys: {}", super::reason(&error)), opening_help(&file, &error))
    })?;
    let meta = opened
        .metadata()
        .map_err(|error| whole(format!("cannot look at the keys: {error}"), "check the disk".to_owned()))?;
    private::check(&meta, user).map_err(|why| {
        let (message, help) = not_private(why, &file, user);
        whole(message, help)
    })?;
    let text = read_text(opened).map_err(|message| {
        whole(message, format!("hbctl keygen > {file}   (then the same file on the other node)"))
    })?;
    Keyring::parse(&text).map_err(|problems| Problems {
        list: problems.iter().map(|problem| at_line(&file, &text, problem)).collect(),
    })
}

fn opening_help(file: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("make them on one node and copy them to the other: (umask 077; hbctl keygen > {file})")
        }
        std::io::ErrorKind::PermissionDenied => "run this as root".to_owned(),
        _ => "name a regular file: authkeys = \"/etc/hbd/authkeys\"".to_owned(),
    }
}

/// What is wrong, and the command that mends it.
fn not_private(why: NotPrivate, file: &str, user: u32) -> (String, String) {
    match why {
        NotPrivate::NoFile => (
            "the keys are no regular file".to_owned(),
            "name a regular file: authkeys = \"/etc/hbd/authkeys\"".to_owned(),
        ),
        NotPrivate::Owner(owner) => {
            let by = if user == 0 { "root".to_owned() } else { format!("root or the user {user}") };
            let message = format!("the keys are owned by the user {}, and must be by {by}", user_name(owner));
            (message, format!("chown root {file}"))
        }
        NotPrivate::Mode(mode) => (
            format!("the keys have mode {mode:04o}, and nobody but their owner may read them"),
            format!("chmod 600 {file}"),
        ),
    }
}

/// `hans (1000)`, or `1000` if the machine has no name for it.
fn user_name(user: u32) -> String {
    match nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(user)) {
        Ok(Some(known)) => format!("{} ({user})", known.name),
        _ => user.to_string(),
    }
}

/// The text, in memory that is wiped: read into one allocation that never grows.
fn read_text(file: File) -> Result<Zeroizing<String>, String> {
    let capacity = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read the keys: {}", super::reason(&error)))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("this is no authkeys file: it is larger than {MAX_BYTES} bytes"));
    }
    let text =
        std::str::from_utf8(&bytes).map_err(|_| "this is no authkeys file: it is not text".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The mistake with its line, the secret in it masked.
fn at_line(file: &str, text: &str, problem: &KeyProblem) -> Problem {
    let help = Some(problem.help.clone());
    let Some(line) = problem.line.checked_sub(1).and_then(|index| text.lines().nth(index)) else {
        return Problem::whole(file, problem.text.clone(), help);
    };
    // Not a copy of the line is made, which nobody would wipe: what is shown is made of stars, then of what may be shown.
    let stars: String = line.chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect();
    let into = stars.char_indices().nth(problem.column.saturating_sub(1)).map_or(stars.len(), |(at, _)| at);
    let word = stars[into..].find(char::is_whitespace).unwrap_or(stars.len() - into);
    let mut made = Problem::at(file, &stars, into..into + word, problem.text.clone(), help);
    made.line = problem.line;
    made.with_source(masked(line))
}

/// The line with all that could be a secret replaced; only words that cannot be are shown: a key's
/// number and method, and `auth` with a number.
fn masked(line: &str) -> String {
    let mut out = String::new();
    let mut before: Vec<&str> = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = &rest[..end];
        let number = |word: &str| word.len() <= 3 && word.bytes().all(|b| b.is_ascii_digit());
        let harmless = match before.as_slice() {
            [] => word == "auth" || number(word),
            ["auth"] => number(word),
            [first] if number(first) => ["md5", "sha1", "sha256", "crc"].contains(&word),
            _ => false,
        };
        if !harmless {
            // The rest of the line as a whole, whatever its length.
            out.push_str("********");
            break;
        }
        out.push_str(word);
        before.push(word);
        rest = &rest[end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
    use std::path::PathBuf;

    use super::*;

    const GOOD: &str = "auth 1\n1 sha256 a-secret-of-some-length\n";

    fn file(folder: &tempfile::TempDir, text: &str, mode: u32) -> PathBuf {
        let path = folder.path().join("authkeys");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn refusal(path: &Path) -> String {
        read(path).expect_err("it should be refused").to_string()
    }

    #[test]
    fn a_private_file_of_ones_own_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o400] {
            assert!(read(&file(&folder, GOOD, mode)).is_ok(), "{mode:o}");
            std::fs::remove_file(folder.path().join("authkeys")).unwrap();
        }
    }

    #[test]
    fn a_file_others_may_touch_is_refused_with_the_mode_and_the_command() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o620, 0o700, 0o4600] {
            let path = file(&folder, GOOD, mode);
            let text = refusal(&path);
            assert!(text.contains(&format!("mode {mode:04o}")), "{text}");
            assert!(text.contains(&format!("chmod 600 {}", path.display())), "{text}");
        }
    }

    #[test]
    fn a_strangers_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, GOOD, 0o600);
        let owner = std::fs::metadata(&path).unwrap().uid();
        if owner == 0 {
            chown(&path, Some(65533), None).unwrap();
            let text = read_as(&path, 0).unwrap_err().to_string();
            assert!(text.contains("65533") && text.contains("chown root"), "{text}");
            assert!(read_as(&path, 65533).is_ok(), "a daemon's own user may own them");
        } else {
            assert!(read_as(&path, owner + 1).is_err());
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(folder.path()).contains("regular file"));
        assert!(refusal(&folder.path().join("absent")).contains("hbctl keygen"));
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(refusal(&pipe).contains("no regular file"));
        let path = file(&folder, GOOD, 0o600);
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(read(&link).is_ok(), "the file counts, not the link to it");
    }

    #[test]
    fn no_message_shows_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "auth 1\n1 sha257 hunter2hunter2\n",
            "auth 2\n1 sha256 hunter2hunter2\n",
            "1 sha256 hunter2hunter2\n",
            "auth 1\n1 sha256 hunter2hunter2\n1 md5 hunter2hunter2\n",
            "hunter2hunter2\n",
            "auth hunter2hunter2\n",
            "auth 1\n1 hunter2hunter2\n",
            "auth 1\n1 crc hunter2hunter2\n",
            "auth 1 hunter2hunter2\n1 sha256 hunter2hunter2\n",
        ] {
            let problems = read(&file(&folder, text, 0o600)).expect_err(text);
            let shown = format!("{problems}\n{problems:?}\n{}", serde_json::to_string(&problems).unwrap());
            assert!(!shown.contains("hunter2"), "{shown}");
            std::fs::remove_file(folder.path().join("authkeys")).unwrap();
        }
    }

    #[test]
    fn masking_leaves_what_helps() {
        assert_eq!(masked("1 sha256 secret words"), "1 sha256 ********");
        assert_eq!(masked("  auth 1"), "  auth 1");
        assert_eq!(masked("secret"), "********");
        assert_eq!(masked(""), "");
    }
}
