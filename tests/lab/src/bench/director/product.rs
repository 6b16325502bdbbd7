//! What the three products differ in, and one of them running: everything it starts is in a control group.

use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::ground::{DIRECTOR, Ground, wait, within};
use crate::bench::when::package_version;
use crate::command;
use crate::error::Context;
use crate::hbd::daemon::program;
use crate::{LabError, Result};

const GROUP: &str = "/sys/fs/cgroup/bench";

/// A director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Ours.
    Hbd,
    /// Debian's keepalived, its health checker only.
    Keepalived,
    /// Debian's ldirectord.
    Ldirectord,
}

/// What all are given, each in its own words: every real server is asked by HTTP, is out after one bad answer, in after
/// one good, and removed while it is out.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Virtual services.
    pub services: usize,
    /// Real servers of each, all different.
    pub reals: usize,
    /// Of every real server.
    pub weight: u32,
    /// Seconds between two checks, and for one.
    pub interval: u32,
    /// Of the real servers.
    pub port: u16,
}

/// The address of real server `n`, from 0.
pub fn real(n: usize) -> IpAddr {
    numbered(90, n)
}

/// The address of virtual service `n`, from 0; its port is 80.
pub fn virtual_address(n: usize) -> IpAddr {
    numbered(91, n)
}

fn numbered(net: u8, n: usize) -> IpAddr {
    let part = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, net, part(n / 250), part(n % 250 + 1)).into()
}

/// The products to measure: ours always, the others where they are installed.
///
/// # Errors
/// A name in `only` is unknown or not installed.
pub fn installed(only: &[String]) -> Result<Vec<Product>> {
    let all = [Product::Hbd, Product::Keepalived, Product::Ldirectord];
    let there = |product: &Product| *product == Product::Hbd || command::find(product.name()).is_some();
    if let Some(name) = only.iter().find(|name| !all.iter().any(|p| p.name() == **name && there(p))) {
        return Err(LabError(format!("`{name}` is unknown or not installed: hbd, keepalived, ldirectord")));
    }
    let wanted = |product: &Product| only.is_empty() || only.iter().any(|name| name == product.name());
    Ok(all.into_iter().filter(|product| wanted(product) && there(product)).collect())
}

impl Product {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Product::Hbd => "hbd",
            Product::Keepalived => "keepalived",
            Product::Ldirectord => "ldirectord",
        }
    }

    /// What is known of its version.
    pub fn version(self) -> String {
        match self {
            Product::Hbd => format!("{} (this tree)", env!("CARGO_PKG_VERSION")),
            other => package_version(other.name()),
        }
    }

    /// Its configuration.
    pub fn config(self, case: &Case, folder: &Path) -> String {
        let mut text = match self {
            Product::Hbd => format!(
                "[director]\ninterval = \"{0}s\"\ntimeout = \"{0}s\"\nfall = 1\nrise = 1\nquiescent = false\n\
                 checks_at_once = 1024\n",
                case.interval
            ),
            Product::Keepalived => "global_defs {\n router_id bench\n}\n".to_owned(),
            Product::Ldirectord => format!(
                "checktimeout={0}\nnegotiatetimeout={0}\ncheckinterval={0}\nquiescent=no\nsupervised=yes\n\
                 logfile=\"{1}/ldirectord.log\"\n",
                case.interval,
                folder.display()
            ),
        };
        for service in 0..case.services {
            self.open_service(&mut text, service, case);
            for n in service * case.reals..(service + 1) * case.reals {
                self.real_server(&mut text, n, case);
            }
            self.close_service(&mut text);
        }
        text
    }

    fn open_service(self, text: &mut String, number: usize, case: &Case) {
        let address = virtual_address(number);
        // Writing to a String cannot fail.
        let _ = match self {
            Product::Hbd => writeln!(
                text,
                "[[virtual]]\nname = \"v{number}\"\naddress = \"{address}:80\"\nscheduler = \"wlc\"\n\
                 check = {{ type = \"http\", path = \"/\", status = [200] }}"
            ),
            Product::Keepalived => writeln!(
                text,
                "virtual_server {address} 80 {{\n delay_loop {}\n lvs_sched wlc\n lvs_method DR\n protocol TCP",
                case.interval
            ),
            Product::Ldirectord => writeln!(text, "virtual={address}:80"),
        };
    }

    fn real_server(self, text: &mut String, n: usize, case: &Case) {
        let (address, Case { weight, interval, port, .. }) = (real(n), case);
        let _ = match self {
            Product::Hbd => {
                writeln!(
                    text,
                    "[[virtual.real]]\naddress = \"{address}:{port}\"\nweight = {weight}\nforward = \"masq\""
                )
            }
            Product::Keepalived => writeln!(
                text,
                " real_server {address} {port} {{\n  lvs_method NAT\n  weight {weight}\n  HTTP_GET {{\n   url {{\n    path /\n    \
                 status_code 200\n   }}\n   connect_timeout {interval}\n   retry 0\n   delay_before_retry 1\n  }}\n }}"
            ),
            Product::Ldirectord => writeln!(text, "\treal={address}:{port} masq {weight}"),
        };
    }

    fn close_service(self, text: &mut String) {
        match self {
            Product::Hbd => {}
            Product::Keepalived => text.push_str("}\n"),
            Product::Ldirectord => text.push_str(
                "\tservice=http\n\trequest=\"/\"\n\treceive=\"happy\"\n\tscheduler=wlc\n\tprotocol=tcp\n",
            ),
        }
    }

    fn command(self, folder: &Path) -> Result<Vec<String>> {
        let at = |name: &str| folder.join(name).display().to_string();
        Ok(match self {
            Product::Hbd => vec![
                program("director")?.display().to_string(),
                "run".into(),
                "--config".into(),
                at("hbd.conf"),
                "--run-dir".into(),
                at("run"),
                "--state-dir".into(),
                at("state"),
            ],
            Product::Keepalived => {
                let mut words: Vec<String> = ["keepalived", "-n", "-l", "-C"].map(str::to_owned).into();
                for (option, file) in [("-f", "keepalived.conf"), ("-p", "k.pid"), ("-c", "c.pid")] {
                    words.extend([option.to_owned(), at(file)]);
                }
                words
            }
            Product::Ldirectord => vec!["ldirectord".into(), at("ldirectord.conf"), "start".into()],
        })
    }
}

/// A product that runs; ends, with all it started, when it is dropped. The kernel's table is emptied then.
#[derive(Debug)]
pub struct Running {
    product: Product,
    folder: PathBuf,
    child: Child,
}

impl Running {
    /// Starts it with this configuration.
    ///
    /// # Errors
    /// It is not there, or there can be no control group.
    pub fn start(ground: &Ground, product: Product, case: &Case) -> Result<Running> {
        let folder = ground.folder.clone();
        configure(product, case, &folder)?;
        for name in ["run", "state"] {
            fs::create_dir_all(folder.join(name)).context(|| format!("cannot make {name}"))?;
        }
        fs::create_dir_all(GROUP).context(|| format!("cannot make {GROUP}"))?;
        let log = fs::File::create(folder.join(format!("{}.log", product.name())));
        let log = log.context(|| "cannot write a log".to_owned())?;
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\"", GROUP])
            .args(product.command(&folder)?);
        command
            .stdin(Stdio::null())
            .stderr(log.try_clone().context(|| "no second handle".to_owned())?)
            .stdout(log);
        let child = within(DIRECTOR, move || command.spawn())?;
        let child = child.context(|| format!("cannot start {}", product.name()))?;
        Ok(Running { product, folder, child })
    }

    /// Has it take another configuration.
    ///
    /// # Errors
    /// It is gone.
    pub fn reload(&mut self, case: &Case) -> Result<()> {
        configure(self.product, case, &self.folder)?;
        // The process in the foreground is the one that heeds it in all three.
        command::signal_pid(self.child.id(), Signal::SIGHUP);
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(LabError(format!("{} is gone: {}", self.product.name(), self.last_words()))),
        }
    }

    /// Processor time all its processes have used, those that ended too.
    pub fn used(&self) -> Result<Duration> {
        let text = fs::read_to_string(format!("{GROUP}/cpu.stat")).context(|| "no cpu.stat".to_owned())?;
        let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        let micros = line.and_then(|line| line.trim().parse().ok());
        micros.map(Duration::from_micros).ok_or_else(|| LabError::new("cpu.stat has no usage_usec"))
    }

    /// Pss of all its processes, bytes.
    pub fn memory(&self) -> u64 {
        let pids = fs::read_to_string(format!("{GROUP}/cgroup.procs")).unwrap_or_default();
        pids.lines().filter_map(|pid| crate::bench::processes::pss_bytes(pid.parse().ok()?)).sum()
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join(format!("{}.log", self.product.name())));
        log.unwrap_or_default().lines().rev().take(3).collect::<Vec<_>>().join("; ")
    }
}

fn configure(product: Product, case: &Case, folder: &Path) -> Result<()> {
    let file = folder.join(format!("{}.conf", product.name()));
    fs::write(&file, product.config(case, folder)).context(|| format!("cannot write {}", file.display()))
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = fs::write(format!("{GROUP}/cgroup.kill"), "1");
        let _ = self.child.kill();
        let _ = self.child.wait();
        let empty =
            || fs::read_to_string(format!("{GROUP}/cgroup.procs")).is_ok_and(|t| t.is_empty()).then_some(());
        let _ = wait("the product's processes gone", 30, empty);
        let _ = within(DIRECTOR, || Command::new("ipvsadm").arg("-C").status());
        for name in ["run", "state", "k.pid", "c.pid"] {
            let path = self.folder.join(name);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        let _ = fs::remove_dir(GROUP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_told_the_same() {
        let case = Case { services: 2, reals: 3, weight: 7, interval: 1, port: 80 };
        for product in [Product::Hbd, Product::Keepalived, Product::Ldirectord] {
            let text = product.config(&case, Path::new("/tmp"));
            let last = text.lines().filter(|line| line.contains("10.90.0.6")).count();
            assert_eq!((last, text.matches("10.90.0.7").count()), (1, 0), "{text}");
            assert!(text.contains("10.91.0.2") && !text.contains("10.91.0.3"), "{text}");
            assert_eq!(
                text.matches("weight = 7").count()
                    + text.matches("weight 7").count()
                    + text.matches("masq 7").count(),
                6,
                "{text}"
            );
        }
        assert_eq!(real(250).to_string(), "10.90.1.1");
    }
}
