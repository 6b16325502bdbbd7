//! The state file: one line of JSON, one line with its CRC-32.
//!
//! A new state is written beside the old one, flushed, and renamed over it, and the one before is
//! kept as `state.json.old`; so at every instant at least one whole state is on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cluster::Durable;
use serde::{Deserialize, Serialize};

const NOW: &str = "state.json";
const OLD: &str = "state.json.old";
const NEW: &str = "state.json.new";
/// A state larger than this is none of ours.
const LARGEST: u64 = 16 << 20;

#[derive(Serialize)]
struct Written<'a> {
    generation: u64,
    state: &'a Durable,
}

#[derive(Deserialize)]
struct Read {
    generation: u64,
    state: Durable,
}

/// The state files of one folder.
#[derive(Debug)]
pub struct StateFile {
    folder: PathBuf,
    generation: u64,
}

/// What was found at the start.
#[derive(Debug)]
pub struct Found {
    /// The newest whole state, or the empty one.
    pub state: Durable,
    /// What was wrong, a sentence each.
    pub complaints: Vec<String>,
    /// There were files, and none of them was whole: what this node knew is lost.
    pub lost: bool,
}

enum Look {
    Absent,
    Whole(Read),
    Bad(String),
}

impl StateFile {
    /// Reads what a former life left in `folder`: the newest whole file of two. A file that is torn
    /// or damaged is kept aside as `….bad` and complained about.
    pub fn open(folder: &Path) -> (StateFile, Found) {
        let mut complaints = Vec::new();
        let mut newest: Option<Read> = None;
        let mut bad = 0;
        for name in [NOW, OLD] {
            let path = folder.join(name);
            match look(&path) {
                Look::Absent => {}
                Look::Whole(read) => {
                    if newest.as_ref().is_none_or(|kept| kept.generation < read.generation) {
                        newest = Some(read);
                    }
                }
                Look::Bad(why) => {
                    bad += 1;
                    let aside = folder.join(format!("{name}.bad"));
                    let kept = match fs::rename(&path, &aside) {
                        Ok(()) => format!("kept as {}", aside.display()),
                        Err(error) => format!("cannot be put aside: {error}"),
                    };
                    complaints.push(format!("{}: {why}; {kept}", path.display()));
                }
            }
        }
        let lost = newest.is_none() && bad > 0;
        let (generation, state) =
            newest.map_or((0, Durable::default()), |read| (read.generation, read.state));
        (StateFile { folder: folder.to_owned(), generation }, Found { state, complaints, lost })
    }

    /// Puts `state` on the disk; when this returns it survives a power loss.
    ///
    /// # Errors
    /// With what was tried; the former state is then still there.
    pub fn write(&mut self, state: &Durable) -> Result<(), String> {
        let generation = self.generation + 1;
        let text = render(&Written { generation, state })
            .map_err(|error| format!("state cannot be written down: {error}"))?;
        let (now, old, new) = (self.folder.join(NOW), self.folder.join(OLD), self.folder.join(NEW));
        let step = |what: &str, path: &Path, result: io::Result<()>| {
            result.map_err(|error| format!("cannot {what} {}: {error}", path.display()))
        };
        step("write", &new, write_through(&new, text.as_bytes()))?;
        match fs::rename(&now, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => step("keep the former", &now, result)?,
        }
        step("rename to", &now, fs::rename(&new, &now))?;
        step("flush", &self.folder, File::open(&self.folder).and_then(|folder| folder.sync_all()))?;
        self.generation = generation;
        Ok(())
    }
}

fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn render(written: &Written<'_>) -> serde_json::Result<String> {
    let json = serde_json::to_string(written)?;
    Ok(format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes())))
}

fn look(path: &Path) -> Look {
    let bytes = match fs::metadata(path).and_then(|meta| {
        if meta.len() > LARGEST {
            return Err(io::Error::other(format!("larger than {LARGEST} bytes")));
        }
        fs::read(path)
    }) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Look::Absent,
        Err(error) => return Look::Bad(error.to_string()),
    };
    match parse(&bytes) {
        Ok(read) => Look::Whole(read),
        Err(why) => Look::Bad(why.to_owned()),
    }
}

fn parse(bytes: &[u8]) -> Result<Read, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is no text")?;
    let (json, rest) = text.split_once('\n').ok_or("is torn: its checksum is missing")?;
    let crc =
        rest.strip_suffix('\n').filter(|crc| crc.len() == 8).ok_or("is torn: its checksum is not whole")?;
    let crc = u32::from_str_radix(crc, 16).map_err(|_| "is damaged: its checksum is no number")?;
    if crc != crc32fast::hash(json.as_bytes()) {
        return Err("is damaged: its checksum does not match");
    }
    serde_json::from_str(json).map_err(|_| "is whole but not understood: was it written by another version?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(incarnation: u64) -> Durable {
        let mut state = Durable { incarnation, standby: true, ..Durable::default() };
        state.peers.insert("b".into(), 3);
        state.groups.insert("vip".into(), cluster::DurableGroup { reserved: 9, mine: Some(8) });
        state
    }

    #[test]
    fn nothing_there_is_a_fresh_start_without_complaint() {
        let folder = tempfile::tempdir().unwrap();
        let (_, found) = StateFile::open(folder.path());
        assert_eq!(found.state, Durable::default());
        assert!(found.complaints.is_empty() && !found.lost);
    }

    /// As a version of November 2026 (commit 65d1a9e) left it.
    #[test]
    fn the_state_of_an_older_version_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NOW), include_bytes!("../../../../tests/old/2026-11/state.json"))
            .unwrap();
        let (mut file, found) = StateFile::open(folder.path());
        assert!(found.complaints.is_empty(), "{:?}", found.complaints);
        assert_eq!((found.state.incarnation, found.state.standby), (1, false));
        let mine = cluster::DurableGroup { reserved: 2, mine: Some(1) };
        assert_eq!((found.state.groups["vip"], found.state.groups["stuck"]), (mine, mine));
        assert_eq!(found.state.peers["b"], 0);
        file.write(&found.state).unwrap();
        assert_eq!(file.generation, 3, "it goes on from there");
    }

    #[test]
    fn the_state_of_a_newer_version_with_more_in_it_is_understood() {
        let json = r#"{"generation":7,"more":1,"state":{"incarnation":4,"more":{"x":[1]},"groups":{"vip":{"reserved":9,"more":2}}}}"#;
        let text = format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()));
        let read = parse(text.as_bytes()).unwrap();
        assert_eq!((read.generation, read.state.incarnation, read.state.groups["vip"].reserved), (7, 4, 9));
    }

    #[test]
    fn what_was_written_is_read_and_the_former_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = StateFile::open(folder.path());
        file.write(&state(1)).unwrap();
        file.write(&state(2)).unwrap();
        let (_, found) = StateFile::open(folder.path());
        assert_eq!(found.state, state(2));
        fs::remove_file(folder.path().join(NOW)).unwrap();
        let (mut file, found) = StateFile::open(folder.path());
        assert_eq!(found.state, state(1));
        file.write(&state(3)).unwrap();
        assert_eq!(StateFile::open(folder.path()).1.state, state(3));
    }

    #[test]
    fn a_file_torn_at_any_length_falls_back_to_the_former() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = StateFile::open(folder.path());
        file.write(&state(1)).unwrap();
        file.write(&state(2)).unwrap();
        let whole = fs::read(folder.path().join(NOW)).unwrap();
        for length in 0..whole.len() {
            fs::write(folder.path().join(NOW), &whole[..length]).unwrap();
            let (_, found) = StateFile::open(folder.path());
            assert_eq!(found.state, state(1), "torn at {length}");
            assert_eq!(found.complaints.len(), 1);
            assert!(!found.lost);
            assert_eq!(fs::read(folder.path().join("state.json.bad")).unwrap(), whole[..length]);
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        let whole = render(&Written { generation: 5, state: &state(1) }).unwrap().into_bytes();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert!(parse(&flipped).is_err(), "bit flipped at {at}");
        }
    }

    #[test]
    fn both_damaged_is_said_to_be_a_loss() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NOW), "{}").unwrap();
        fs::write(folder.path().join(OLD), [0xff; 10]).unwrap();
        let (mut file, found) = StateFile::open(folder.path());
        assert_eq!(found.state, Durable::default());
        assert_eq!(found.complaints.len(), 2);
        assert!(found.lost);
        file.write(&state(1)).unwrap();
        let (_, found) = StateFile::open(folder.path());
        assert!(!found.lost && found.complaints.is_empty());
    }

    #[test]
    fn a_newer_former_file_wins() {
        // The crash came between the two renames of a write whose first had reached the disk.
        let folder = tempfile::tempdir().unwrap();
        let text = |generation, n| render(&Written { generation, state: &state(n) }).unwrap();
        fs::write(folder.path().join(NOW), text(4, 1)).unwrap();
        fs::write(folder.path().join(OLD), text(5, 2)).unwrap();
        assert_eq!(StateFile::open(folder.path()).1.state, state(2));
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone");
        let (mut file, _) = StateFile::open(&path);
        let error = file.write(&state(1)).unwrap_err();
        assert!(error.contains("gone/state.json.new"), "{error}");
    }
}
