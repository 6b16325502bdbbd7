//! Finding what a resource is made of: the built-in address, or an agent installed here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::address;
use super::environment::{Environment, Program, Unit};
use super::model::Agent;
use super::problem::{Report, Span};
use super::suggest::nearest;
use super::table::shown;

/// Where LSB init scripts are.
const LSB_FOLDER: &str = "/etc/init.d";
/// Where OCF agents are: `PROVIDER/NAME` below it.
const OCF_FOLDER: &str = "/usr/lib/ocf/resource.d";
/// The names of the built-in address.
pub(super) const ADDRESS_AGENTS: [&str; 3] = ["IPaddr", "IPaddr2", "IPv6addr"];
/// The kinds of unit that can be started and stopped.
const UNIT_KINDS: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".mount",
    ".automount",
    ".timer",
    ".path",
    ".slice",
    ".scope",
    ".swap",
    ".device",
];

/// An agent as it is called in the file.
pub(super) struct Call<'a> {
    /// `IPaddr`, `apache`, `lsb:x`, `ocf:p:x`, `systemd:x`.
    pub(super) agent: &'a str,
    /// Where that stands.
    pub(super) span: Span,
    pub(super) args: Vec<String>,
    /// Where those stand.
    pub(super) args_span: Span,
    /// With where they stand, if they were given at all.
    pub(super) params: Option<(BTreeMap<String, String>, Span)>,
}

/// What finding an agent needs.
pub(super) struct Finder<'s> {
    /// `[daemon] agent_path`.
    pub(super) folders: &'s [PathBuf],
    pub(super) env: &'s dyn Environment,
    pub(super) report: &'s Report<'s>,
}

impl Finder<'_> {
    /// What `call` calls, or nothing and a report.
    pub(super) fn find(&self, call: Call<'_>) -> Option<Agent> {
        let class = call.agent.split_once(':').map(|(class, rest)| (class, rest.to_owned()));
        match class {
            _ if ADDRESS_AGENTS.contains(&call.agent) => self.address(call),
            Some(("lsb", name)) => self.lsb(&call, &name),
            Some(("ocf", rest)) => self.ocf(call, &rest),
            Some(("systemd", unit)) => self.systemd(&call, &unit),
            Some((class, _)) => {
                let known = ["lsb", "ocf", "systemd"];
                let help = nearest(class, known).map_or_else(
                    || "write a bare name, lsb:NAME, ocf:PROVIDER:NAME or systemd:UNIT; arguments follow after '::'".to_owned(),
                    |meant| format!("did you mean '{meant}:'?"),
                );
                self.report.error(
                    &call.span,
                    format!("there is no class of agents '{}'", shown(class)),
                    help,
                );
                None
            }
            None => self.heartbeat(call),
        }
    }

    fn address(&self, call: Call<'_>) -> Option<Agent> {
        self.no_params(&call);
        let [arg] = call.args.as_slice() else {
            if call.args.is_empty() {
                self.report.error(
                    &call.span,
                    format!("{} needs an address", call.agent),
                    format!("write {}::192.168.45.26/24/eth0", call.agent),
                );
            } else {
                let help =
                    format!("write args = [\"{}\"]: one text, divided by '/'", shown(&call.args.join("/")));
                self.report.error(
                    &call.args_span,
                    format!("{} takes one argument, and there are {}", call.agent, call.args.len()),
                    help,
                );
            }
            return None;
        };
        match address::parse(arg) {
            Ok(spec) => Some(Agent::Address(spec)),
            Err((message, help)) => {
                self.report.error(&call.args_span, message, help);
                None
            }
        }
    }

    fn heartbeat(&self, call: Call<'_>) -> Option<Agent> {
        self.no_params(&call);
        if !self.check_file_name(call.agent, &call.span) {
            return None;
        }
        let mut found = None;
        for folder in self.folders {
            let path = folder.join(call.agent);
            match self.env.program(&path) {
                Program::Executable => {
                    return Some(Agent::Heartbeat { name: call.agent.to_owned(), path, args: call.args });
                }
                Program::NotExecutable => found = found.or(Some(path)),
                Program::Missing => {}
            }
        }
        match found {
            Some(path) => self.not_executable(&path, &call.span),
            None => {
                let folders: Vec<String> =
                    self.folders.iter().map(|folder| folder.display().to_string()).collect();
                let alike = nearest(call.agent, ADDRESS_AGENTS)
                    .map_or_else(String::new, |meant| format!("did you mean '{meant}'? "));
                let help = format!("{alike}install it in one of {}", folders.join(", "));
                self.report.missing(
                    &call.span,
                    format!("the agent '{}' is not installed", shown(call.agent)),
                    help,
                );
            }
        }
        None
    }

    fn lsb(&self, call: &Call<'_>, name: &str) -> Option<Agent> {
        self.no_params(call);
        self.no_args(call, "an LSB script");
        if !self.check_file_name(name, &call.span) {
            return None;
        }
        let path = Path::new(LSB_FOLDER).join(name);
        self.installed(&path, &format!("the LSB script '{}'", shown(name)), &call.span)
            .then_some(Agent::Lsb { path })
    }

    fn ocf(&self, call: Call<'_>, rest: &str) -> Option<Agent> {
        if !call.args.is_empty() {
            let help = "write a table: { agent = \"ocf:PROVIDER:NAME\", params = { … } }";
            self.report.error(&call.args_span, "an OCF agent takes named parameters, no arguments", help);
        }
        let Some((provider, name)) = rest.split_once(':') else {
            let help = format!("write ocf:PROVIDER:NAME, e.g. ocf:heartbeat:{}", shown(rest));
            self.report.error(&call.span, format!("'{}' names no provider", shown(call.agent)), help);
            return None;
        };
        if !self.check_file_name(provider, &call.span) || !self.check_file_name(name, &call.span) {
            return None;
        }
        let path = Path::new(OCF_FOLDER).join(provider).join(name);
        let found = self.installed(&path, &format!("the OCF agent '{}'", shown(rest)), &call.span);
        let params = call.params.map(|(params, _)| params).unwrap_or_default();
        found.then(|| Agent::Ocf { provider: provider.to_owned(), name: name.to_owned(), path, params })
    }

    fn systemd(&self, call: &Call<'_>, unit: &str) -> Option<Agent> {
        self.no_params(call);
        self.no_args(call, "a systemd unit");
        // systemd.unit(5): letters, digits, ':', '-', '_', '.', '\' and one '@'.
        let odd = |c: char| !(c.is_ascii_alphanumeric() || ":-_.\\@".contains(c));
        if unit.is_empty() || unit.len() > 255 || unit.starts_with(['-', '.', '@']) || unit.contains(odd) {
            self.report.error(
                &call.span,
                format!("'{}' cannot be the name of a unit", shown(unit)),
                "write systemd:nginx or systemd:nginx.service",
            );
            return None;
        }
        let unit = match UNIT_KINDS.iter().any(|kind| unit.ends_with(kind)) {
            true => unit.to_owned(),
            false => format!("{unit}.service"),
        };
        match self.env.unit(&unit) {
            Unit::Installed => {}
            Unit::Missing => {
                let help = "`systemctl list-unit-files` shows what there is; after installing one: systemctl daemon-reload";
                self.report.missing(&call.span, format!("there is no systemd unit {unit}"), help);
                return None;
            }
            Unit::NoSystemd => {
                let message = format!("systemd does not run this machine, so {unit} may not start");
                self.report.warning(
                    &call.span,
                    message,
                    "use lsb: or a bare agent name if this machine has another init",
                );
            }
        }
        Some(Agent::Systemd { unit })
    }

    fn no_params(&self, call: &Call<'_>) {
        if let Some((_, span)) = &call.params {
            let help = "write args = [\"…\"], in the order the agent takes them";
            self.report.error(span, "only OCF agents have named parameters", help);
        }
    }

    fn no_args(&self, call: &Call<'_>, what: &str) {
        if !call.args.is_empty() {
            self.report.error(&call.args_span, format!("{what} takes no arguments"), "leave them out");
        }
    }

    /// Whether `name` can be the name of a file in a folder, and of nothing else.
    fn check_file_name(&self, name: &str, span: &Span) -> bool {
        let (message, help) = if name.is_empty() {
            ("the agent's name is empty".to_owned(), "write the name of an installed agent")
        } else if name.contains('/') {
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            let help = format!(
                "write \"{}\", and see that the folder {} is in [daemon] agent_path",
                shown(file),
                shown(folder)
            );
            self.report.error(span, format!("'{}' is a path, no name", shown(name)), help);
            return false;
        } else if name == "." || name == ".." || name.len() > 255 || name.contains(char::is_control) {
            (format!("'{}' cannot be an agent's name", shown(name)), "write the name of an installed agent")
        } else {
            return true;
        };
        self.report.error(span, message, help);
        false
    }

    /// Whether there is a program at `path`.
    fn installed(&self, path: &Path, what: &str, span: &Span) -> bool {
        match self.env.program(path) {
            Program::Executable => return true,
            Program::NotExecutable => self.not_executable(path, span),
            Program::Missing => {
                self.report.missing(
                    span,
                    format!("{what} is not installed"),
                    format!("there is no {}", shown(&path.display().to_string())),
                );
            }
        }
        false
    }

    fn not_executable(&self, path: &Path, span: &Span) {
        let path = path.display();
        self.report.error(span, format!("the agent {path} is not executable"), format!("chmod +x {path}"));
    }
}
