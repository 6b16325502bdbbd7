//! A farm: two directors, real servers that say their names, a client that asks.
//!
//! ```text
//!   client          a (director)      b (director)       real1 … realN
//!     │               │    │            │    │             │
//! ────┴───────────────┴────│────────────┴────│─────────────┴──── service LAN
//!                      ────┴─────────────────┴──── heartbeat LAN
//! ```
//! It wants a kernel with IPVS: tests/vm/director runs it in a virtual machine, where everything takes some twenty times
//! as long (`LAB_SLOW` stretches every bound).

pub mod ask;
pub mod demo;
pub mod serve;
pub mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::wait_for;
use crate::command::Output;
use crate::error::Context;
use crate::hbd::config::Settings;
use crate::hbd::daemon::program;
use crate::net::space::lab_program;
use crate::net::{CLIENT, Process, World};
use crate::pair::{BOUND, Pair};
use crate::{LabError, Result};
use ask::{Answers, Line};

/// For one answer: packets may be sent again meanwhile.
const PATIENCE: &str = "20s";

/// Whether the farm can be: root, the lab's programs, and a kernel with IPVS. See [`crate::available`].
pub fn available() -> bool {
    if std::env::var_os("HBD_IPVS").is_none_or(|value| value != "required") {
        eprintln!("SKIPPED: a farm needs IPVS; tests/vm/director runs this in a virtual machine");
        return false;
    }
    crate::available()
}

/// Directors, real servers and a client.
#[derive(Debug)]
pub struct Farm {
    servers: Mutex<BTreeMap<String, Process>>,
    /// The directors, `a` and `b`.
    pub pair: Pair,
    reals: Vec<String>,
}

impl Farm {
    /// Machines that are on; nothing runs on them yet.
    ///
    /// # Errors
    /// See [`World::new`].
    pub fn new(reals: &[&str], change: impl FnOnce(Settings) -> Settings) -> Result<Farm> {
        let pair = Pair::beside(reals, |settings| change(slow(settings)))?;
        let reals = reals.iter().map(|name| (*name).to_owned()).collect();
        let farm = Farm { servers: Mutex::default(), pair, reals };
        for node in ["a", "b"] {
            farm.pair.world.must(node, &["mkdir", "-p", "/etc/hbd", "/run/director"])?;
        }
        Ok(farm)
    }

    /// The network.
    pub fn world(&self) -> &World {
        &self.pair.world
    }

    /// The real servers' names.
    pub fn reals(&self) -> &[String] {
        &self.reals
    }

    /// Runs `script` in a machine's shell.
    ///
    /// # Errors
    /// Any exit code but 0.
    pub fn shell(&self, machine: &str, script: &str) -> Result<String> {
        self.world().must(machine, &["sh", "-ec", script])
    }

    /// Starts a real server's services (`http:0.0.0.0:80`), and waits until it serves.
    ///
    /// # Errors
    /// It does not.
    pub fn serve(&self, real: &str, places: &[&str]) -> Result<()> {
        let program = lab_program()?.display().to_string();
        let mut words = vec![program.as_str(), "serve", "--name", real];
        words.extend(places);
        let process = self.world().spawn(real, "serve", &words)?;
        let served = process.log_text().matches("serving").count();
        wait_for("a real server", BOUND, Duration::from_millis(5), || {
            (process.log_text().matches("serving").count() > served || served > 0).then_some(())
        })?;
        lock(&self.servers).insert(real.to_owned(), process);
        Ok(())
    }

    /// Kills a real server's services: what connects is refused from now on.
    ///
    /// # Errors
    /// It served nothing.
    pub fn kill(&self, real: &str) -> Result<()> {
        self.world().timeline.note(format!("{real}: services killed"));
        match lock(&self.servers).remove(real) {
            Some(mut process) => {
                process.kill();
                Ok(())
            }
            None => Err(LabError(format!("{real} serves nothing"))),
        }
    }

    /// Sets a real server up for direct routing: it has the address and does not tell.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn direct_routing(&self, real: &str, vip: &str) -> Result<()> {
        let width = if vip.contains(':') { "/128 dev lo nodad" } else { "/32 dev lo" };
        let script = "for d in all lo eth0; do
                echo 1 >/proc/sys/net/ipv4/conf/$d/arp_ignore; echo 2 >/proc/sys/net/ipv4/conf/$d/arp_announce
            done";
        self.shell(real, &format!("{script}\nip addr add {vip}{width}")).map(drop)
    }

    /// Writes the director's configuration on both directors.
    ///
    /// # Errors
    /// One is off.
    pub fn configure(&self, toml: &str) -> Result<()> {
        ["a", "b"]
            .iter()
            .try_for_each(|node| self.world().write_file(node, "/etc/hbd/director.toml", toml, 0o644))
    }

    /// Runs the director's control tool on a node, and wants exit code 0.
    ///
    /// # Errors
    /// Any other.
    pub fn director(&self, node: &str, words: &[&str]) -> Result<Output> {
        let program = program("director")?.display().to_string();
        let mut line = vec![program.as_str()];
        line.extend(words);
        let output = self.world().exec(node, &line)?.success()?;
        self.world().timeline.note(format!("{node}: director {}", words.join(" ")));
        Ok(output)
    }

    /// What `director status --json` says on a node, if it does.
    pub fn status(&self, node: &str) -> Option<Value> {
        let program = program("director").ok()?.display().to_string();
        let output = self.world().exec(node, &[&program, "status", "--json"]).ok()?.success().ok()?;
        serde_json::from_str(&output.stdout).ok()
    }

    /// Waits until the status of a node's director is as `judge` wants it.
    ///
    /// # Errors
    /// It was not within [`BOUND`]; the last one is in the error.
    pub fn wait_status(&self, node: &str, what: &str, judge: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = wait_for(what, BOUND, Duration::from_millis(100), || self.status(node).filter(&judge));
        found.map_err(|error| {
            let last = self.status(node).map_or_else(|| "none".to_owned(), |status| status.to_string());
            LabError(format!("{node}: {error}; status is {last}"))
        })
    }

    /// Waits until every real server of every virtual is in that state on a node.
    ///
    /// # Errors
    /// It was not within [`BOUND`].
    pub fn wait_all(&self, node: &str, state: &str) -> Result<Value> {
        self.wait_status(node, &format!("every real server {state}"), |status| {
            let found = states(status);
            !found.is_empty() && found.iter().all(|(_, _, is)| is == state)
        })
    }

    /// Waits until a real server is in that state in every virtual on a node.
    ///
    /// # Errors
    /// It was not within [`BOUND`].
    pub fn wait_real(&self, node: &str, real: &str, state: &str) -> Result<Value> {
        self.wait_status(node, &format!("{real} {state}"), |status| {
            let mut found = states(status).into_iter().filter(|(_, name, _)| name == real).peekable();
            found.peek().is_some() && found.all(|(_, _, is)| is == state)
        })
    }

    /// The kernel's table on a node, as ipvsadm would restore it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn table(&self, node: &str) -> Result<Vec<String>> {
        let text = self.world().must(node, &["ipvsadm", "-S", "-n"])?;
        Ok(text.lines().map(|line| line.trim().to_owned()).collect())
    }

    /// Waits until a node knows of an open connection to that service.
    ///
    /// # Errors
    /// It did not come to know within [`BOUND`].
    pub fn wait_synced(&self, node: &str, service: &str) -> Result<()> {
        wait_for("the connection to be told to the other director", BOUND, Duration::from_millis(100), || {
            let text = self.world().must(node, &["ipvsadm", "-L", "-n", "-c"]).ok()?;
            text.lines().any(|line| line.contains("ESTABLISHED") && line.contains(service)).then_some(())
        })
    }

    /// Asks `count` times, one after the other (`http:192.168.1.30:80`).
    ///
    /// # Errors
    /// The client cannot be run.
    pub fn ask(&self, place: &str, count: u32) -> Result<Answers> {
        self.ask_as(place, count, &[])
    }

    /// As [`Farm::ask`], each question from the next of these addresses, which the client has.
    ///
    /// # Errors
    /// The client cannot be run.
    pub fn ask_as(&self, place: &str, count: u32, clients: &[String]) -> Result<Answers> {
        let program = lab_program()?.display().to_string();
        let number = count.to_string();
        let mut words = vec![program.as_str(), "ask", place, "--count", &number, "--patience", PATIENCE];
        words.extend(["--pause", "1ms"]);
        words.extend(clients.iter().flat_map(|client| ["--from", client.as_str()]));
        let mut command = self.world().command(CLIENT, words[0])?;
        command.args(&words[1..]);
        let output = crate::command::run(command, "", BOUND)?.success()?;
        let answers: Answers = read(&output.stdout)?;
        self.world().timeline.note(format!("client: {count} × {place}: {}", answers.spread()));
        Ok(answers)
    }

    /// A client that asks until it is told to stop.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn load(&self, label: &str, place: &str, pause: &str) -> Result<Client> {
        self.client(label, &["ask", place, "--count", "1000000", "--patience", PATIENCE, "--pause", pause])
    }

    /// A client with one connection that is to stay.
    ///
    /// # Errors
    /// It cannot be started, or there is no connection.
    pub fn talk(&self, label: &str, address: SocketAddr) -> Result<Client> {
        let address = address.to_string();
        let client = self.client(label, &["talk", &address, "--patience", "60s", "--pause", "100ms"])?;
        wait_for("the open connection", BOUND, Duration::from_millis(20), || {
            (client.lines() > 3).then_some(())
        })
        .map_err(|error| LabError(format!("{error}; the client said: {:?}", client.process.log_text())))?;
        Ok(client)
    }

    fn client(&self, label: &str, words: &[&str]) -> Result<Client> {
        let program = lab_program()?.display().to_string();
        let json = self.world().dir_of(CLIENT).join(format!("{label}.json"));
        let file = json.display().to_string();
        let mut line = vec![program.as_str()];
        line.extend(words);
        line.extend(["--until-eof", "--json", &file]);
        let process = self.world().spawn(CLIENT, label, &line)?;
        Ok(Client { process, json })
    }
}

/// A running client.
#[derive(Debug)]
pub struct Client {
    process: Process,
    json: PathBuf,
}

impl Client {
    /// Lines that came back so far, of [`Farm::talk`].
    pub fn lines(&self) -> usize {
        self.process.log_text().lines().filter(|line| line.starts_with("line ")).count()
    }

    /// Ends it; what it saw.
    ///
    /// # Errors
    /// It did not end, or wrote nothing.
    pub fn answers(self) -> Result<Answers> {
        self.finish()
    }

    /// Ends it; how the connection did.
    ///
    /// # Errors
    /// It did not end, or wrote nothing.
    pub fn line(self) -> Result<Line> {
        self.finish()
    }

    fn finish<T: DeserializeOwned>(mut self) -> Result<T> {
        self.process.close_stdin();
        if self.process.wait(BOUND)?.is_none() {
            return Err(LabError(format!("a client did not end: {}", self.process.log_text())));
        }
        let text = std::fs::read_to_string(&self.json)
            .context(|| format!("a client wrote nothing; it said: {}", self.process.log_text()))?;
        read(&text)
    }
}

/// (virtual, real, state) of a status. A state counts when the kernel has it too; else it is "on its way".
pub fn states(status: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for service in list(status, "virtuals") {
        for real in list(&service, "reals") {
            let serves = real["kernel_weight"].as_u64().unwrap_or(0) > 0;
            let state = text(&real, "state");
            let state = if serves == (state == "up") { state } else { "on its way".to_owned() };
            found.push((text(&service, "name"), text(&real, "name"), state));
        }
    }
    found
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).context(|| format!("odd JSON: {text}"))
}

/// Times for a machine that computes twenty times slower, and the project's own agents if `LAB_AGENTS` says where they are.
fn slow(mut settings: Settings) -> Settings {
    settings.keepalive = "300ms".into();
    settings.deadtime = "4s".into();
    settings.initdead = "8s".into();
    if let Ok(folder) = std::env::var("LAB_AGENTS") {
        settings.more = format!("[daemon]\nagent_path = [\"{folder}\", \"/etc/hbd/resource.d\"]\n");
    }
    settings
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
