//! The only thing a world leaves on the host while it lives: its folder. Whose it is stands in its name.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::error::Context;

const PREFIX: &str = "hb-lab-";

/// Makes the folder of this process's world `number`.
pub(super) fn new_world_dir(number: u32) -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
    // A dead process of the same pid may have left one.
    remove_dir(&dir);
    fs::create_dir(&dir).context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// Removes a world's folder; the mounts inside a dying namespace may hold it for a moment.
pub(super) fn remove_dir(dir: &Path) {
    for _ in 0..20 {
        match fs::remove_dir_all(dir) {
            Ok(()) => return,
            Err(e) if e.kind() == ErrorKind::NotFound => return,
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
    eprintln!("could not remove {}; `lab clean` will try again", dir.display());
}

/// Removes the folders of worlds whose process is gone (their namespaces went with it). Gives what it removed.
///
/// # Errors
/// The temporary folder cannot be read.
pub fn clean() -> Result<Vec<PathBuf>> {
    let temp = std::env::temp_dir();
    let mut removed = Vec::new();
    let entries = fs::read_dir(&temp).context(|| format!("cannot read {}", temp.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.split('-').next());
        let Some(pid) = owner.and_then(|word| word.parse::<u32>().ok()) else {
            continue;
        };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            remove_dir(&entry.path());
            removed.push(entry.path());
        }
    }
    Ok(removed)
}
