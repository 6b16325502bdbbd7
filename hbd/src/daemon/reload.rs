//! Reading the configuration again, off the loop.

use std::path::PathBuf;

use proto::Keyring;

use crate::config::{self, Config, LoadOptions};

/// What is to be read.
#[derive(Clone, Debug)]
pub struct Request {
    /// The configuration file.
    pub config: PathBuf,
    /// `--node`, if it was given.
    pub node: Option<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration and its keys, or all that is wrong, as `hbd --check` shows it.
    pub outcome: Result<(Config, Keyring), String>,
}

impl Request {
    /// Reads the configuration and the keys it names.
    ///
    /// # Errors
    /// All that is wrong with either.
    pub fn read(&self) -> Result<(Config, Keyring), config::Problems> {
        let config = config::load(&self.config, self.node.as_deref(), LoadOptions::default())?;
        let keyring = config::authkeys::read(&config.cluster.authkeys)?;
        Ok((config, keyring))
    }

    /// The same, for the loop.
    pub fn load(&self) -> Loaded {
        Loaded { outcome: self.read().map_err(|problems| problems.to_string()) }
    }
}

/// Why a running daemon cannot take `new` over, if it cannot.
pub fn objection(old: &Config, new: &Config) -> Option<String> {
    let changed = |what: &str, from: &str, to: &str| {
        Some(format!(
            "{what} cannot change from {from:?} to {to:?} while hbd runs: restart hbd (nothing was changed)"
        ))
    };
    if old.cluster.name != new.cluster.name {
        return changed("[cluster] name", &old.cluster.name, &new.cluster.name);
    }
    if old.me != new.me {
        return changed("the name of this node", &old.me, &new.me);
    }
    if old.witness != new.witness {
        return Some("[witness] cannot change while hbd runs: restart hbd (nothing was changed)".to_owned());
    }
    if new.witness.is_some() && old.watchdog != new.watchdog {
        let why =
            "[watchdog] cannot change while hbd runs with a [witness]: restart hbd (nothing was changed)";
        return Some(why.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::config;
    use super::*;

    #[test]
    fn only_who_we_are_cannot_change() {
        let old = config(&[]);
        let mut new = config(&[("vip", vec![])]);
        new.cluster.keepalive *= 2;
        assert_eq!(objection(&old, &new), None);
        new.me = "b".into();
        assert!(objection(&old, &new).unwrap().contains("this node"));
        new.cluster.name = "other".into();
        assert!(objection(&old, &new).unwrap().contains("\"test\" to \"other\""));
    }

    #[test]
    fn a_missing_file_is_refused_with_its_name() {
        let request = Request { config: "/nonexistent/hbd.toml".into(), node: Some("a".into()) };
        assert!(request.load().outcome.unwrap_err().contains("/nonexistent/hbd.toml"));
    }
}
