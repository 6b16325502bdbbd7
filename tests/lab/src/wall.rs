//! Wall clocks that are wrong, one per node.
//!
//! Linux cannot give a namespace its own `CLOCK_REALTIME`, and the lab does not set the clock of the machine it runs
//! on. So a small library, compiled here, is preloaded into hbd and shifts what the C library says of that clock alone.
//! Timers of the kernel on `CLOCK_REALTIME` would not see it; hbd has none.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::error::Context;
use crate::net::World;
use crate::{Result, command};

const SOURCE: &str = include_str!("wall.c");

/// The wall clocks of a world's nodes.
#[derive(Debug)]
pub struct WallClocks {
    library: PathBuf,
    folder: PathBuf,
}

impl WallClocks {
    /// Compiles the library; all clocks are right.
    ///
    /// # Errors
    /// There is no C compiler (`cc`), or the world's folder cannot be written.
    pub fn new(world: &World) -> Result<WallClocks> {
        let folder = world.dir().to_owned();
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        fs::write(&source, SOURCE).context(|| format!("cannot write {}", source.display()))?;
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
        command::run(cc, "", command::BOUND)?.success()?;
        let clocks = WallClocks { library, folder };
        for node in world.nodes() {
            clocks.set(&node, 0)?;
        }
        Ok(clocks)
    }

    /// The wall clock of a node is wrong by these seconds from now on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, node: &str, seconds: i64) -> Result<()> {
        use std::os::unix::fs::FileExt;
        let path = self.file(node);
        let what = || format!("cannot write {}", path.display());
        // Written in place: running programs have it mapped.
        let file = fs::File::options().create(true).write(true).truncate(false).open(&path).context(what)?;
        file.write_all_at(&seconds.to_ne_bytes(), 0).context(what)
    }

    /// What a program of a node needs in its environment to see that node's clock.
    pub fn environment(&self, node: &str) -> Vec<String> {
        vec![
            format!("LD_PRELOAD={}", self.library.display()),
            format!("LAB_CLOCK={}", self.file(node).display()),
        ]
    }

    fn file(&self, node: &str) -> PathBuf {
        self.folder.join(format!("{node}.clock"))
    }
}
