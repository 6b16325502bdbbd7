//! What is kept over a restart: what is ours, what was ordered (in the state folder), and the role (in the run
//! folder: after a reboot it is no longer true).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::core::Memory;

const NAME: &str = "director.state";
const ROLE: &str = "director.role";
/// A file larger than this is none of ours.
const LARGEST: u64 = 16 << 20;

/// The memory's file.
#[derive(Debug)]
pub struct MemoryFile {
    path: PathBuf,
}

impl MemoryFile {
    /// The file in `folder`, what it says, and what is wrong with it, if anything.
    pub fn open(folder: &Path) -> (MemoryFile, Memory, Option<String>) {
        let path = folder.join(NAME);
        let (memory, complaint) = match read(&path) {
            Ok(memory) => (memory, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Memory::default(), None),
            Err(error) => {
                let aside = folder.join(format!("{NAME}.bad"));
                let kept = match fs::rename(&path, &aside) {
                    Ok(()) => format!("kept as {}", aside.display()),
                    Err(error) => format!("and cannot be put aside: {error}"),
                };
                let lost = "which services are ours and what was ordered is forgotten";
                (Memory::default(), Some(format!("{}: {error}; {kept}; {lost}", path.display())))
            }
        };
        (MemoryFile { path }, memory, complaint)
    }

    /// Puts `memory` on the disk; at every instant there is a whole one.
    ///
    /// # Errors
    /// With what was tried.
    pub fn write(&self, memory: &Memory) -> Result<(), String> {
        let json = serde_json::to_string(&Written::of(memory)).map_err(|error| error.to_string())?;
        let text = format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()));
        replace(&self.path, text.as_bytes())
            .map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

/// JSON has no sets of structures, so what is owned is a list.
#[derive(serde::Serialize, serde::Deserialize)]
struct Written {
    memory: Memory,
}

impl Written {
    fn of(memory: &Memory) -> Written {
        Written { memory: memory.clone() }
    }
}

fn read(path: &Path) -> io::Result<Memory> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::other("it is too large to be ours"));
    }
    let text = fs::read_to_string(path)?;
    let torn = || io::Error::other("it is torn or damaged");
    let (json, rest) = text.split_once('\n').ok_or_else(torn)?;
    let crc = u32::from_str_radix(rest.trim_end(), 16).map_err(|_| torn())?;
    if crc != crc32fast::hash(json.as_bytes()) {
        return Err(torn());
    }
    let written: Written = serde_json::from_str(json)?;
    Ok(written.memory)
}

/// Writes beside, flushes, renames.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    File::open(folder)?.sync_all()
}

/// The role this director had last, since the machine was started.
pub fn last_role(run_dir: &Path) -> Option<bool> {
    match fs::read_to_string(run_dir.join(ROLE)).ok()?.trim() {
        "active" => Some(true),
        "standby" => Some(false),
        _ => None,
    }
}

/// Keeps the role.
pub fn keep_role(run_dir: &Path, active: bool) {
    let text: &[u8] = if active { b"active\n" } else { b"standby\n" };
    if let Err(error) = replace(&run_dir.join(ROLE), text) {
        tracing::warn!("the role is not kept over a restart: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Override, Place};
    use crate::table::{Family, Key, Protocol};

    fn memory() -> Memory {
        let mut memory = Memory::default();
        memory.owned.insert(Key::Address(Protocol::Tcp, "[fd00::1]:80".parse().unwrap()));
        memory.owned.insert(Key::Mark(7, Family::V4));
        let place = Some(Place::Drain { deadline_ms: Some(5) });
        let kept = Override { weight: Some(3), place, by: "root".into() };
        memory.overrides.entry("www".into()).or_default().insert("web1".into(), kept);
        memory
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (file, none, complaint) = MemoryFile::open(folder.path());
        assert_eq!((none, complaint), (Memory::default(), None));
        file.write(&memory()).unwrap();
        file.write(&memory()).unwrap();
        let (_, read, complaint) = MemoryFile::open(folder.path());
        assert_eq!((read, complaint), (memory(), None));
    }

    #[test]
    fn a_torn_file_is_put_aside_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let (file, ..) = MemoryFile::open(folder.path());
        file.write(&memory()).unwrap();
        let path = folder.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).unwrap();
            let (_, read, complaint) = MemoryFile::open(folder.path());
            assert_eq!(read, Memory::default(), "{length}");
            assert!(complaint.unwrap().contains("director.state.bad"));
        }
    }

    #[test]
    fn the_role_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(last_role(folder.path()), None);
        for active in [true, false] {
            keep_role(folder.path(), active);
            assert_eq!(last_role(folder.path()), Some(active));
        }
    }
}
