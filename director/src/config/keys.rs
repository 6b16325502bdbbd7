//! Which keys there are: asked of the readers themselves, so that no second list can go stale.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base::config::problem::Report;
use base::config::table::{ROOT, Table};
use toml::de::DeTable;

/// One of each table. The readers ask for every key a table may have, whether it is there or not.
const ONE_OF_EACH: &str = r#"
[director]
sync = { interface = "eth1" }
alerts = [{ exec = "/bin/sh" }]
[[virtual]]
name = "v"
address = "192.168.1.30:80"
check = { type = "connect" }
weights = { type = "agent", port = 7777 }
[[virtual.real]]
address = "10.0.0.1:80"
"#;

/// Every key the configuration may have, by table: `[director]`, `'sync'`, `an alert`, `[[virtual]]`,
/// `[[virtual.real]]`; the names of the tables themselves are under `the file`. Those of checks and weights
/// depend on their types and are left out.
pub fn known_keys() -> BTreeMap<String, BTreeSet<&'static str>> {
    let path = Path::new("keys.toml");
    let (document, _) = DeTable::parse_recoverable(ONE_OF_EACH);
    let report = Report::noting_keys(path, ONE_OF_EACH);
    super::tables(Table::new(ROOT.to_owned(), 0..0, document.get_ref(), &report), &report);
    let mut keys = report.into_keys();
    if let Some(service) = keys.remove("the virtual service 'v'") {
        keys.insert("[[virtual]]".to_owned(), service);
    }
    keys.retain(|place, _| !matches!(place.as_str(), "the check" | "'weights'"));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_each_table_and_it_is_good() {
        let config = super::super::parse(ONE_OF_EACH, Path::new("keys.toml"));
        assert!(config.is_ok(), "{config:?}");
        let keys = known_keys();
        assert_eq!(keys[ROOT], BTreeSet::from(["director", "virtual"]));
        assert!(keys["[[virtual]]"].contains("never_below") && keys["[[virtual.real]]"].contains("upper"));
        assert_eq!(keys["'sync'"], BTreeSet::from(["id", "interface"]));
    }
}
