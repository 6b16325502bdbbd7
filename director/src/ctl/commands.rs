//! From the command line to the director and back.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use base::config::problem::Problems;
use base::control::client::{self, Peer};
use base::terminal::fail::Fail;
use base::terminal::paint::{self, Paint};
use base::terminal::text::{self, count};
use base::terminal::watch::{self, Viewer};
use serde_json::{Value, json};

use super::args::{Cli, Command, Common, Weight, Which};
use super::look;
use crate::config;
use crate::core::Order;
use crate::daemon::protocol::Request;
use crate::daemon::{self, BackendKind, Role};

/// Whom this tool talks to.
const DIRECTOR: Peer = Peer {
    daemon: "director",
    tool: "director",
    others: "the group named by `group` in [director] of director.toml (hbd unless changed)",
};
/// Between two looks at a server that is drained.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Does what the command line says.
pub(super) fn run(cli: &Cli) -> Result<(), Fail> {
    let common = &cli.common;
    match &cli.command {
        Command::Run { backend, role, log_format } => {
            let file = common.config();
            let config = config::load(&file).map_err(|problems| bad(common, &problems))?;
            let args = daemon::Args {
                config: absolute(&file),
                run_dir: common.run_dir(),
                state_dir: common.state_dir(),
                backend: *backend,
                role: *role,
                log_format: *log_format,
            };
            daemon::run(&args, config).map_err(Fail::Refused)
        }
        Command::Check { file, real } => {
            let file = file.clone().unwrap_or_else(|| common.config());
            if real.real { super::real::check(common, real, &file) } else { check(common, &file) }
        }
        Command::Plan { backend } => plan(common, *backend),
        Command::Status { watch: true } => {
            let viewer = Viewer { tool: "director", json: common.json, color: common.color };
            watch::run(viewer, || ask(common, &Request::Status), look::render_with)
        }
        Command::Status { watch: false } => status(common),
        Command::Role { role: None } => {
            let data = ask(common, &Request::Status)?;
            let role = data.get("role").and_then(Value::as_str).unwrap_or("unknown");
            Ok(writeln!(io::stdout(), "{}", text::line(role))?)
        }
        Command::Reload => say(common, &Request::Reload),
        Command::Stop => say(common, &Request::Stop),
        other => order(common, other),
    }
}

/// The path, so that it means the same when the working folder has changed.
fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn order(common: &Common, command: &Command) -> Result<(), Fail> {
    let ms = |span: &Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let named = |which: &Which| (which.real.clone(), which.service.clone());
    let order = match command {
        Command::Drain { which, deadline, .. } => {
            let (real, service) = named(which);
            Order::Drain { real, service, deadline_ms: deadline.as_ref().map(ms) }
        }
        Command::Maintain { which, deadline } => {
            let (real, service) = named(which);
            Order::Maintain { real, service, deadline_ms: deadline.as_ref().map(ms) }
        }
        Command::Enable { which } => {
            let (real, service) = named(which);
            Order::Enable { real, service }
        }
        Command::Weight { which, weight } => {
            let (real, service) = named(which);
            let weight = match weight {
                Weight::Auto => None,
                Weight::Fixed(number) => Some(*number),
            };
            Order::Weight { real, service, weight }
        }
        Command::Role { role: Some(role) } => Order::Role { active: *role == Role::Active },
        other => return Err(Fail::Usage(format!("{other:?} is no order"))),
    };
    say(common, &Request::Order { order })?;
    match command {
        Command::Drain { which, wait: true, .. } => wait_until_removed(common, which),
        _ => Ok(()),
    }
}

/// Waits until a drained server is in no table any more.
fn wait_until_removed(common: &Common, which: &Which) -> Result<(), Fail> {
    loop {
        let status = ask(common, &Request::Status)?;
        let still = look::drained(&status, &which.real, which.service.as_deref());
        if still.iter().all(|(_, draining, in_kernel)| !draining || !in_kernel) {
            return match still.iter().find(|(_, draining, _)| !draining) {
                Some((name, ..)) => {
                    Err(Fail::Refused(format!("{name} is no longer drained: somebody enabled it")))
                }
                None => Ok(writeln!(io::stdout(), "removed")?),
            };
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Asks for something and says what was answered.
fn say(common: &Common, request: &Request) -> Result<(), Fail> {
    let socket = common.socket();
    let until = Instant::now() + common.timeout();
    let mut conversation = client::Conversation::begin(DIRECTOR, &socket, request)?;
    loop {
        use base::control::client::Heard;
        use base::control::protocol::Answer;
        match conversation.next(Some(until))? {
            Heard::Nothing => return Err(client::silent(&DIRECTOR, &socket, common.timeout())),
            Heard::Answer(Answer::Done { text, .. }) => {
                let mut stdout = io::stdout().lock();
                return if common.json {
                    print_json(&mut stdout, &json!({ "done": true, "text": text }))
                } else {
                    Ok(writeln!(stdout, "{}", text::block(&text))?)
                };
            }
            Heard::Answer(Answer::Refused { reason }) => {
                if common.json {
                    print_json(&mut io::stdout().lock(), &json!({ "done": false, "reason": reason }))?;
                }
                return Err(Fail::Refused(reason));
            }
            Heard::Answer(Answer::Progress { .. } | Answer::Item { .. }) => {}
        }
    }
}

fn ask(common: &Common, request: &Request) -> Result<Value, Fail> {
    client::ask(DIRECTOR, &common.socket(), request, common.timeout())
}

pub(super) fn print_json(out: &mut impl Write, value: &Value) -> Result<(), Fail> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

fn status(common: &Common) -> Result<(), Fail> {
    let data = ask(common, &Request::Status)?;
    let mut stdout = io::stdout().lock();
    if common.json {
        return print_json(&mut stdout, &data);
    }
    let paint = Paint::choose(common.color, &io::stdout());
    let shown = look::render_with(&data, paint::columns(), paint);
    Ok(stdout.write_all(shown.as_bytes())?)
}

/// A configuration that cannot be used.
pub(super) fn bad(common: &Common, problems: &Problems) -> Fail {
    Fail::BadConfig(problems.render(Paint::choose(common.color, &io::stderr()).is_on()))
}

fn check(common: &Common, file: &Path) -> Result<(), Fail> {
    let shown = file.display().to_string();
    let config = match config::load(file) {
        Ok(config) => config,
        Err(problems) => {
            if common.json {
                let value = json!({ "good": false, "file": shown, "summary": problems.summary(), "problems": problems });
                print_json(&mut io::stdout().lock(), &value)?;
            }
            return Err(bad(common, &problems));
        }
    };
    let reals: usize = config.virtuals.iter().map(|service| service.reals.len()).sum();
    let mut stdout = io::stdout().lock();
    if common.json {
        let value = json!({
            "good": true, "file": shown, "virtuals": config.virtuals.len(), "reals": reals,
            "warnings": config.warnings, "problems": [],
        });
        return print_json(&mut stdout, &value);
    }
    for warning in &config.warnings {
        // Said, if anybody listens.
        let _ = writeln!(io::stderr(), "warning: {}", text::line(warning));
    }
    let (services, servers) = (count(config.virtuals.len(), "virtual service"), count(reals, "real server"));
    Ok(writeln!(stdout, "{shown}: good: {services}, {servers}")?)
}

fn plan(common: &Common, backend: BackendKind) -> Result<(), Fail> {
    let file = match common.named_config() {
        Some(file) => file,
        // That which a reload would read.
        None => match ask(common, &Request::Status) {
            Ok(status) => {
                status.get("config").and_then(Value::as_str).map_or_else(|| common.config(), Into::into)
            }
            Err(Fail::NoDaemon(_)) => common.config(),
            Err(fail) => return Err(fail),
        },
    };
    // Its mistakes are shown here, with colours, rather than by the daemon.
    let config = config::load(&file).map_err(|problems| bad(common, &problems))?;
    let lines = match ask(common, &Request::Plan { config: absolute(&file) }) {
        Ok(data) => {
            let lines = data.as_array().map(Vec::as_slice).unwrap_or_default();
            lines.iter().filter_map(Value::as_str).map(text::line).collect()
        }
        Err(Fail::NoDaemon(_)) => {
            daemon::planned(config, backend, &common.state_dir()).map_err(Fail::Refused)?
        }
        Err(fail) => return Err(fail),
    };
    let mut stdout = io::stdout().lock();
    if common.json {
        return print_json(&mut stdout, &json!({ "changes": lines }));
    }
    if lines.is_empty() {
        return Ok(writeln!(stdout, "nothing would change")?);
    }
    let paint = Paint::choose(common.color, &io::stdout());
    for line in &lines {
        writeln!(stdout, "{}", paint.tint(look::tone_of(line), line))?;
    }
    Ok(())
}
