//! The parts of the bench.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::ground::{DIRECTOR, Ground, Processors, REAL, processors, within};
use super::product::{Case, Product, Running, real, virtual_address};
use super::watch::Watch;
use crate::bench::record::Record;
use crate::clock::monotonic_ns;
use crate::error::Context;
use crate::farm::table;
use crate::net::space::lab_program;
use crate::{LabError, Result};

/// For a change of the table: the slowest product asks in turn, in a slow machine.
const PATIENCE: u64 = 240;
/// First allocations, translated code and the like are over by then.
const SETTLE: Duration = Duration::from_secs(15);
/// What is counted is counted for so long: whole intervals of every case.
const WINDOW: Duration = Duration::from_secs(40);
/// Where the real servers are that can be killed.
const KILLED_PORT: u16 = 8080;

/// Measures one part with one product.
///
/// # Errors
/// It does not do what is asked in time; the kernel does not tell.
pub fn measure(part: &str, ground: &Ground, product: Product, runs: u32, record: &mut Record) -> Result<()> {
    match part {
        "reaction" => {
            killed(ground, product, runs, record)?;
            sick(ground, product, runs, record)
        }
        "load" => load(ground, product, record),
        "transitions" => transitions(ground, product, record),
        _ => reload(ground, product, record),
    }
}

fn ms(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1e6
}

/// Starts a product and waits until all its real servers are in the table.
fn ready(ground: &Ground, product: Product, case: &Case, seconds: u64) -> Result<Running> {
    let running = Running::start(ground, product, case)?;
    let all = case.services * case.reals;
    match loaded(all, case.weight, seconds) {
        Ok(_) => Ok(running),
        Err(error) => Err(LabError(format!("{error}; its last words: {}", running.last_words()))),
    }
}

/// When the table had so many real servers of this weight. Looks no more often than a fifth of the time.
fn loaded(all: usize, weight: u32, seconds: u64) -> Result<u64> {
    within(DIRECTOR, move || {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            let look = Instant::now();
            let found = table::count(weight)?;
            if found == (all, all) {
                return Ok(monotonic_ns());
            }
            if Instant::now() > end {
                let (total, right) = found;
                return Err(LabError(format!(
                    "after {seconds} s the table has {total} real servers, {right} of them of weight {weight}, not {all}"
                )));
            }
            thread::sleep((look.elapsed() * 4).max(Duration::from_millis(2)));
        }
    })?
}

/// One service with a real server for each sample: one that falls again soon has to be good for longer, on purpose.
fn few(runs: u32, port: u16) -> Case {
    Case { services: 1, reals: (runs as usize).clamp(4, 40), weight: 1, interval: 1, port }
}

/// The process of a real server is killed, and starts again.
fn killed(ground: &Ground, product: Product, runs: u32, record: &mut Record) -> Result<()> {
    let case = few(runs, KILLED_PORT);
    let mut servers = (0..case.reals).map(|n| server(real(n)).map(Some)).collect::<Result<Vec<_>>>()?;
    let _running = ready(ground, product, &case, PATIENCE)?;
    let watch = Watch::start(SocketAddr::new(virtual_address(0), 80))?;
    thread::sleep(SETTLE / 3);
    for run in 0..runs {
        // Another one each time, at moments that few or many runs spread evenly over the second: the golden ratio's. The
        // last one came back at a check, and where checks keep step that is a moment like no other.
        let n = run as usize % servers.len();
        thread::sleep(Duration::from_secs(1).mul_f64((f64::from(run) + 0.5) * 0.618_034 % 1.0));
        let killed = monotonic_ns();
        servers[n].take();
        let gone = watch.change(real(n), false, killed, PATIENCE)?;
        record.sample("killed-out", product.name(), run + 1, ms(killed, gone));
        servers[n] = Some(server(real(n))?);
        let serves = monotonic_ns();
        let back = watch.change(real(n), true, serves, PATIENCE)?;
        record.sample("killed-in", product.name(), run + 1, ms(serves, back));
    }
    Ok(())
}

/// A real server of its own process; ends when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server(address: IpAddr) -> Result<Server> {
    let mut command = Command::new(lab_program()?);
    command.args(["serve", "--name", "real", &format!("http:{address}:{KILLED_PORT}")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child =
        within(REAL, move || command.spawn())?.context(|| "cannot start a real server".to_owned())?;
    let errors = child.stderr.take();
    let server = Server(child);
    let mut line = String::new();
    errors.and_then(|errors| BufReader::new(errors).read_line(&mut line).ok());
    match line.trim() {
        "serving" => Ok(server),
        other => Err(LabError(format!("a real server does not serve: {other}"))),
    }
}

/// A real server answers badly, and well again.
fn sick(ground: &Ground, product: Product, runs: u32, record: &mut Record) -> Result<()> {
    let case = few(runs, 80);
    let _running = ready(ground, product, &case, PATIENCE)?;
    let watch = Watch::start(SocketAddr::new(virtual_address(0), 80))?;
    thread::sleep(SETTLE / 3);
    for run in 0..runs {
        let who = real(run as usize % case.reals);
        for (sick, key) in [(true, "bad-out"), (false, "good-in")] {
            let told = monotonic_ns();
            ground.servers.tell(&[who], sick);
            let changed = watch.change(who, !sick, told, PATIENCE)?;
            let answered = ground.servers.first(who);
            let answered = answered.ok_or_else(|| LabError(format!("{who} was not asked")))?;
            record.sample(key, product.name(), run + 1, ms(answered, changed));
        }
    }
    Ok(())
}

/// How many real servers a product gets where a thousand are meant: ldirectord, which asks one after the other and
/// starts a program for each, would not get them into the table in an hour.
fn thousand(product: Product) -> Case {
    let services = if product == Product::Ldirectord { 10 } else { 100 };
    // An emulated machine could not ask so many every second, unless its clock waits for it.
    let interval = if matches!(processors(), Processors::Emulated) { 20 } else { 1 };
    Case { services, reals: 10, weight: 1, interval, port: 80 }
}

/// A thousand real servers, each asked every second, or as often as this machine can be asked to.
fn load(ground: &Ground, product: Product, record: &mut Record) -> Result<()> {
    let case = thousand(product);
    let running = ready(ground, product, &case, 900)?;
    thread::sleep(SETTLE);
    let (began, used, asked) = (Instant::now(), running.used()?, ground.servers.asked());
    thread::sleep(WINDOW);
    let (used, asked) = (running.used()? - used, ground.servers.asked() - asked);
    let seconds = began.elapsed().as_secs_f64();
    let name = product.name();
    if asked == 0 {
        return Err(LabError::new("nobody was asked"));
    }
    record.plain("rate", name, asked as f64 / seconds);
    record.plain("check", name, used.as_secs_f64() * 1e6 / asked as f64);
    record.plain("share", name, used.as_secs_f64() * 100.0 / seconds);
    record.plain("memory", name, running.memory() as f64 / 1e6);
    let reals = case.services * case.reals;
    record.note(&format!("{name}: {reals} real servers, each to be asked every {} s", case.interval));
    Ok(())
}

/// Fifty real servers, four of each five of which go and come at a time: nearly every check is a change, and what as many
/// checks cost without one is taken off.
fn transitions(ground: &Ground, product: Product, record: &mut Record) -> Result<()> {
    let case = Case { services: 10, reals: 5, weight: 1, interval: 1, port: 80 };
    let running = ready(ground, product, &case, PATIENCE)?;
    thread::sleep(SETTLE);
    let (used, asked) = (running.used()?, ground.servers.asked());
    thread::sleep(WINDOW);
    let per_check = (running.used()? - used).as_secs_f64() / (ground.servers.asked() - asked).max(1) as f64;
    let (used, asked) = (running.used()?, ground.servers.asked());
    let mut changes = 0;
    for _ in 0..3 {
        let some: Vec<IpAddr> = (0..50).filter(|n| n % 5 != 0).map(real).collect();
        for (sick, left) in [(true, 10), (false, 50)] {
            ground.servers.tell(&some, sick);
            loaded(left, 1, PATIENCE)?;
            changes += some.len();
        }
    }
    let used = (running.used()? - used).as_secs_f64();
    let checks = (ground.servers.asked() - asked) as f64 * per_check;
    record.plain("transition", product.name(), ((used - checks) * 1e6 / changes as f64).max(0.0));
    Ok(())
}

/// A reload that changes the weights of ten thousand.
fn reload(ground: &Ground, product: Product, record: &mut Record) -> Result<()> {
    if product == Product::Ldirectord {
        record.note("ldirectord: no reload of 10,000: its start alone would take hours");
        return Ok(());
    }
    let case = Case { services: 100, reals: 100, weight: 1, interval: 600, port: 80 };
    let mut running = ready(ground, product, &case, 1800)?;
    thread::sleep(SETTLE);
    let other = Case { weight: 2, ..case };
    let (began, used) = (monotonic_ns(), running.used()?);
    running.reload(&other)?;
    let done = loaded(10_000, 2, 900)?;
    let used = running.used()? - used;
    record.plain("reload", product.name(), ms(began, done));
    record.plain("reload-cpu", product.name(), used.as_secs_f64() * 1e3);
    // What it keeps, not what it needed to read the file.
    thread::sleep(SETTLE);
    record.plain("reload-memory", product.name(), running.memory() as f64 / 1e6);
    Ok(())
}
