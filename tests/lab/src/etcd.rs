//! A real etcd for the lab: its members run in machines that are no nodes of the cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::clock::wait_for;
use crate::error::Context;
use crate::net::{Lan, Process, World};
use crate::{LabError, Result};

/// The bound for its start, and for an election.
const BOUND: Duration = Duration::from_secs(30);

/// What it asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    Open,
    /// TLS with a certificate of [`Etcd::folder`]'s authority; a user, `hbd`, who may have `/hbd/` alone.
    Closed,
}

/// An etcd, a member on each of these machines.
#[derive(Debug)]
pub struct Etcd<'w> {
    world: &'w World,
    machines: Vec<String>,
    guard: Guard,
    members: Mutex<BTreeMap<String, Process>>,
}

/// True where etcd is installed; says if not, and panics with `LAB_REQUIRED`.
pub fn available() -> bool {
    let missing: Vec<&str> = ["etcd", "etcdctl", "openssl"]
        .into_iter()
        .filter(|program| crate::command::find(program).is_none())
        .collect();
    if missing.is_empty() {
        return true;
    }
    let text =
        format!("SKIPPED: this needs {} (Debian: etcd-server, etcd-client, openssl)", missing.join(", "));
    assert!(std::env::var_os("LAB_REQUIRED").is_none(), "{text}");
    eprintln!("{text}");
    false
}

/// The `[witness]` table for an etcd on these machines (numbers of the lab), with more lines.
pub fn table(numbers: &[u8], ttl: &str, more: &str) -> String {
    let urls: Vec<String> = numbers.iter().map(|n| format!("\"http://10.77.0.{n}:2379\"")).collect();
    format!("\n[witness]\ntype = \"etcd\"\nendpoints = [{}]\nttl = \"{ttl}\"\n{more}\n", urls.join(", "))
}

impl<'w> Etcd<'w> {
    /// Starts a member on each of these machines and waits until they have a leader.
    ///
    /// # Errors
    /// etcd is not installed, or it did not come to that.
    pub fn start(world: &'w World, machines: &[&str], guard: Guard) -> Result<Etcd<'w>> {
        let machines = machines.iter().map(|name| (*name).to_owned()).collect();
        let etcd = Etcd { world, machines, guard, members: Mutex::default() };
        if guard == Guard::Closed {
            etcd.certificates()?;
        }
        for machine in &etcd.machines {
            etcd.start_member(machine)?;
        }
        etcd.leader()?;
        if guard == Guard::Closed {
            etcd.users()?;
        }
        Ok(etcd)
    }

    /// Starts (again) the member of a machine, with the data that is there.
    ///
    /// # Errors
    /// The machine is off, or etcd is not installed.
    pub fn start_member(&self, machine: &str) -> Result<()> {
        let address = |name: &str| Ok(self.world.machine(name)?.ipv4(Lan::Service));
        let peer = |name: &String| Ok(format!("{name}=http://{}:2380", address(name)?));
        let cluster = self.machines.iter().map(peer).collect::<Result<Vec<_>>>()?.join(",");
        let scheme = if self.guard == Guard::Closed { "https" } else { "http" };
        let own = address(machine)?;
        let (client, peer) = (format!("{scheme}://{own}:2379"), format!("http://{own}:2380"));
        let folder = self.folder();
        let file = |name: &str| folder.join(name).display().to_string();
        let mut words = vec!["env".to_owned(), format!("ETCD_UNSUPPORTED_ARCH={}", std::env::consts::ARCH)];
        // /run is memory: nothing here depends on the speed of a disk.
        for word in [
            "etcd",
            "--name",
            machine,
            "--data-dir",
            "/run/etcd",
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &cluster,
        ] {
            words.push(word.to_owned());
        }
        if self.guard == Guard::Closed {
            words.extend(["--cert-file".to_owned(), file("server.pem"), "--key-file".to_owned()]);
            words.extend([file("server.key"), "--trusted-ca-file".to_owned(), file("ca.pem")]);
            words.push("--client-cert-auth".to_owned());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let process = self.world.spawn(machine, "etcd", &words)?;
        self.lock().insert(machine.to_owned(), process);
        Ok(())
    }

    /// Kills a member; its machine goes on.
    pub fn kill(&self, machine: &str) {
        self.world.timeline.note(format!("{machine}: etcd killed"));
        self.lock().remove(machine);
    }

    /// Sends a signal to a member.
    pub fn signal(&self, machine: &str, signal: Signal) {
        self.world.timeline.note(format!("{machine}: {signal} to etcd"));
        if let Some(process) = self.lock().get_mut(machine) {
            process.signal(signal);
        }
    }

    /// Waits until there is a leader; its machine.
    ///
    /// # Errors
    /// There was none.
    pub fn leader(&self) -> Result<String> {
        let running: Vec<String> = self.lock().keys().cloned().collect();
        wait_for("a leader of etcd", BOUND, Duration::from_millis(50), || {
            running.iter().find(|machine| self.leads(machine)).cloned()
        })
    }

    fn leads(&self, machine: &str) -> bool {
        let told = self.ctl(machine, &["endpoint", "status", "-w", "json"]).unwrap_or_default();
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        let status = &told[0]["Status"];
        !status["leader"].is_null() && status["leader"] == status["header"]["member_id"]
    }

    /// Runs etcdctl in a machine; what it printed.
    ///
    /// # Errors
    /// It failed.
    pub fn ctl(&self, machine: &str, words: &[&str]) -> Result<String> {
        let own = self.world.machine(machine)?.ipv4(Lan::Service);
        let scheme = if self.guard == Guard::Closed { "https" } else { "http" };
        let folder = self.folder();
        let file = |name: &str| folder.join(name).display().to_string();
        let (url, ca, cert, key) =
            (format!("{scheme}://{own}:2379"), file("ca.pem"), file("client.pem"), file("client.key"));
        let mut line = vec!["env", "ETCDCTL_API=3", "etcdctl", "--command-timeout=2s", "--endpoints", &url];
        if self.guard == Guard::Closed {
            line.extend(["--cacert", &ca, "--cert", &cert, "--key", &key]);
        }
        line.extend(words);
        self.world.must(machine, &line)
    }

    /// Where certificates and the password file are, for the nodes too.
    pub fn folder(&self) -> PathBuf {
        folder(self.world)
    }

    fn users(&self) -> Result<()> {
        let machine = self.machines.first().ok_or_else(|| LabError::new("an etcd without members"))?;
        for line in [
            "user add root:r00t",
            "user grant-role root root",
            "user add hbd:lab-etcd-s3cret",
            "role add hbd",
            "role grant-permission hbd --prefix=true readwrite /hbd/",
            "user grant-role hbd hbd",
            "auth enable",
        ] {
            self.ctl(machine, &line.split(' ').collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn certificates(&self) -> Result<()> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
        let names: Vec<String> = self
            .machines
            .iter()
            .map(|name| Ok(format!("IP:{}", self.world.machine(name)?.ipv4(Lan::Service))))
            .collect::<Result<_>>()?;
        let script = format!(
            r#"set -e; exec 2>/dev/null
            new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
            openssl req -x509 $new -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
            for name in server client; do
                openssl req $new -subj "/O=$name" -keyout $name.key -out $name.csr
                printf 'subjectAltName={}\nextendedKeyUsage=serverAuth,clientAuth\n' >$name.ext
                openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.pem
            done
            umask 077; echo lab-etcd-s3cret >password"#,
            names.join(",")
        );
        run(&folder, &script)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the files of a [`Guard::Closed`] etcd are.
pub fn folder(world: &World) -> PathBuf {
    world.dir().join("etcd")
}

fn run(folder: &Path, script: &str) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(folder);
    crate::command::run(command, "", BOUND)?.success()?;
    Ok(())
}
