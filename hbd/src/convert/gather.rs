//! The old files, read from the disk within bounds.

use std::io::Read;
use std::path::{Path, PathBuf};

use base::config::problem::{Problem, Problems};
use base::config::reason;

use super::source::{Kind, Source};
use super::{haresources, include};

/// Largest file that is read: more than any of these has.
const MAX_BYTES: u64 = 1 << 20;
/// Files of one set-up.
const MAX_FILES: usize = 256;

/// Reads the files and folders at `paths`, with what belongs to them.
///
/// # Errors
/// What cannot be read or is no file of a set-up.
pub fn gather(paths: &[PathBuf]) -> Result<Vec<Source>, Problems> {
    let mut sources = Vec::new();
    let mut problems = Problems::default();
    for path in paths {
        let found = if path.is_dir() { folder(path) } else { file(path).map(|source| vec![source]) };
        match found {
            Ok(found) => sources.extend(found),
            Err(more) => problems.list.extend(more.list),
        }
    }
    // The same file by its folder and by its own name.
    let mut seen: Vec<PathBuf> = Vec::new();
    sources.retain(|source| {
        let path = std::fs::canonicalize(&source.name).unwrap_or_else(|_| PathBuf::from(&source.name));
        let fresh = !seen.contains(&path);
        seen.push(path);
        fresh
    });
    if problems.list.is_empty() { Ok(sources) } else { Err(problems) }
}

fn file(path: &Path) -> Result<Source, Problems> {
    let text = read(path)?;
    let name = path.display().to_string();
    match Kind::of(&name, &text) {
        Some(kind) => {
            let mut source = source(kind, name, text);
            if kind == Kind::Keepalived {
                include::resolve(&mut source, 0, &mut include::Budget::default())?;
            }
            Ok(source)
        }
        None => {
            let message = "this is no file of Heartbeat, ldirectord, Piranha or keepalived".to_owned();
            let help =
                "name ha.cf, haresources, ldirectord.cf, lvs.cf or keepalived.conf, or the folder ha.d";
            Err(Problem::whole(&name, message, Some(help.to_owned())).into())
        }
    }
}

fn source(kind: Kind, name: String, text: String) -> Source {
    Source { kind, name, text, includes: Vec::new() }
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Problems> {
    let name = path.display().to_string();
    let whole =
        |message: String, help: &str| Problems::from(Problem::whole(&name, message, Some(help.to_owned())));
    let mut bytes = Vec::new();
    let regular = std::fs::metadata(path).map(|data| data.is_file());
    if regular.as_ref().is_ok_and(|regular| !regular) {
        return Err(whole("it is no regular file".to_owned(), "name a file with an old configuration"));
    }
    let opened = regular.and_then(|_| std::fs::File::open(path));
    if let Err(error) = opened.and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)) {
        let help = "check the path, and whether you may read it";
        return Err(whole(format!("cannot read it: {}", reason(&error)), help));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(whole(format!("the file is larger than {MAX_BYTES} bytes"), "is this the right file?"));
    }
    // Editors of Windows put a mark before the text.
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(.."\u{feff}".len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let help = "save it as UTF-8: iconv -f LATIN1 -t UTF-8 FILE";
        Problem::at(&name, &text, at..at + 1, "the file is not UTF-8".to_owned(), Some(help.to_owned()))
            .into()
    })
}

/// A folder `ha.d`: Heartbeat's files, and the files of ldirectord that `haresources` names.
fn folder(path: &Path) -> Result<Vec<Source>, Problems> {
    let mut sources = Vec::new();
    let mut problems = Problems::default();
    for (name, kind) in
        [("ha.cf", Kind::HaCf), ("haresources", Kind::HaResources), ("authkeys", Kind::AuthKeys)]
    {
        let file = path.join(name);
        if !file.exists() {
            continue;
        }
        match read(&file) {
            Ok(text) => sources.push(source(kind, file.display().to_string(), text)),
            Err(_) if kind == Kind::AuthKeys => {}
            Err(more) => problems.list.extend(more.list),
        }
    }
    let names = sources.iter().find(|source| source.kind == Kind::HaResources).map(ldirectord_files);
    for name in names.unwrap_or_else(|| vec!["ldirectord.cf".to_owned()]).iter().take(MAX_FILES) {
        let Some(file) = ldirectord_file(path, name) else { continue };
        match read(&file) {
            Ok(text) => sources.push(source(Kind::Ldirectord, file.display().to_string(), text)),
            Err(more) => problems.list.extend(more.list),
        }
    }
    // The folders of the others: /etc/keepalived, /etc/sysconfig/ha.
    let others = ["keepalived.conf", "lvs.cf"].map(|name| path.join(name));
    if let Some(other) = others.iter().find(|other| sources.is_empty() && other.is_file()) {
        return file(other).map(|source| vec![source]);
    }
    if sources.is_empty() && problems.list.is_empty() {
        let help = "name the folder with ha.cf and haresources, or a file";
        let message = "there is no file of an old set-up in this folder".to_owned();
        return Err(Problem::whole(&path.display().to_string(), message, Some(help.to_owned())).into());
    }
    if problems.list.is_empty() { Ok(sources) } else { Err(problems) }
}

/// The files that the resources `ldirectord` and `ldirectord::FILE` read.
fn ldirectord_files(resources: &Source) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in haresources::parse(resources).unwrap_or_default() {
        for resource in line.resources {
            let mut words = resource.split("::");
            if words.next() == Some("ldirectord") {
                let name = words.next().filter(|name| !name.is_empty()).unwrap_or("ldirectord.cf").to_owned();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    names
}

/// Where ldirectord would look for `name`, were `folder` /etc/ha.d.
fn ldirectord_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let name = name.strip_prefix("/etc/ha.d/").unwrap_or(name);
    let below = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let places = [folder.join(name), folder.join("conf").join(name)];
    places.into_iter().find(|path| below && path.is_file())
}
