//! The command line of `hbd`.

use std::path::PathBuf;

use clap::Parser;

use super::log::Format;

/// The high-availability heartbeat daemon: watches the other node and takes its groups over when it is dead.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "hbd",
    version,
    after_help = "Signals: TERM and INT leave in order, HUP reloads. See hbd(8)."
)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/hbd/hbd.toml")]
    pub config: PathBuf,
    /// This node's name in the configuration [default: the host name]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Where the control socket and the lock are
    #[arg(long, value_name = "DIR", default_value = "/run/hbd")]
    pub run_dir: PathBuf,
    /// Where the state and the events are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hbd")]
    pub state_dir: PathBuf,
    /// How log lines on stderr look
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub log_format: Format,
    /// Read the whole configuration, say what is wrong with it, and exit: 0 good, 2 bad
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let args = Args::try_parse_from(["hbd"]).unwrap();
        assert_eq!(args.config, PathBuf::from("/etc/hbd/hbd.toml"));
        assert_eq!((args.run_dir, args.state_dir), ("/run/hbd".into(), "/var/lib/hbd".into()));
        assert_eq!((args.node, args.log_format, args.check), (None, Format::Text, false));
        assert!(Args::try_parse_from(["hbd", "--log-format", "xml"]).is_err());
    }
}
