//! The events file: one [`StoredEvent`] a line, bounded by turning the page at 1 MiB.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::control::StoredEvent;

const NOW: &str = "events.jsonl";
const BEFORE: &str = "events.1.jsonl";
/// A new page is begun when one is this long; two pages are kept.
const PAGE: u64 = 1 << 20;
/// Events kept in memory.
pub const KEPT: usize = 1000;

/// The open events file.
#[derive(Debug)]
pub struct EventsFile {
    folder: PathBuf,
    page: Option<File>,
    length: u64,
    limit: u64,
}

/// What a former life left.
#[derive(Debug, Default)]
pub struct Former {
    /// The newest, oldest first, at most [`KEPT`].
    pub events: VecDeque<Arc<StoredEvent>>,
    /// The number the next event has.
    pub next: u64,
}

impl EventsFile {
    /// Reads what is in `folder`. Lines that are torn or damaged are passed over. The file itself
    /// is opened at the first write.
    pub fn open(folder: &Path) -> (EventsFile, Former) {
        let mut former = Former { events: VecDeque::new(), next: 1 };
        for name in [BEFORE, NOW] {
            if let Ok(file) = File::open(folder.join(name)) {
                read_page(file, &mut former);
            }
        }
        (EventsFile { folder: folder.to_owned(), page: None, length: 0, limit: PAGE }, former)
    }

    /// Appends one event.
    ///
    /// # Errors
    /// With what was tried. The next call tries again from the start.
    pub fn append(&mut self, event: &StoredEvent) -> Result<(), String> {
        let path = self.folder.join(NOW);
        self.try_append(&path, event).map_err(|error| {
            self.page = None;
            format!("cannot write {}: {error}", path.display())
        })
    }

    fn try_append(&mut self, path: &Path, event: &StoredEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        if self.page.is_some() && self.length + line.len() as u64 > self.limit {
            self.page = None;
            fs::rename(path, self.folder.join(BEFORE))?;
        }
        let page = match &mut self.page {
            Some(page) => page,
            none => {
                let mut page = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
                self.length = page.metadata()?.len();
                // A line torn by a crash must not swallow the next one. An empty line is passed over.
                if self.length > 0 {
                    page.write_all(b"\n")?;
                    self.length += 1;
                }
                none.insert(page)
            }
        };
        page.write_all(&line)?;
        self.length += line.len() as u64;
        Ok(())
    }
}

fn read_page(file: File, former: &mut Former) {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let Ok(event) = serde_json::from_slice::<StoredEvent>(&line) else { continue };
        former.next = former.next.max(event.number.saturating_add(1));
        if former.events.len() == KEPT {
            former.events.pop_front();
        }
        former.events.push_back(Arc::new(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> StoredEvent {
        StoredEvent {
            number,
            time: "2026-11-23T00:00:00.000Z".into(),
            node: "a".into(),
            event: cluster::Event {
                level: cluster::Level::Info,
                kind: "group".into(),
                subject: "vip".into(),
                from: None,
                to: Some("started".into()),
                why: "it was asked for".into(),
                took_ms: Some(1),
            },
        }
    }

    #[test]
    fn numbers_and_events_go_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, former) = EventsFile::open(folder.path());
        assert_eq!(former.next, 1);
        for number in 1..=3 {
            file.append(&event(number)).unwrap();
        }
        let (mut file, former) = EventsFile::open(folder.path());
        assert_eq!(former.next, 4);
        assert_eq!(*former.events[2], event(3));
        file.append(&event(4)).unwrap();
        assert_eq!(EventsFile::open(folder.path()).1.events.len(), 4);
    }

    /// As a version of November 2026 (commit 65d1a9e) left them.
    #[test]
    fn the_events_of_an_older_version_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        let text = include_str!("../../../../tests/old/2026-11/events.jsonl");
        fs::write(folder.path().join(NOW), text).unwrap();
        let former = EventsFile::open(folder.path()).1;
        assert_eq!((former.events.len(), former.next), (text.lines().count(), 15));
        let blocked = former.events.iter().find(|e| e.event.to.as_deref() == Some("blocked")).unwrap();
        assert_eq!((blocked.event.subject.as_str(), blocked.event.level), ("stuck", cluster::Level::Error));
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = EventsFile::open(folder.path());
        file.append(&event(1)).unwrap();
        file.append(&event(2)).unwrap();
        let whole = fs::read(folder.path().join(NOW)).unwrap();
        fs::write(folder.path().join(NOW), &whole[..whole.len() - 20]).unwrap();
        let (mut file, former) = EventsFile::open(folder.path());
        assert_eq!(former.events.len(), 1);
        file.append(&event(2)).unwrap();
        let former = EventsFile::open(folder.path()).1;
        assert_eq!(former.events.iter().map(|e| e.number).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn two_pages_are_kept_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = EventsFile::open(folder.path());
        file.limit = 2000;
        for number in 1..=100 {
            file.append(&event(number)).unwrap();
        }
        let sizes: u64 =
            fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(sizes <= 4000, "{sizes} bytes");
        let former = EventsFile::open(folder.path()).1;
        assert_eq!(former.next, 101);
        let numbers: Vec<_> = former.events.iter().map(|e| e.number).collect();
        assert!(numbers.len() > 10 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }

    #[test]
    fn an_error_is_told_and_healed_from() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = EventsFile::open(&folder.path().join("later"));
        assert!(file.append(&event(1)).unwrap_err().contains("later/events.jsonl"));
        fs::create_dir(folder.path().join("later")).unwrap();
        file.append(&event(1)).unwrap();
    }
}
