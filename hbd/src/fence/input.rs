//! What a fence agent reads: a line `NAME=VALUE` for each option, and which of it is secret.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::agents::output::Secrets;

/// An option that names a file with the password in it, and what the agent is given instead.
const FROM_FILE: [(&str, &str); 2] = [("password_file", "password"), ("passwd_file", "passwd")];
/// Parts of names of options that are secrets.
const SECRET: [&str; 4] = ["pass", "secret", "token", "community"];
/// No password is longer.
const MAX_PASSWORD: u64 = 4096;

/// The input of one run.
pub(super) struct Options {
    /// What goes in.
    pub text: Zeroizing<String>,
    /// What must not come out.
    pub secrets: Secrets,
}

impl Options {
    /// Puts the input of `action` together, reading passwords from the files that hold them.
    ///
    /// # Errors
    /// A file cannot be read, or what is in it can be no password.
    pub fn resolve(options: &BTreeMap<String, String>, action: &str) -> Result<Options, String> {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        let mut secrets = Secrets::default();
        line(&mut text, "action", action);
        for (key, value) in options.iter().filter(|(key, _)| *key != "action") {
            if let Some((_, name)) = FROM_FILE.iter().find(|(file, _)| file == key) {
                let password = password(Path::new(value))?;
                line(&mut text, name, &password);
                secrets.0.push(password);
                continue;
            }
            line(&mut text, key, value);
            if SECRET.iter().any(|part| key.contains(part)) && !key.ends_with("_script") {
                secrets.0.push(Zeroizing::new(value.clone()));
            }
        }
        Ok(Options { text, secrets })
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{name}={value}");
}

/// The first line of a file.
fn password(path: &Path) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_PASSWORD).read_to_string(&mut text))
        .map_err(|error| format!("the password cannot be read from {shown}: {error}"))?;
    let first = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    if first.is_empty() {
        return Err(format!("there is no password in the first line of {shown}"));
    }
    Ok(first)
}
