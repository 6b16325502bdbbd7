//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use base::daemon::log::Format;
use base::terminal::age;
use base::terminal::paint::Color;
use clap::{Args, Parser, Subcommand};

use crate::daemon::{BackendKind, Role};

/// Where things are unless told otherwise.
const CONFIG: &str = crate::config::DEFAULT_PATH;
const RUN_DIR: &str = "/run/director";
const STATE_DIR: &str = "/var/lib/director";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed; the reason is on stderr
  2  wrong usage or a bad configuration
  3  no director to talk to

Examples:
  director check                     is the configuration good?
  director plan                      what would change in the kernel?
  director status                    who serves, who does not, and why?
  director drain web1 --deadline 5m  take a real server out gently ...
  director enable web1               ... and in again";

/// `director …`
#[derive(Debug, Parser)]
#[command(
    name = "director",
    version,
    about = "The LVS director: health checks, weights, the kernel's IPVS table",
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
    /// The configuration [default: /etc/hbd/director.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the socket is [default: /run/director]
    #[arg(long, global = true, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Where orders are kept [default: /var/lib/director, or DIR of --run-dir]
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Socket of the director [default: $DIRECTOR_SOCKET or director.sock in --run-dir]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// How long to wait for an answer [default: 10s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = age::parse)]
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
    /// The configuration's path.
    pub(super) fn config(&self) -> PathBuf {
        self.named_config().unwrap_or_else(|| PathBuf::from(CONFIG))
    }

    /// The configuration's path, if it was given.
    pub(super) fn named_config(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// Where the socket is.
    pub(super) fn run_dir(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| PathBuf::from(RUN_DIR))
    }

    /// Where orders are kept: with the socket, if that has a place of its own.
    pub(super) fn state_dir(&self) -> PathBuf {
        let beside = || self.run_dir.clone().unwrap_or_else(|| PathBuf::from(STATE_DIR));
        self.state_dir.clone().unwrap_or_else(beside)
    }

    /// The director's socket.
    pub(super) fn socket(&self) -> PathBuf {
        let from_environment = || {
            let value = std::env::var_os("DIRECTOR_SOCKET").filter(|value| !value.is_empty());
            value.map(PathBuf::from).filter(|_| self.run_dir.is_none())
        };
        self.socket.clone().or_else(from_environment).unwrap_or_else(|| self.run_dir().join("director.sock"))
    }

    /// How long to wait for an answer.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }
}

/// Which real server.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Its name, its address, or its address and port
    #[arg(value_name = "REAL")]
    pub(super) real: String,
    /// In this virtual service only [default: in all that have it]
    #[arg(long = "virtual", value_name = "NAME")]
    pub(super) service: Option<String>,
}

/// What `director` can do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the director, in the foreground
    #[command(after_help = "\
TERM and INT end it and leave the kernel's table as it is; HUP reloads the
configuration.

Examples:
  director run
  director run --backend dry-run --run-dir /tmp/d --config ./director.toml")]
    Run {
        /// ipvs, or dry-run: no kernel, a table in memory
        #[arg(long, value_enum, default_value = "ipvs", hide_possible_values = true)]
        backend: BackendKind,
        /// active or standby, until it is told otherwise or if it never was since the boot
        #[arg(long, value_enum, default_value = "active", hide_possible_values = true)]
        role: Role,
        /// How log lines on stderr look: text or json
        #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
        log_format: Format,
    },
    /// Check a configuration file
    #[command(after_help = "\
Needs no director and no root.

Examples:
  director check
  director check ./director.toml
  director check --real --vip 192.0.2.10:80 --forward gate")]
    Check {
        /// The file [default: that of --config]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// On a real server.
        #[command(flatten)]
        real: super::real::RealArgs,
    },
    /// Show what would change in the kernel's table, as a diff
    #[command(after_help = "\
Compares the kernel's table with the configuration on the disk; real servers
of which nothing is known yet count as good. Without a running director the
kernel is read by this command, which needs root.

Lines begin with + for added, - for removed, ~ for changed in place.")]
    Plan {
        /// ipvs or dry-run, if no director runs
        #[arg(long, value_enum, default_value = "ipvs", hide_possible_values = true)]
        backend: BackendKind,
    },
    /// Show virtual services and real servers: who serves, since when, why
    #[command(after_help = "\
Examples:
  director status
  director status --watch
  director status --json | jq '.virtuals[].reals[] | {name, state}'")]
    Status {
        /// Show it again every second (with --json: one line each)
        #[arg(long, short)]
        watch: bool,
    },
    /// Take a real server out gently: no new connections, removed when the open ones end
    #[command(after_help = "\
It stays out until `director enable`, also over restarts.

Examples:
  director drain web1
  director drain 10.0.0.1:80 --virtual www --deadline 10m --wait")]
    Drain {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// Remove it after this time whatever its connections do [default: wait for them]
        #[arg(long, value_name = "DURATION", value_parser = age::parse)]
        deadline: Option<Duration>,
        /// Wait until it is removed
        #[arg(long)]
        wait: bool,
    },
    /// Put a real server in again, after drain or maintain
    Enable {
        /// Which.
        #[command(flatten)]
        which: Which,
    },
    /// Take a real server out at once, as if it were down
    #[command(after_help = "\
It stays out until `director enable`, also over restarts. Its checks go on, for
show; nobody is told when they fail.")]
    Maintain {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// Remove it after this time, if what is down is kept with weight 0
        #[arg(long, value_name = "DURATION", value_parser = age::parse)]
        deadline: Option<Duration>,
    },
    /// Give a real server a weight by hand, or its configured one again
    #[command(after_help = "\
It holds over restarts and against the load, until `director weight REAL auto`.

Examples:
  director weight web1 5
  director weight web1 auto")]
    Weight {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// The weight, or `auto`
        #[arg(value_name = "N", value_parser = parse_weight)]
        weight: Weight,
    },
    /// Read the configuration again and apply what changed
    #[command(after_help = "\
A configuration with a mistake is refused, and the one in use stays.")]
    Reload,
    /// Tell the director whether this node has the address (the agent of hbd does), or ask it
    #[command(after_help = "\
A standby whose configuration says standby = \"cold\" ends.")]
    Role {
        /// active or standby [default: only show it]
        #[arg(value_enum, hide_possible_values = true, value_name = "active|standby")]
        role: Option<Role>,
    },
    /// End the director; the kernel's table stays as it is
    Stop,
}

/// A weight by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// The configured one.
    Auto,
    /// This one.
    Fixed(u32),
}

fn parse_weight(text: &str) -> Result<Weight, String> {
    match text {
        "auto" | "default" => Ok(Weight::Auto),
        number => match number.parse::<u32>() {
            Ok(number) if number <= crate::table::MAX_WEIGHT => Ok(Weight::Fixed(number)),
            _ => Err(format!("a weight is a number from 0 to {}, or `auto`", crate::table::MAX_WEIGHT)),
        },
    }
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
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in text.lines() {
                assert!(line.chars().count() < 80, "{}: {line}", command.get_name());
            }
        }
    }

    #[test]
    fn options_for_all_commands_stand_before_or_after_the_command() {
        for line in ["director --run-dir /r --json status", "director status --json --run-dir /r"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert!(cli.common.json);
            assert_eq!(cli.common.socket(), PathBuf::from("/r/director.sock"));
            assert_eq!(cli.common.state_dir(), PathBuf::from("/r"));
        }
        let cli = Cli::try_parse_from(["director", "run"]).unwrap();
        assert_eq!(cli.common.config(), PathBuf::from("/etc/hbd/director.toml"));
        assert_eq!(cli.common.state_dir(), PathBuf::from("/var/lib/director"));
    }

    #[test]
    fn weights_are_numbers_or_auto() {
        assert_eq!(parse_weight("0"), Ok(Weight::Fixed(0)));
        assert_eq!(parse_weight("auto"), Ok(Weight::Auto));
        for bad in ["-1", "", "1.5", "4294967295", "heavy"] {
            assert!(parse_weight(bad).is_err(), "{bad}");
        }
    }
}
