//! The kernel's switches that decide what clients see (ipvs-sysctl in the kernel's documentation).
//!
//! IPVS's own, under `net.ipv4.vs`, are set: there is one director on a machine. What the whole machine depends on
//! (forwarding) is only looked at.

use std::fs;
use std::path::{Path, PathBuf};

use crate::table::{Family, Forward, Key, Protocol, Table};

/// IPVS's switches and what they shall be.
const WANTED: [(&str, &str); 3] = [
    // The connections of a real server that is gone end, and the client comes again; else they hang.
    ("expire_nodest_conn", "1"),
    // Clients of a real server with weight 0 that come back go elsewhere, whatever the persistence.
    ("expire_quiescent_template", "1"),
    // A client that takes a port again is a new connection.
    ("conn_reuse_mode", "1"),
];

/// The folder of the switches, which tests put elsewhere.
#[derive(Debug)]
pub struct Switches {
    net: PathBuf,
}

impl Switches {
    /// Those of the network namespace of the calling thread.
    pub fn of_this_kernel() -> Switches {
        Switches::at(Path::new("/proc/sys/net"))
    }

    fn at(net: &Path) -> Switches {
        Switches { net: net.into() }
    }

    /// Sets and looks; a sentence for each that is not as `table` needs it.
    pub fn prepare(&self, table: &Table) -> Vec<String> {
        let mut said: Vec<String> =
            WANTED.iter().filter_map(|(name, value)| self.set(&format!("ipv4/vs/{name}"), value)).collect();
        // Where the scheduler finds the same real server again, a connection that nobody told of can go on here.
        if hashed(table) {
            said.extend(self.set("ipv4/vs/sloppy_tcp", "1"));
        }
        for (family, file) in [(Family::V4, "ipv4/ip_forward"), (Family::V6, "ipv6/conf/all/forwarding")] {
            if masquerades(table, family) && self.read(file).as_deref() == Some("0") {
                let name = dotted(file);
                said.push(format!(
                    "{name} is 0: answers of masqueraded real servers do not pass (sysctl -w {name}=1)"
                ));
            }
        }
        said
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.net.join(file)).ok().map(|text| text.trim().to_owned())
    }

    fn set(&self, file: &str, value: &str) -> Option<String> {
        // An older kernel that has no such switch has nothing to be set.
        let found = self.read(file)?;
        if found == value {
            return None;
        }
        let error = fs::write(self.net.join(file), value).err()?;
        let name = dotted(file);
        Some(format!("{name} is {found} and cannot be set to {value}: {error} (sysctl -w {name}={value})"))
    }
}

fn dotted(file: &str) -> String {
    format!("net.{}", file.replace('/', "."))
}

/// Whether every TCP service finds the real server of a client by its address.
fn hashed(table: &Table) -> bool {
    let mut tcp = table
        .iter()
        .filter(|(key, _)| matches!(key, Key::Mark(..) | Key::Address(Protocol::Tcp, _)))
        .peekable();
    tcp.peek().is_some() && tcp.all(|(_, service)| ["sh", "mh"].contains(&service.scheduler.as_str()))
}

fn masquerades(table: &Table, family: Family) -> bool {
    let of_family = table.iter().filter(|(key, _)| key.family() == family);
    of_family.flat_map(|(_, service)| service.dests.values()).any(|dest| dest.forward == Forward::Masq)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::table::{Dest, Service};

    fn table(scheduler: &str, forward: Forward) -> Table {
        let dest = Dest { weight: 1, forward, upper: 0, lower: 0 };
        let service = Service {
            scheduler: scheduler.into(),
            flags: Default::default(),
            persistent: None,
            netmask: u32::MAX,
            engine: None,
            dests: BTreeMap::from([("10.0.0.2:80".parse().unwrap(), dest)]).into(),
        };
        Table::from([(Key::Address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap()), service)])
    }

    #[test]
    fn what_is_ours_is_set_and_what_is_the_machines_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, value: &str| {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        };
        for name in ["expire_nodest_conn", "expire_quiescent_template", "sloppy_tcp"] {
            write(&format!("ipv4/vs/{name}"), "0\n");
        }
        write("ipv4/ip_forward", "0\n");
        let switches = Switches::at(folder.path());
        assert_eq!(switches.prepare(&table("wlc", Forward::Gate)), Vec::<String>::new());
        assert_eq!(switches.read("ipv4/vs/expire_nodest_conn").as_deref(), Some("1"));
        assert_eq!(switches.read("ipv4/vs/sloppy_tcp").as_deref(), Some("0"));
        assert_eq!(switches.read("ipv4/vs/conn_reuse_mode"), None, "an older kernel has none");
        let said = switches.prepare(&table("mh", Forward::Masq));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("net.ipv4.ip_forward is 0"), "{said:?}");
        assert_eq!(switches.read("ipv4/ip_forward").as_deref(), Some("0"));
        assert_eq!(switches.read("ipv4/vs/sloppy_tcp").as_deref(), Some("1"));
    }

    #[test]
    fn a_switch_that_cannot_be_set_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("ipv4/vs")).unwrap();
        std::os::unix::fs::symlink("/proc/version", folder.path().join("ipv4/vs/expire_nodest_conn"))
            .unwrap();
        let said = Switches::at(folder.path()).set("ipv4/vs/expire_nodest_conn", "1").unwrap();
        assert!(said.contains("cannot be set to 1"), "{said}");
    }
}
