//! What the configuration's truth depends on outside of the file: the machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is at a path where a program is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Nothing.
    Missing,
    /// A file nobody may execute, or no file.
    NotExecutable,
    /// A program.
    Executable,
}

/// Whether a systemd unit is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Its unit file is there.
    Installed,
    /// systemd runs this machine and has no such unit file.
    Missing,
    /// systemd does not run this machine: who can tell.
    NoSystemd,
}

/// What checking a configuration asks of the machine; tests pass one of their own.
pub trait Environment {
    /// What is at `path`.
    fn program(&self, path: &Path) -> Program;
    /// Whether the machine has a group of users called `name`.
    fn user_group_exists(&self, name: &str) -> bool;
    /// Whether the machine has a user called `name`.
    fn user_exists(&self, name: &str) -> bool;
    /// Whether systemd has a unit file for `unit` (a full name, `nginx.service`).
    fn unit(&self, unit: &str) -> Unit;
}

/// This machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

/// Where systemd keeps unit files (systemd.unit(5), "Unit File Load Path").
const UNIT_FOLDERS: [&str; 11] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

impl Environment for Machine {
    fn program(&self, path: &Path) -> Program {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => Program::Executable,
            Ok(_) => Program::NotExecutable,
            Err(_) => Program::Missing,
        }
    }

    fn user_group_exists(&self, name: &str) -> bool {
        base::accounts::group(name).is_some()
    }

    fn user_exists(&self, name: &str) -> bool {
        matches!(nix::unistd::User::from_name(name), Ok(Some(_)))
    }

    fn unit(&self, unit: &str) -> Unit {
        // sd_booted(3): this folder is there exactly if systemd is the init of this machine.
        if !Path::new("/run/systemd/system").is_dir() {
            return Unit::NoSystemd;
        }
        let template = template_of(unit);
        let installed =
            |name: &str| UNIT_FOLDERS.iter().any(|folder| PathBuf::from(folder).join(name).exists());
        if installed(unit) || template.as_deref().is_some_and(installed) {
            Unit::Installed
        } else {
            Unit::Missing
        }
    }
}

/// `getty@.service` for `getty@tty1.service`.
fn template_of(unit: &str) -> Option<String> {
    let (prefix, rest) = unit.split_once('@')?;
    let (_, kind) = rest.rsplit_once('.')?;
    Some(format!("{prefix}@.{kind}"))
}

/// The name of this machine as the kernel has it; empty if it has none that is UTF-8.
pub(super) fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// A machine that has everything: for who only asks what a text means.
#[derive(Clone, Copy, Debug, Default)]
pub struct Willing;

impl Environment for Willing {
    fn program(&self, _: &Path) -> Program {
        Program::Executable
    }

    fn user_group_exists(&self, _: &str) -> bool {
        true
    }

    fn user_exists(&self, _: &str) -> bool {
        true
    }

    fn unit(&self, _: &str) -> Unit {
        Unit::Installed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_found_by_its_template() {
        assert_eq!(template_of("getty@tty1.service").as_deref(), Some("getty@.service"));
        assert_eq!(template_of("nginx.service"), None);
    }

    #[test]
    fn programs_are_told_from_files_and_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent");
        assert_eq!(Machine.program(&file), Program::Missing);
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(Machine.program(&file), Program::NotExecutable);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(Machine.program(&file), Program::Executable);
        assert_eq!(Machine.program(folder.path()), Program::NotExecutable);
    }
}
