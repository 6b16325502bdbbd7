//! The files that a `keepalived.conf` includes: found by pattern, bounded in number and depth.

use std::path::{Component, Path, PathBuf};

use base::config::problem::{Problem, Problems};

use super::gather::read;
use super::source::{Kind, Source, shown};

/// Files within files; one that includes itself goes deeper than any other.
const DEEPEST: usize = 16;
/// Files of a set-up, and bytes of them all.
const MOST_FILES: usize = 256;
const MOST_BYTES: usize = 8 << 20;
/// Entries of a folder that a pattern is held against.
const MOST_ENTRIES: usize = 10_000;
/// The keywords; they differ in what is done when nothing is found.
const KEYWORDS: [&str; 5] = ["include", "includer", "includem", "includew", "includeb"];

/// What has been read so far.
#[derive(Default)]
pub(super) struct Budget {
    files: usize,
    bytes: usize,
}

/// Reads what `source`, a file in a folder, includes, and what that includes.
///
/// # Errors
/// What cannot be read, and loops.
pub(super) fn resolve(source: &mut Source, depth: usize, budget: &mut Budget) -> Result<(), Problems> {
    let mut includes = Vec::new();
    let mut start = 0;
    for (index, line) in source.text.split('\n').enumerate() {
        let begin = start;
        start += line.len() + 1;
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| KEYWORDS.contains(&word)) {
            continue;
        }
        let pattern = words.next().unwrap_or_default().trim_matches('"');
        let wrong = |message: String, help: &str| {
            let span = begin..begin + line.len();
            Problems::from(Problem::at(&source.name, &source.text, span, message, Some(help.to_owned())))
        };
        if depth == DEEPEST {
            return Err(wrong(
                format!("files are included deeper than {DEEPEST}"),
                "does one of them include itself?",
            ));
        }
        let folder = Path::new(&source.name).parent().unwrap_or(Path::new(""));
        let found = matching(folder, pattern);
        if found.is_empty() && !pattern.contains(['*', '?', '[']) {
            let message = format!("there is no file '{}'", shown(pattern));
            return Err(wrong(
                message,
                "a path is seen from the folder of this file: put the file there, or remove the line",
            ));
        }
        let mut files = Vec::new();
        for path in found {
            let text = read(&path)?;
            budget.files += 1;
            budget.bytes += text.len();
            if budget.files > MOST_FILES || budget.bytes > MOST_BYTES {
                let message = format!("more than {MOST_FILES} files, or {MOST_BYTES} bytes, are included");
                return Err(wrong(message, "does one of them include itself?"));
            }
            let name = path.display().to_string();
            let mut file = Source { kind: Kind::Keepalived, name, text, includes: Vec::new() };
            resolve(&mut file, depth + 1, budget)?;
            files.push(file);
        }
        includes.push((index + 1, files));
    }
    source.includes = includes;
    Ok(())
}

/// The files that `pattern`, seen from `folder`, stands for, in the order of their names.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![if pattern.starts_with('/') { PathBuf::from("/") } else { folder.to_owned() }];
    for part in Path::new(pattern).components() {
        let Component::Normal(part) = part else {
            if part == Component::ParentDir {
                found.iter_mut().for_each(|path| path.push(".."));
            }
            continue;
        };
        let part = part.to_string_lossy();
        if !part.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(&*part));
            continue;
        }
        let mut next = Vec::new();
        for path in &found {
            let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let entries = std::fs::read_dir(here).into_iter().flatten().flatten().take(MOST_ENTRIES);
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let fits = |name: &String| name.starts_with('.') <= part.starts_with('.') && wild(&part, name);
            next.extend(names.filter(fits).map(|name| path.join(name)));
        }
        next.sort();
        next.truncate(MOST_ENTRIES);
        found = next;
    }
    found.retain(|path| path.is_file());
    found
}

/// Whether `name` fits `pattern`: `*`, `?` and `[…]`, as glob(7) has them.
fn wild(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what stands behind the last `*` does not fit.
    let mut again: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                again = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[p..], name[n]),
            Some(c) if *c == name[n] => Some(1),
            _ => None,
        };
        match (step, again) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((after, from))) => {
                (p, n) = (after, from + 1);
                again = Some((after, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The length of the class at the begin of `pattern`, if `c` is in it.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|c| *c == ']')? + 2;
    let not = matches!(pattern[1], '!' | '^');
    let inner = &pattern[if not { 2 } else { 1 }..end];
    let mut within = false;
    let mut index = 0;
    while index < inner.len() {
        match (inner.get(index + 1), inner.get(index + 2)) {
            (Some('-'), Some(last)) => {
                within |= (inner[index]..=*last).contains(&c);
                index += 3;
            }
            _ => {
                within |= inner[index] == c;
                index += 1;
            }
        }
    }
    (within != not).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_the_shell() {
        for (pattern, name) in [
            ("*.conf", "a.conf"),
            ("*", ""),
            ("a?c", "abc"),
            ("[a-c]*", "bx"),
            ("[!a]", "b"),
            ("*a*b", "xaab"),
        ] {
            assert!(wild(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.conf", "a.cfg"), ("a?c", "ac"), ("[a-c]", "d"), ("[!a]", "a"), ("[a", "a"), ("", "a")]
        {
            assert!(!wild(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_included_is_read_and_loops_end() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        put("d/b.conf", "b\n");
        put("d/a.conf", "a\n");
        put("d/.hidden.conf", "hidden\n");
        put("loop", "include loop\n");
        let resolved = |text: &str| {
            let name = folder.path().join("keepalived.conf").display().to_string();
            let mut source =
                Source { kind: Kind::Keepalived, name, text: text.to_owned(), includes: Vec::new() };
            resolve(&mut source, 0, &mut Budget::default()).map(|()| source.includes)
        };
        let includes = resolved("x\ninclude d/*.conf\ninclude none/*\n").unwrap();
        let texts: Vec<_> = includes[0].1.iter().map(|file| file.text.as_str()).collect();
        assert_eq!((includes[0].0, texts), (2, vec!["a\n", "b\n"]));
        assert!(resolved("include loop\n").unwrap_err().to_string().contains("deeper than"));
        let refused = resolved("\n include missing\n").unwrap_err();
        assert_eq!(refused.list[0].line, 2);
    }
}
