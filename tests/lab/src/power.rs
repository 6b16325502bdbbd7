//! A remotely controlled power switch: the fence device of the lab.
//!
//! ```text
//!  hbd on b ─▶ /etc/hbd/fence_lab ─ writes NUMBER.NODE.ask ─▶ [switch: a thread of the test] ─ cuts the power of NODE
//!                                 ◀─ reads NUMBER.NODE.done ─
//! ```
//! The folder is the world's, which machines see as the host does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::error::Context;
use crate::net::World;
use crate::pair::Pair;
use crate::scenario::check;
use crate::{LabError, Result};

/// The agent's path inside the machines.
pub const AGENT: &str = "/etc/hbd/fence_lab";
/// Between two looks for requests.
const LOOK: Duration = Duration::from_millis(5);

/// How the switch answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It cuts the power and says so.
    #[default]
    Works,
    /// It does nothing and says that it failed.
    Fails,
    /// It does nothing and says nothing.
    Hangs,
    /// It cuts the power and says that it failed.
    Denies,
    /// It does nothing and says that it cut the power.
    Lies,
}

/// One use of the switch.
#[derive(Clone, Debug)]
pub struct Use {
    /// The node that asked.
    pub by: String,
    /// The node that was to be switched off.
    pub node: String,
    /// How it was answered.
    pub mood: Mood,
    /// A running machine lost its power.
    pub cut: bool,
    /// When it was asked.
    pub at: Instant,
}

/// The switch, while its thread runs.
#[derive(Debug)]
pub struct Switch {
    folder: PathBuf,
    /// How it answers for each node, where not as usual.
    moods: Mutex<BTreeMap<String, Mood>>,
    uses: Mutex<Vec<Use>>,
    stop: AtomicBool,
}

impl Switch {
    /// Changes how it answers from now on, whoever is to be switched off.
    pub fn set(&self, mood: Mood) {
        ["a", "b"].iter().for_each(|node| self.set_for(node, mood));
    }

    /// Changes how it answers from now on if this node is to be switched off.
    pub fn set_for(&self, node: &str, mood: Mood) {
        lock(&self.moods).insert(node.to_owned(), mood);
    }

    /// The nodes it was asked to switch off, in order.
    pub fn used(&self) -> Vec<String> {
        lock(&self.uses).iter().map(|one| one.node.clone()).collect()
    }

    /// All that it was asked for, in order.
    pub fn uses(&self) -> Vec<Use> {
        lock(&self.uses).clone()
    }

    fn look(&self, pair: &Pair, tell: &Teller<'_>) -> Result<()> {
        for entry in fs::read_dir(&self.folder).context(|| "the switch has no folder".to_owned())?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "ask") {
                self.answer(pair, &path, tell)?;
            }
        }
        Ok(())
    }

    fn answer(&self, pair: &Pair, ask: &Path, tell: &Teller<'_>) -> Result<()> {
        let world = &pair.world;
        let name = ask.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let (from, node) = name.split_once('.').unwrap_or_default();
        let by = from.rsplit_once('-').map(|(by, _)| by.to_owned()).unwrap_or_default();
        fs::remove_file(ask).context(|| "a request cannot be taken".to_owned())?;
        let (mood, at) = (lock(&self.moods).get(node).copied().unwrap_or_default(), Instant::now());
        world.timeline.note(format!("the power switch is asked by {by} to fence {node}: {mood:?}"));
        let cut = matches!(mood, Mood::Works | Mood::Denies) && world.is_up(node);
        let used = Use { by, node: node.to_owned(), mood, cut, at };
        lock(&self.uses).push(used.clone());
        if cut && let Err(e) = pair.power_off(node) {
            // The scenario may have been quicker.
            check(!world.is_up(node), || e.to_string())?;
        }
        tell(&used)?;
        let done = ask.with_extension("done");
        match mood {
            Mood::Works | Mood::Lies => fs::write(done, "0"),
            Mood::Fails | Mood::Denies => fs::write(done, "1"),
            Mood::Hangs => Ok(()),
        }
        .context(|| "the switch cannot answer".to_owned())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// `[[fence]]` tables for both nodes; `more` is added to each.
pub fn tables(more: &str) -> String {
    table("a", more) + &table("b", more)
}

/// A `[[fence]]` table for a node, with further lines.
pub fn table(node: &str, more: &str) -> String {
    format!(
        "\n[[fence]]\nnode = \"{node}\"\nagent = \"{AGENT}\"\noptions = {{ plug = \"{node}\" }}\n{more}\n"
    )
}

/// Installs the agent on both nodes; to be done once (their /etc survives).
///
/// # Errors
/// One is off.
pub fn install(world: &World) -> Result<()> {
    let folder = folder(world)?;
    let script = format!(
        "#!/bin/sh\n# A fence agent: options on standard input, exit 0 is success.\n\
         action=reboot plug=\n\
         while IFS='=' read -r name value; do\n\
         case $name in action) action=$value ;; plug) plug=$value ;; esac\n\
         done\n\
         [ \"$action\" = monitor ] && {{ [ ! -e {folder}/broken ] && exit 0; echo 'no route to the switch' >&2; exit 1; }}\n\
         name={folder}/$HBD_NODE-$$.$plug\n\
         : > \"$name.new\" && mv \"$name.new\" \"$name.ask\"\n\
         while [ ! -e \"$name.done\" ]; do sleep 0.02; done\n\
         exit \"$(cat \"$name.done\")\"\n",
        folder = folder.display()
    );
    ["a", "b"].iter().try_for_each(|node| world.write_file(node, AGENT, &script, 0o755))
}

/// Breaks or mends the way to the switch, as `monitor` sees it.
///
/// # Errors
/// The folder is gone.
pub fn set_broken(world: &World, broken: bool) -> Result<()> {
    let mark = folder(world)?.join("broken");
    let done = if broken { fs::write(&mark, "") } else { fs::remove_file(&mark) };
    done.context(|| "the switch cannot be broken or mended".to_owned())
}

fn folder(world: &World) -> Result<PathBuf> {
    let folder = world.dir().join("power");
    fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Runs `work` while a switch answers; a switch that breaks fails the scenario.
///
/// # Errors
/// Those of `work`, and the switch's own.
pub fn with_switch(pair: &Pair, work: impl FnOnce(&Switch) -> Result<()>) -> Result<()> {
    with_told_switch(pair, &|_| Ok(()), work)
}

/// Who is told of each use of the switch, when what is to be done is done and before that is said.
pub type Teller<'t> = dyn Fn(&Use) -> Result<()> + Sync + 't;

/// As [`with_switch`], with somebody who is told of each use.
///
/// # Errors
/// Those of `work`, the switch's own, and those of who is told.
pub fn with_told_switch(
    pair: &Pair,
    tell: &Teller<'_>,
    work: impl FnOnce(&Switch) -> Result<()>,
) -> Result<()> {
    let switch = Switch {
        folder: folder(&pair.world)?,
        moods: Mutex::default(),
        uses: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            while !switch.stop.load(Ordering::Relaxed) {
                switch.look(pair, tell)?;
                std::thread::sleep(LOOK);
            }
            Ok(())
        });
        let done = work(&switch);
        switch.stop.store(true, Ordering::Relaxed);
        let broken =
            running.join().unwrap_or_else(|_| Err(LabError::new("the power switch's thread panicked")));
        done.and(broken)
    })
}
