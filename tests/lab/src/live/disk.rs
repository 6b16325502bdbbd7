//! A small disk of its own for each node's state, which can be filled, and which outlives the node's power.
//!
//! It is a tmpfs in the lab's own mount namespace; a node that boots sees it and binds it to /var/lib/hbd.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::Result;
use crate::error::Context;
use crate::net::World;

const SIZE: &str = "size=6m,mode=755";
const STATE: &str = "/var/lib/hbd";

/// Leaves the mount namespace this process was started in: what is mounted from here on is seen by nobody else.
///
/// # Errors
/// Not root, or not allowed.
pub fn own_mounts() -> Result<()> {
    let nothing: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)
        .context(|| "cannot leave the mount namespace (root is needed)".to_owned())?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .context(|| "cannot make mounts private".to_owned())
}

/// The disks of nodes. To be dropped before the world.
#[derive(Debug)]
pub struct Disks(Vec<(String, PathBuf)>);

impl Disks {
    /// Mounts them; [`own_mounts`] was called before. Nodes see their disk from their next boot on.
    ///
    /// # Errors
    /// A mount is refused.
    pub fn new(world: &World, nodes: &[&str]) -> Result<Disks> {
        let mut disks = Disks(Vec::new());
        for node in nodes {
            let path = world.dir_of(node).join("state");
            fs::create_dir_all(&path).context(|| format!("cannot make {}", path.display()))?;
            mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(SIZE))
                .context(|| format!("cannot mount {}", path.display()))?;
            disks.0.push(((*node).to_owned(), path));
        }
        Ok(disks)
    }

    /// Puts the disk of a node that has just booted where hbd keeps its state.
    ///
    /// # Errors
    /// The node is off.
    pub fn attach(&self, world: &World, node: &str) -> Result<()> {
        let path = self.path(node).display().to_string();
        world.must(node, &["mount", "--bind", &path, STATE]).map(drop)
    }

    /// Writes until nothing more goes in.
    ///
    /// # Errors
    /// The file cannot be made at all.
    pub fn fill(&self, node: &str) -> Result<()> {
        let path = self.path(node).join("filler");
        let mut file = File::create(&path).context(|| format!("cannot make {}", path.display()))?;
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
        Ok(())
    }

    /// Makes room again.
    pub fn free(&self, node: &str) {
        // Filled with nothing to fill: then there is no file.
        let _ = fs::remove_file(self.path(node).join("filler"));
    }

    /// Cuts the state files off after this part (percent) of their length.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn tear(&self, node: &str, percent: u64) -> Result<()> {
        for name in ["state.json", "state.json.old"] {
            let path = self.path(node).join(name);
            let Ok(file) = File::options().write(true).open(&path) else { continue };
            let what = || format!("cannot tear {}", path.display());
            let length = file.metadata().context(what)?.len();
            file.set_len(length * percent / 100).context(what)?;
        }
        Ok(())
    }

    fn path(&self, node: &str) -> PathBuf {
        self.0.iter().find(|(name, _)| name == node).map(|(_, path)| path.clone()).unwrap_or_default()
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for (_, path) in &self.0 {
            // Nodes that still run have it mounted themselves.
            let _ = umount2(path, MntFlags::MNT_DETACH);
        }
    }
}
