//! Programs and libraries that a node shares with no other node.
//!
//! Both nodes of a lab run the same files, so each page of program text is shared by two daemons, and Pss counts
//! half of it for each. On two machines nobody shares it. The standby is therefore given copies of its own, mounted
//! over the files in its mount namespace; what the rest of the machine uses as well (libc) stays shared with it.

use crate::Result;
use crate::error::Context;
use crate::net::World;

/// Gives `node` its own copies of these files. To be done before the programs are started there.
///
/// # Errors
/// A file cannot be copied or mounted.
pub fn own_copies(world: &World, node: &str, files: &[String]) -> Result<()> {
    let folder = world.dir_of(node).join("own");
    std::fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    for (number, file) in files.iter().enumerate() {
        let copy = folder.join(number.to_string());
        std::fs::copy(file, &copy).context(|| format!("cannot copy {file}"))?;
        world.must(node, &["mount", "--bind", &copy.display().to_string(), file])?;
    }
    Ok(())
}
