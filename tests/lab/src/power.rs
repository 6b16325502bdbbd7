//! A remotely controlled power switch: the fence device of the lab.
//!
//! ```text
//!  hbd on b ─▶ /etc/hbd/fence_lab ─ writes NUMBER.NODE.ask ─▶ [switch: a thread of the test] ─ cuts the power of NODE
//!                                 ◀─ reads NUMBER.NODE.done ─
//! ```
//! The folder is the world's, which machines see as the host does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Context;
use crate::net::World;
use crate::pair::Pair;
use crate::{LabError, Result};

/// The agent's path inside the machines.
pub const AGENT: &str = "/etc/hbd/fence_lab";
/// Between two looks for requests.
const LOOK: Duration = Duration::from_millis(5);

/// How the switch answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It cuts the power and says so.
    Works,
    /// It does nothing and says that it failed.
    Fails,
    /// It says nothing.
    Hangs,
}

/// The switch, while its thread runs.
#[derive(Debug)]
pub struct Switch {
    folder: PathBuf,
    mood: Mutex<Mood>,
    used: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Switch {
    /// Changes how it answers from now on.
    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = mood;
    }

    /// The nodes it was asked to switch off, in order.
    pub fn used(&self) -> Vec<String> {
        self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn look(&self, world: &World) -> Result<()> {
        for entry in fs::read_dir(&self.folder).context(|| "the switch has no folder".to_owned())?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "ask") {
                self.answer(world, &path)?;
            }
        }
        Ok(())
    }

    fn answer(&self, world: &World, ask: &Path) -> Result<()> {
        let name = ask.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let node = name.split_once('.').map(|(_, node)| node.to_owned()).unwrap_or_default();
        fs::remove_file(ask).context(|| "a request cannot be taken".to_owned())?;
        let mood = *self.mood.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        world.timeline.note(format!("the power switch is asked to fence {node}: {mood:?}"));
        self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(node.clone());
        if mood == Mood::Works && world.is_up(&node) {
            world.power_off(&node)?;
        }
        let done = ask.with_extension("done");
        match mood {
            Mood::Works => fs::write(done, "0"),
            Mood::Fails => fs::write(done, "1"),
            Mood::Hangs => Ok(()),
        }
        .context(|| "the switch cannot answer".to_owned())
    }
}

/// `[[fence]]` tables for both nodes; `more` is added to each.
pub fn tables(more: &str) -> String {
    let table = |node: &str| {
        format!(
            "\n[[fence]]\nnode = \"{node}\"\nagent = \"{AGENT}\"\noptions = {{ plug = \"{node}\" }}\n{more}\n"
        )
    };
    table("a") + &table("b")
}

/// Installs the agent on a node; to be done once for each machine (its /etc survives).
///
/// # Errors
/// The node is off.
pub fn install(world: &World, node: &str) -> Result<()> {
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
    world.write_file(node, AGENT, &script, 0o755)
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
    let switch = Switch {
        folder: folder(&pair.world)?,
        mood: Mutex::new(Mood::Works),
        used: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            while !switch.stop.load(Ordering::Relaxed) {
                switch.look(&pair.world)?;
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
