//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use base::terminal::paint::Color;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where the daemon listens unless told otherwise.
pub(super) const DEFAULT_SOCKET: &str = "/run/hbd/hbd.sock";
/// How long an order is waited for unless told otherwise.
const ORDER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a question is waited for unless told otherwise.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed; the reason is on stderr
  2  wrong usage or a bad configuration
  3  no daemon to talk to

Examples:
  hbctl status                  how is the cluster?
  hbctl standby                 take this node out for maintenance ...
  hbctl online                  ... and let it take part again
  hbctl move vip --to b         give the group vip to node b
  hbctl events -n 50            what happened lately?
  hbctl why vip                 why is vip where it is?";

/// `hbctl …`
#[derive(Debug, Parser)]
#[command(
    name = "hbctl",
    version,
    about = "See and steer the failover cluster this machine belongs to",
    after_help = EXIT_CODES,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands"
)]
pub(super) struct Cli {
    /// The options all commands share.
    #[command(flatten)]
    pub(super) common: Common,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options all commands take, before or after the command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for all commands")]
pub(super) struct Common {
    /// Socket of hbd [default: $HBD_SOCKET or /run/hbd/hbd.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Do not wait until an order is carried out
    #[arg(long, global = true)]
    pub(super) no_wait: bool,
    /// How long to wait [default: orders 2m, questions 10s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = super::age::parse)]
    timeout: Option<Duration>,
    /// Colours: auto, always or never; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(super) color: Color,
}

impl Common {
    /// The daemon's socket: `--socket`, else `HBD_SOCKET` if it says anything, else the usual place.
    pub(super) fn socket(&self) -> PathBuf {
        let from_environment =
            || std::env::var_os("HBD_SOCKET").filter(|value| !value.is_empty()).map(PathBuf::from);
        self.socket.clone().or_else(from_environment).unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
    }

    /// How long to wait for the end of an order.
    pub(super) fn order_timeout(&self) -> Duration {
        self.timeout.unwrap_or(ORDER_TIMEOUT)
    }

    /// How long to wait for the answer to a question.
    pub(super) fn question_timeout(&self) -> Duration {
        self.timeout.unwrap_or(QUESTION_TIMEOUT)
    }
}

/// What `hbctl` can do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show nodes, links, groups, resources, and what is degraded
    #[command(after_help = "\
The first line is the verdict: OK, DEGRADED (served, but look at it) or DOWN
(a group is not running).

Examples:
  hbctl status
  hbctl status --watch
  hbctl status --json | jq -r '.groups[] | \"\\(.name) \\(.owner)\"'")]
    Status {
        /// Show it again every second (with --json: one line each)
        #[arg(long, short)]
        watch: bool,
    },
    /// Take a node out for maintenance: its groups go to the peer
    #[command(after_help = "\
The node takes no groups until `hbctl online`, not even after a restart. It is
refused if nobody can take its groups; with --force they are stopped then.

Examples:
  hbctl standby                 this node
  hbctl standby b               node b")]
    Standby {
        /// Which node [default: this one]
        node: Option<String>,
        /// Even if nobody can take its groups: they are stopped
        #[arg(long)]
        force: bool,
    },
    /// Let a node take part again
    #[command(after_help = "\
Groups come back by themselves only if auto_failback says so; if it does not,
see `hbctl failback`.

Examples:
  hbctl online                  this node
  hbctl online b                node b")]
    Online {
        /// Which node [default: this one]
        node: Option<String>,
    },
    /// Hand a group over to another node
    #[command(after_help = "\
Examples:
  hbctl move vip                to the best other node
  hbctl move vip --to b
  hbctl move vip --no-wait      do not wait until it runs there")]
    Move {
        /// Which group
        group: String,
        /// Which node is to have it [default: the best other one]
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
    },
    /// Pull groups to this node
    #[command(after_help = "\
Examples:
  hbctl takeover                all groups
  hbctl takeover vip web        these two")]
    Takeover {
        /// Which groups [default: all]
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Send groups to their preferred nodes
    #[command(after_help = "\
Examples:
  hbctl failback                all groups
  hbctl failback vip            only this one")]
    Failback {
        /// Which groups [default: all that prefer a node]
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Freeze the cluster (`on`) or let it act again (`off`)
    #[command(after_help = "\
While it is on, nothing is started, stopped or moved, on any node; heartbeats
go on.

Examples:
  hbctl maintenance on
  hbctl maintenance off")]
    Maintenance {
        /// on or off
        #[arg(value_name = "on|off", hide_possible_values = true)]
        switch: Switch,
    },
    /// Forget failures and look at the real state again
    #[command(after_help = "\
Naming a resource stands for its whole group.

Examples:
  hbctl cleanup                 all groups
  hbctl cleanup vip             one group
  hbctl cleanup vip/nginx       the group of this resource")]
    Cleanup {
        /// Which group [default: all]
        #[arg(value_name = "GROUP[/RESOURCE]", value_parser = parse_target)]
        target: Option<Target>,
    },
    /// Fence a node now, with the fence agents configured for it
    #[command(after_help = "\
This usually cuts the power of that machine. The command succeeds only if the
fence agent has confirmed it.

Example:
  hbctl fence b")]
    Fence {
        /// Which node
        node: String,
    },
    /// Give your word that a node is really down
    #[command(after_help = "\
For when no fence agent can tell. The cluster believes you and starts that
node's groups elsewhere: if it still runs, data may be destroyed. Look first.

Example:
  hbctl fence-ack b")]
    FenceAck {
        /// Which node
        node: String,
    },
    /// Show what happened, when, why, and how long it took
    #[command(after_help = "\
Marks: `!` somebody should look, `!!` somebody must act. Times are local
(in the JSON: UTC). Each node keeps its own events; they survive restarts.

Examples:
  hbctl events
  hbctl events -n 100
  hbctl events --follow
  hbctl events --json -n 1000 | jq -c 'select(.level != \"info\")'")]
    Events {
        /// How many of the newest
        #[arg(short = 'n', value_name = "N", default_value_t = 20)]
        count: usize,
        /// Go on with what happens, until interrupted
        #[arg(long, short)]
        follow: bool,
    },
    /// Explain why a group is where it is, or nowhere
    #[command(after_help = "\
Example:
  hbctl why vip")]
    Why {
        /// Which group
        group: String,
    },
    /// Show the gaps between heartbeats, and the deadtime they advise
    #[command(after_help = "\
For each link: how many heartbeats, within what time half of them followed each
other, 99 in 100, 999 in 1000, and the longest gap. Ask after a busy day.

Examples:
  hbctl tune
  hbctl tune --json | jq .advice")]
    Tune,
    /// Check a configuration file
    #[command(after_help = "\
Needs no daemon and no root; only the authkeys file, which nobody but root
should be able to read, is checked as root alone.

Examples:
  hbctl check
  hbctl check ./hbd.toml --node b")]
    Check {
        /// The file
        #[arg(default_value = "/etc/hbd/hbd.toml")]
        file: PathBuf,
        /// Check it as this node would read it [default: the host name]
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
    },
    /// Print a fresh authkeys file
    #[command(after_help = "\
The same file must be on both nodes, with mode 0600, owned by root.

Examples:
  hbctl keygen --output /etc/hbd/authkeys
  (umask 077; hbctl keygen > authkeys)")]
    Keygen {
        /// sha256, md5, or crc (protects against nothing)
        #[arg(long, default_value = "sha256", hide_possible_values = true)]
        method: Method,
        /// Write it to this file, made with mode 0600; it must not exist yet
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print our TOML for an old set-up of Heartbeat, ldirectord, Piranha or keepalived
    #[command(after_help = "\
A source is a folder like /etc/ha.d, or one of the files ha.cf, haresources,
authkeys, ldirectord.cf, lvs.cf, keepalived.conf; several are one set-up.
What could not be carried over is a comment in the output, and is said on
stderr too. Keys of the cluster are not copied.

Examples:
  hbctl convert /etc/ha.d --output /etc/hbd
  hbctl convert ldirectord.cf > director.toml
  hbctl convert lvs.cf --nodes alpha,beta --only hbd")]
    Convert {
        /// The old files
        #[arg(value_name = "SOURCE", required = true)]
        sources: Vec<PathBuf>,
        /// Write hbd.toml and director.toml into this folder, with mode 0640
        #[arg(long, short, value_name = "DIR")]
        output: Option<PathBuf>,
        /// Print or write one of the two files: hbd or director
        #[arg(long, value_name = "FILE", hide_possible_values = true)]
        only: Option<Only>,
        /// Names of the two nodes, where the old files do not tell: the primary first, or the node the file is from
        #[arg(long, value_name = "A,B", value_delimiter = ',')]
        nodes: Option<Vec<String>>,
        /// Replace files that are there
        #[arg(long)]
        force: bool,
    },
    /// Show how the other node's configuration differs from this one's, part by part
    #[command(after_help = "\
Both daemons must be up: it compares what they have in force, not the files.
Values do not leave their node; only names and fingerprints travel.
The exit code is 0 whether they differ or not.

Example:
  hbctl diff")]
    Diff {
        /// The node to compare with [default: the other one]
        #[arg(value_name = "NODE")]
        node: Option<String>,
    },
    /// Read the configuration again and apply what changed
    #[command(after_help = "\
A configuration with a mistake is refused, and the one in use stays.

Example:
  hbctl check && hbctl reload")]
    Reload,
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Which file is wanted of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Only {
    /// hbd.toml.
    Hbd,
    /// director.toml.
    Director,
}

/// How messages are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-MD5.
    Md5,
    /// A check sum.
    Crc,
}

/// A group, or a resource of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The group.
    pub(super) group: String,
    /// What its resource is called.
    pub(super) resource: Option<String>,
}

/// `GROUP` or `GROUP/RESOURCE`. Resource names hold slashes (`IPaddr::10.0.0.1/24`), group names do not.
fn parse_target(text: &str) -> Result<Target, String> {
    let (group, resource) = match text.split_once('/') {
        Some((group, resource)) => (group.trim(), Some(resource.trim().to_owned())),
        None => (text.trim(), None),
    };
    if group.is_empty() || resource.as_ref().is_some_and(String::is_empty) {
        return Err("a group is wanted, or a resource as GROUP/RESOURCE".to_owned());
    }
    Ok(Target { group: group.to_owned(), resource })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_words_below_the_options_are_broken_by_hand_to_fit() {
        let mut root = Cli::command();
        let all = std::iter::once(root.clone()).chain(root.get_subcommands_mut().map(|one| one.clone()));
        for command in all {
            let text = command.get_after_help().expect("examples").to_string();
            for line in text.lines() {
                assert!(line.chars().count() < 80, "{}: {line}", command.get_name());
            }
        }
    }

    #[test]
    fn only_the_commands_that_exist_are_listed() {
        let names: Vec<_> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        let wanted = "status standby online move takeover failback maintenance cleanup fence fence-ack events why \
                      tune check keygen convert diff reload";
        assert_eq!(names, wanted.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn options_for_all_commands_stand_before_or_after_the_command() {
        for line in ["hbctl --socket /s --json status", "hbctl status --json --socket /s"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert!(cli.common.json);
            assert_eq!(cli.common.socket(), PathBuf::from("/s"));
        }
    }

    #[test]
    fn orders_are_waited_for_longer_than_questions() {
        let common = |line: &str| Cli::try_parse_from(line.split(' ')).expect(line).common;
        assert_eq!(common("hbctl standby").order_timeout(), Duration::from_secs(120));
        assert_eq!(common("hbctl status").question_timeout(), Duration::from_secs(10));
        assert_eq!(common("hbctl standby --timeout 5s").order_timeout(), Duration::from_secs(5));
        assert_eq!(common("hbctl status --timeout 5s").question_timeout(), Duration::from_secs(5));
    }

    #[test]
    fn the_group_of_a_resource() {
        let target =
            |resource: Option<&str>| Target { group: "vip".into(), resource: resource.map(Into::into) };
        assert_eq!(parse_target("vip"), Ok(target(None)));
        assert_eq!(parse_target("vip/IPaddr::10.0.0.1/24"), Ok(target(Some("IPaddr::10.0.0.1/24"))));
        assert!(parse_target("vip/").is_err());
        assert!(parse_target("/nginx").is_err());
        assert!(parse_target("").is_err());
    }
}
