//! `hbctl convert`: our TOML for an old set-up.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::{Common, Only};
use super::commands::print_json;
use super::fail::Fail;
use super::text::count;
use crate::config::Problems;
use crate::convert::{self, Converted, Doc, Options, gather};

/// The options of the command.
pub(super) struct Wanted<'a> {
    pub(super) sources: &'a [PathBuf],
    pub(super) output: Option<&'a Path>,
    pub(super) only: Option<Only>,
    pub(super) nodes: Option<&'a [String]>,
    pub(super) force: bool,
}

/// A file to be written: its name and what is in it.
type File<'a> = (&'static str, &'a Doc);

/// Converts the sources, prints or writes the files, and says what could not be carried over.
pub(super) fn run(common: &Common, wanted: &Wanted<'_>) -> Result<(), Fail> {
    if wanted.force && wanted.output.is_none() {
        return Err(Fail::Usage("--force is for --output".to_owned()));
    }
    let options = wanted.nodes.map(names).transpose()?.unwrap_or_default();
    let sources = gather::gather(wanted.sources).map_err(failed)?;
    let converted = convert::convert(&sources, &options).map_err(failed)?;
    let files = choose(&converted, wanted.only)?;
    match wanted.output {
        Some(folder) => write_all(common, folder, &files, wanted.force)?,
        None => print(common, &files)?,
    }
    say_remarks(&files);
    Ok(())
}

/// The two names of `--nodes`.
fn names(given: &[String]) -> Result<Options, Fail> {
    match given {
        [first, second] if !first.is_empty() && !second.is_empty() => {
            Options::with_nodes(first, second).map_err(|why| Fail::Usage(format!("--nodes: {why}")))
        }
        _ => Err(Fail::Usage("--nodes takes two names with a comma between: --nodes alpha,beta".to_owned())),
    }
}

/// What is wrong with the old files: nothing is written.
fn failed(problems: Problems) -> Fail {
    Fail::Refused(format!("nothing was converted\n{}", problems.render(false)))
}

/// The files that are wanted.
fn choose(converted: &Converted, only: Option<Only>) -> Result<Vec<File<'_>>, Fail> {
    let hbd = converted.hbd.as_ref().filter(|_| only != Some(Only::Director));
    let director = converted.director.as_ref().filter(|_| only != Some(Only::Hbd));
    let files: Vec<File<'_>> = hbd
        .map(|doc| ("hbd.toml", doc))
        .into_iter()
        .chain(director.map(|doc| ("director.toml", doc)))
        .collect();
    match files.is_empty() {
        true => {
            Err(Fail::Refused("the sources have nothing for that file in them: leave out --only".to_owned()))
        }
        false => Ok(files),
    }
}

fn print(common: &Common, files: &[File<'_>]) -> Result<(), Fail> {
    let mut stdout = io::stdout().lock();
    if common.json {
        return print_json(&mut stdout, &as_json(files, &[]));
    }
    for (index, (name, doc)) in files.iter().enumerate() {
        if files.len() > 1 {
            let line = "#".repeat(72);
            let empty = if index == 0 { "" } else { "\n" };
            writeln!(
                stdout,
                "{empty}{line}\n# {name}: file {} of {}. To have them apart: hbctl convert --output DIR,",
                index + 1,
                files.len()
            )?;
            writeln!(stdout, "# or --only hbd and --only director.\n{line}")?;
        }
        stdout.write_all(doc.render().as_bytes())?;
    }
    Ok(stdout.flush()?)
}

fn as_json(files: &[File<'_>], written: &[PathBuf]) -> serde_json::Value {
    let remarks: Vec<String> =
        files.iter().flat_map(|(_, doc)| doc.remarks()).map(convert::Remark::in_one_line).collect();
    let texts: serde_json::Map<String, serde_json::Value> =
        files.iter().map(|(name, doc)| ((*name).to_owned(), doc.render().into())).collect();
    json!({ "files": texts, "remarks": remarks, "written": written })
}

/// Says what a person has to look at, what means something else here, and what was left behind.
fn say_remarks(files: &[File<'_>]) {
    let mut stderr = io::stderr().lock();
    let mut remarks = 0;
    for remark in files.iter().flat_map(|(_, doc)| doc.remarks()) {
        remarks += 1;
        // The file is out, and has it too: a stderr that is gone changes nothing.
        let _ = writeln!(stderr, "{}", remark.in_one_line());
    }
    if remarks > 0 {
        let _ =
            writeln!(stderr, "hbctl: {} to look at, also in the converted text", count(remarks, "remark"));
    }
}

/// Writes the files into `folder`: all of them, or none if one is in the way.
fn write_all(common: &Common, folder: &Path, files: &[File<'_>], force: bool) -> Result<(), Fail> {
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| !force && path.symlink_metadata().is_ok()) {
        let message =
            format!("{} exists and is left alone: nothing was written; --force replaces it", there.display());
        return Err(Fail::Refused(message));
    }
    for (path, (_, doc)) in paths.iter().zip(files) {
        write(path, doc.render().as_bytes(), force)?;
    }
    let mut stdout = io::stdout().lock();
    if common.json {
        return print_json(&mut stdout, &as_json(files, &paths));
    }
    for path in &paths {
        writeln!(stdout, "wrote {}, mode 0640", path.display())?;
    }
    Ok(())
}

/// Writes a file of mode 0640; with `force` in the place of the one that is there, whole or not at all.
fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), Fail> {
    let shown = path.display();
    let new = if force { path.with_extension("toml.new") } else { path.to_owned() };
    if force {
        // Of an earlier try that was cut short.
        let _ = std::fs::remove_file(&new);
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new);
    let mut file = opened.map_err(|error| {
        Fail::Refused(match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{shown} exists and is left alone: --force replaces it"),
            io::ErrorKind::NotFound => format!("cannot make {shown}: the folder is not there"),
            _ => format!("cannot make {shown}: {error}"),
        })
    })?;
    let done = file.write_all(bytes).and_then(|()| file.sync_all());
    let done = done.and_then(|()| if force { std::fs::rename(&new, path) } else { Ok(()) });
    done.map_err(|error| {
        // Half a file is of no use, and would be in the way of the next try.
        let _ = std::fs::remove_file(&new);
        Fail::Refused(format!("cannot write {shown}: {error}"))
    })
}
