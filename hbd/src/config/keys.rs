//! Which keys there are: asked of the readers themselves, so that no second list can go stale.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::DeTable;

use super::environment::Willing;
use super::problem::Report;
use super::table::{ROOT, Table};

/// One of each table. The readers ask for every key a table may have, whether it is there or not.
const ONE_OF_EACH: &str = r#"
[cluster]
name = "c"
auto_failback = { after = "1m" }
[[node]]
name = "a"
[[node]]
name = "b"
[[link]]
type = "bcast"
interface = "eth1"
[[link]]
type = "mcast"
interface = "eth0"
group = "239.255.42.1"
[[link]]
type = "ucast"
addresses = { a = "10.0.0.1", b = "10.0.0.2" }
[[link]]
type = "serial"
device = "/dev/ttyS0"
[[ping]]
name = "p"
addresses = ["10.0.0.254"]
[[fence]]
node = "a"
agent = "f"
[witness]
type = "etcd"
endpoints = ["http://10.0.0.9:2379"]
[watchdog]
[daemon]
[console]
listen = "127.0.0.1:7694"
[[alert]]
exec = "/bin/x"
[[respawn]]
command = ["/bin/x"]
[[group]]
name = "g"
link_monitor = { after = "1s" }
resources = [{ agent = "x" }]
"#;

/// Every key the configuration may have, by table: `[cluster]`, `auto_failback` (the one that is a
/// table), `[[node]]`, `[[link]] of type bcast` (and the other types), `[[ping]]`, `[[fence]]`,
/// `[witness]`, `[watchdog]`, `[daemon]`, `[console]`, `[[group]]`, `a resource`; the names of the
/// tables themselves are under `the file`. Tables whose keys are free (`addresses`, `options`,
/// `params`) are left out.
pub fn known_keys() -> BTreeMap<String, BTreeSet<&'static str>> {
    let path = Path::new("keys.toml");
    let (document, _) = DeTable::parse_recoverable(ONE_OF_EACH);
    let report = Report::noting_keys(path, ONE_OF_EACH);
    let root = Table::new(ROOT.to_owned(), 0..0, document.get_ref(), &report);
    super::tables(root, path, "a", &Willing, &report);
    let mut keys = report.into_keys();
    // Messages call a group by its name.
    if let Some(group) = keys.remove("the group 'g'") {
        keys.insert("[[group]]".to_owned(), group);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_each_table_and_it_is_good() {
        let config = super::super::parse(ONE_OF_EACH, Path::new("keys.toml"), "a", &Willing);
        assert!(config.is_ok(), "{config:?}");
        let keys = known_keys();
        for table in &keys[ROOT] {
            assert!(
                keys.keys().any(|place| place.trim_start_matches('[').starts_with(&format!("{table}]"))),
                "add a [{table}] to ONE_OF_EACH"
            );
        }
        assert_eq!(keys["[[link]] of type serial"], BTreeSet::from(["baud", "device", "type"]));
        assert!(keys["a resource"].contains("failure_window"));
    }
}
