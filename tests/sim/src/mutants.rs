//! Proof that the checkers bite: the core with one thing wrong in it must be caught, by the right checker.
//!
//! A mutant is a file in `tests/sim/mutants`: a sentence, what must catch it, and changes in the manner of a
//! diff. It is applied to a copy of the sources, never to the tree; one whose text is no longer there is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs, io};

/// Seeds in which a mutant must be caught.
const SEEDS: u64 = 60_000;
/// What the copy is made of.
const CRATES: [&str; 3] = ["proto", "cluster", "tests/sim"];

/// One thing wrong.
#[derive(Debug)]
pub struct Mutant {
    /// Its name: that of its file.
    pub name: String,
    /// What is wrong.
    pub sentence: String,
    /// Checkers one of which must catch it.
    pub expect: Vec<String>,
    /// Of how many nodes the worlds are that it is looked for in.
    pub nodes: usize,
    /// The changes.
    pub hunks: Vec<Hunk>,
}

/// A change to a source file.
#[derive(Debug, Default)]
pub struct Hunk {
    /// Which file.
    pub file: String,
    /// Text that must be there once.
    pub old: String,
    /// What stands in its place.
    pub new: String,
}

/// The root of the source tree.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

impl Mutant {
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut mutant = Self {
            name: name.to_owned(),
            sentence: String::new(),
            expect: Vec::new(),
            nodes: 2,
            hunks: Vec::new(),
        };
        let mut source = String::new();
        for line in text.lines() {
            let both = |hunks: &mut Vec<Hunk>, old: Option<&str>, new: Option<&str>| {
                let Some(hunk) = hunks.last_mut() else { return };
                hunk.old.extend(old.map(|line| format!("{line}\n")));
                hunk.new.extend(new.map(|line| format!("{line}\n")));
            };
            if let Some(sentence) = line.strip_prefix("# ") {
                sentence.clone_into(&mut mutant.sentence);
            } else if let Some(names) = line.strip_prefix("expect: ") {
                mutant.expect = names.split(", ").map(str::to_owned).collect();
            } else if let Some(nodes) = line.strip_prefix("nodes: ") {
                mutant.nodes = nodes.parse().map_err(|_| format!("{name}: no number of nodes: {nodes}"))?;
            } else if let Some(file) = line.strip_prefix("file: ") {
                file.clone_into(&mut source);
            } else if line == "@@" {
                mutant.hunks.push(Hunk { file: source.clone(), ..Hunk::default() });
            } else if let Some(line) = line.strip_prefix('-') {
                both(&mut mutant.hunks, Some(line), None);
            } else if let Some(line) = line.strip_prefix('+') {
                both(&mut mutant.hunks, None, Some(line));
            } else if let Some(line) = line.strip_prefix(' ') {
                both(&mut mutant.hunks, Some(line), Some(line));
            } else if !line.is_empty() {
                return Err(format!("{name}: this line is no part of a mutant: {line}"));
            }
        }
        if mutant.expect.is_empty() || mutant.hunks.is_empty() || mutant.sentence.is_empty() {
            return Err(format!(
                "{name}: a mutant needs `# SENTENCE`, `expect: NAMES`, `file: PATH` and a change"
            ));
        }
        Ok(mutant)
    }

    /// All mutants, by name.
    pub fn all() -> Result<Vec<Self>, String> {
        let folder = root().join("tests/sim/mutants");
        let told = |error: io::Error| format!("{}: {error}", folder.display());
        let mut all = Vec::new();
        for entry in fs::read_dir(&folder).map_err(told)? {
            let path = entry.map_err(told)?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            all.push(Self::parse(&name, &fs::read_to_string(&path).map_err(told)?)?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The source files with the changes in them.
    pub fn applied(&self) -> Result<BTreeMap<String, String>, String> {
        let mut files = BTreeMap::new();
        for Hunk { file, old, new } in &self.hunks {
            let text = match files.remove(file) {
                Some(text) => text,
                None => source(file)?,
            };
            let count = text.matches(old.as_str()).count();
            if old.is_empty() || count != 1 {
                return Err(format!(
                    "{}: in {file} there is {count} times what the mutant changes; mend the mutant:\n{old}",
                    self.name
                ));
            }
            files.insert(file.clone(), text.replacen(old.as_str(), new, 1));
        }
        Ok(files)
    }
}

/// A source file as it is in the tree.
pub fn source(file: &str) -> Result<String, String> {
    fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))
}

/// A copy of the sources in which mutants are made and built.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn make() -> Result<Self, String> {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let copy = Self { folder: target.join("mutants") };
        for part in CRATES {
            copy.refresh(&root().join(part), &copy.folder.join(part)).map_err(|error| error.to_string())?;
        }
        let read =
            |name: &str| fs::read_to_string(root().join(name)).map_err(|error| format!("{name}: {error}"));
        let manifest = read("Cargo.toml")?;
        let members = manifest.lines().find(|line| line.starts_with("members = ")).unwrap_or_default();
        let manifest = manifest.replace(members, r#"members = ["proto", "cluster", "tests/sim"]"#);
        copy.write("Cargo.toml", &manifest)?;
        copy.write("Cargo.lock", &source("Cargo.lock")?)?;
        Ok(copy)
    }

    /// Copies what is different, so that what is not is not built again.
    fn refresh(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let path = entry?.path();
            let Some(name) = path.file_name() else { continue };
            let there = to.join(name);
            if path.is_dir() {
                self.refresh(&path, &there)?;
            } else if fs::read(&there).ok() != Some(fs::read(&path)?) {
                fs::write(&there, fs::read(&path)?)?;
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn build(&self) -> Result<PathBuf, String> {
        let target = self.folder.join("target");
        let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--offline", "--quiet", "--profile", "sim", "-p", "sim", "--target-dir"])
            .arg(&target)
            .current_dir(&self.folder)
            // Quick to build is more here than quick to run.
            .env("CARGO_PROFILE_SIM_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_SIM_INCREMENTAL", "true")
            .env("CARGO_PROFILE_SIM_DEBUG", "false")
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        if built.status.success() {
            return Ok(target.join("sim/sim"));
        }
        Err(format!("it does not build:\n{}", String::from_utf8_lossy(&built.stderr)))
    }
}

/// Makes each mutant whose name contains `only` and sees whether it is caught; the names of those that survive.
pub fn run(only: &str, threads: usize) -> Result<Vec<String>, String> {
    let all: Vec<Mutant> = Mutant::all()?.into_iter().filter(|mutant| mutant.name.contains(only)).collect();
    // All of them first: one that does not fit any more is known before anything is built.
    let texts: Vec<BTreeMap<String, String>> = all.iter().map(Mutant::applied).collect::<Result<_, _>>()?;
    let copy = Copy::make()?;
    // The tree may change while this runs; the copy does not.
    let files: BTreeSet<&String> = texts.iter().flat_map(BTreeMap::keys).collect();
    let whole: BTreeMap<&String, String> =
        files.into_iter().map(|file| Ok((file, source(file)?))).collect::<Result<_, String>>()?;
    let mut survivors = Vec::new();
    println!("{:34} {:24} {:>9} {:>6}  what is wrong", "mutant", "caught by", "at seed", "took");
    for (mutant, files) in all.iter().zip(&texts) {
        let started = Instant::now();
        for (file, text) in files {
            copy.write(file, text)?;
        }
        let built = copy.build().map_err(|error| format!("{}: {error}", mutant.name));
        let caught = built.and_then(|program| hunt(&program, mutant, threads));
        for file in files.keys() {
            copy.write(file, &whole[file])?;
        }
        let (by, seed) = caught?.unwrap_or_else(|| ("SURVIVES".to_owned(), "-".to_owned()));
        if seed == "-" {
            survivors.push(mutant.name.clone());
        }
        let took = started.elapsed().as_secs();
        println!("{:34} {by:24} {seed:>9} {took:>4} s  {}", mutant.name, mutant.sentence);
    }
    println!("{} mutants, {} caught, {} survive", all.len(), all.len() - survivors.len(), survivors.len());
    Ok(survivors)
}

/// Runs seeds until a checker that is expected to catch it does: which, and in which seed.
fn hunt(program: &Path, mutant: &Mutant, threads: usize) -> Result<Option<(String, String)>, String> {
    let output = Command::new(program)
        .args(["--brief", "--seeds", &SEEDS.to_string(), "--threads", &threads.to_string()])
        .args(["--nodes", &mutant.nodes.to_string(), "--until", &mutant.expect.join(",")])
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().find_map(|line| line.strip_prefix("seed ")?.split_once(": "));
    Ok(found.and_then(|(seed, rest)| Some((rest.split_once(": ")?.0.to_owned(), seed.to_owned()))))
}
