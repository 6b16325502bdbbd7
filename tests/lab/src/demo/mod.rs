//! The demonstration: a pair that serves a page, a plug that is pulled, an operator's standby; and what a
//! client saw of each.

pub mod visit;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use visit::Visit;

use crate::clock::{monotonic_ns, wait_for};
use crate::error::Context;
use crate::net::CLIENT;
use crate::net::process::Process;
use crate::net::space::lab_program;
use crate::pair::{BOUND, GROUP, Pair, VIP, ip};
use crate::probe::report::Summary;
use crate::{LabError, Result};

const PICTURE: &str = "
        client 10.77.0.100 ── asks http://10.77.1.1/ every 10 ms and sends a probe each ms
              │
   ═══════════╪══════════ service LAN (a bridge) ════════
        │                        │
     node a (preferred)       node b           VIP 10.77.1.1: wherever the group is
        │                        │
   ═════╧══════ heartbeat LAN ═══╧═══════════════════════
";

/// Time for the client to look at things as they are.
const CALM: Duration = Duration::from_millis(700);

/// Runs the whole demonstration; `agents` is the folder with the resource agents.
///
/// # Errors
/// Something did not come to pass; the sentence says what.
pub fn run(agents: &std::path::Path) -> Result<()> {
    title("two directors, a switch, a client: each a machine of its own, in namespaces");
    println!("{PICTURE}");
    let service = agents.join("Service");
    let folder = agents.canonicalize().context(|| format!("no agents in {}", agents.display()))?;
    if !service.is_file() {
        return Err(LabError(format!("there is no agent {}", service.display())));
    }
    let pair = Pair::with(|mut settings| {
        let vip = crate::hbd::config::address(VIP, 16, "eth0");
        let web = "\"Service::web::busybox::httpd::-f::-p::80::-h::/var/www\"";
        settings.more = format!("[daemon]\nagent_path = [\"{}\"]\n", folder.display());
        settings.group(GROUP, Some("a"), &[&vip, web])
    })?;
    for node in ["a", "b"] {
        page(&pair, node)?;
    }
    pair.start_both()?;
    pair.owned_by("a")?;
    show(&pair, "a", &["status"])?;

    title("the plug of a is pulled, with the client running");
    let client = Client::start(&pair, "plug")?;
    std::thread::sleep(CALM);
    let at = pair.world.power_off("a")?;
    wait_owner(&pair, "b")?;
    std::thread::sleep(CALM);
    client.finish(Some(at))?;
    show(&pair, "b", &["status"])?;

    title("a comes back; it stays the standby until somebody says otherwise");
    pair.boot("a")?;
    page(&pair, "a")?;
    pair.wait("a", "both up", |s| s.sees("b", "up") && s.has(GROUP, "started", Some("b")))?;
    pair.wait("b", "both up", |s| s.sees("a", "up"))?;
    pair.owned_by("b")?;
    show(&pair, "a", &["status"])?;

    title("b is taken out for maintenance: hbctl standby");
    let client = Client::start(&pair, "standby")?;
    std::thread::sleep(CALM);
    show(&pair, "b", &["standby"])?;
    std::thread::sleep(CALM);
    client.finish(None)?;
    pair.owned_by("a")?;
    show(&pair, "b", &["online"])?;

    title("what happened, as b tells it");
    show(&pair, "b", &["events", "-n", "30"])?;
    title("done; everything is removed again");
    Ok(())
}

fn title(text: &str) {
    println!("\n\x1b[1m== {text}\x1b[0m");
}

/// Gives a node the page that it serves.
fn page(pair: &Pair, node: &str) -> Result<()> {
    pair.world.must(node, &["mkdir", "-p", "/var/www"])?;
    pair.world.write_file(node, "/var/www/index.html", &format!("served by {node}\n"), 0o644)
}

/// Runs hbctl on a node and shows what a person there would see.
fn show(pair: &Pair, node: &str, words: &[&str]) -> Result<()> {
    println!("\n\x1b[2m{node}#\x1b[0m hbctl {}", words.join(" "));
    let began = monotonic_ns();
    let output = pair.order(node, words)?;
    print!("{}{}", output.stderr, output.stdout);
    if !matches!(words.first(), Some(&"status" | &"events")) {
        println!("(took {:.0} ms)", (monotonic_ns() - began) as f64 / 1e6);
    }
    Ok(())
}

fn wait_owner(pair: &Pair, node: &str) -> Result<()> {
    pair.wait(node, "the group started here", |s| s.has(GROUP, "started", Some(node))).map(drop)
}

/// A client at work: probes and page visits.
struct Client {
    probe: crate::probe::ProbeHandle,
    visitor: Process,
    json: PathBuf,
}

impl Client {
    fn start(pair: &Pair, label: &str) -> Result<Client> {
        let json = pair.world.dir_of(CLIENT).join(format!("{label}-visits.json"));
        let target = SocketAddr::new(ip(VIP), 80).to_string();
        let program = lab_program()?.display().to_string();
        let file = json.display().to_string();
        let words = [program.as_str(), "visit", &target, "--json", &file];
        let visitor = pair.world.spawn(CLIENT, &format!("{label}-visit"), &words)?;
        wait_for("the visitor", BOUND, Duration::from_millis(2), || {
            visitor.log_text().contains("started").then_some(())
        })?;
        let probe = pair.probe(label)?;
        Ok(Client { probe, visitor, json })
    }

    /// Ends the client's work and tells what it saw.
    fn finish(mut self, unplugged_ns: Option<u64>) -> Result<()> {
        let summary = self.probe.finish()?;
        self.visitor.close_stdin();
        if self.visitor.wait(BOUND)?.is_none() {
            return Err(LabError(format!("the visitor did not end: {}", self.visitor.log_text())));
        }
        let text = std::fs::read_to_string(&self.json).context(|| "no visits".to_owned())?;
        let visits: Vec<Visit> = serde_json::from_str(&text).context(|| "odd visits".to_owned())?;
        tell(&summary, &visits, unplugged_ns);
        Ok(())
    }
}

/// The client's view, in words and as a bar of time.
fn tell(summary: &Summary, visits: &[Visit], unplugged_ns: Option<u64>) {
    println!("\nwhat the client saw:");
    match summary.longest_gap() {
        None => println!("  probes   not one of {} was lost", summary.sent),
        Some(gap) => {
            let end = gap.answered_ns.map(|at| at.saturating_sub(gap.first_lost_ns));
            let length = end.map_or_else(|| "no end".to_owned(), |ns| format!("{:.1} ms", ns as f64 / 1e6));
            println!(
                "  probes   the address did not answer for {length} ({} of {} lost)",
                summary.lost, summary.sent
            );
            if let (Some(unplugged), Some(answered)) = (unplugged_ns, gap.answered_ns) {
                let ms = answered.saturating_sub(unplugged) as f64 / 1e6;
                println!("           served again {ms:.1} ms after the plug was pulled (deadtime is 1 s)");
            }
        }
    }
    match visit::longest_outage(visits) {
        None => println!("  pages    every one of {} visits got its page", visits.len()),
        Some((ms, before, after)) => {
            println!(
                "  pages    none for {ms:.0} ms, of {} visits; \"{before}\" before, \"{after}\" after",
                visits.len()
            );
        }
    }
    println!("  {}", bar(visits));
}

/// One character for each 50 ms: the last letter of the page served, or a dot.
fn bar(visits: &[Visit]) -> String {
    const STEP: u64 = 50_000_000;
    let Some(first) = visits.first().map(|visit| visit.at_ns) else { return String::new() };
    let mut cells: Vec<char> = Vec::new();
    for visit in visits {
        let Ok(cell) = usize::try_from(visit.end_ns.saturating_sub(first) / STEP) else { continue };
        if cells.len() <= cell {
            cells.resize(cell + 1, '·');
        }
        if let Ok(page) = &visit.page {
            cells[cell] = page.chars().last().unwrap_or('?');
        }
    }
    format!("{}  (one letter: 50 ms; · no page)", cells.into_iter().collect::<String>())
}
