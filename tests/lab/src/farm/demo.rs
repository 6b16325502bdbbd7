//! The director's demonstration: a real server dies and returns, then the director with the address loses its power; what
//! the client and an open connection saw of it.

use std::path::Path;
use std::time::Duration;

use super::Farm;
use super::ask::Answers;
use crate::clock::{monotonic_ns, wait_for};
use crate::error::Context;
use crate::pair::BOUND;
use crate::{LabError, Result};

const VIP: &str = "10.77.1.1";
const REALS: [&str; 3] = ["real1", "real2", "real3"];

const PICTURE: &str = "
        client ── asks http://10.77.1.1/ all the time, and keeps one connection open
          │
   ═══════╪═════════════════ service LAN ══════════════════════════
          │          │            │           │         │        │
          │     director a   director b     real1     real2    real3
          │     (has the       (warm:       each has 10.77.1.1 on lo and
          │      address)   same table,     answers clients directly
                     │       same checks)
   ═════ heartbeats and connection sync ═══
";

/// The configuration of both directors.
fn configuration() -> String {
    let mut text = "[director]\ninterval = \"1s\"\ntimeout = \"5s\"\nfall = 2\nrise = 1\n\
        sync = { interface = \"eth1\", id = 1 }\n"
        .to_owned();
    for (name, port, check) in [
        ("www", 80, "{ type = \"http\", path = \"/index.html\", expect = \"happy\" }"),
        ("lines", 7, "{ type = \"connect\" }"),
    ] {
        text += &format!(
            "\n[[virtual]]\nname = \"{name}\"\naddress = \"{VIP}:{port}\"\nscheduler = \"rr\"\ncheck = {check}\n"
        );
        for (number, real) in (3..).zip(REALS) {
            text += &format!(
                "  [[virtual.real]]\n  name = \"{real}\"\n  address = \"10.77.0.{number}:{port}\"\n"
            );
        }
    }
    text
}

/// Runs the demonstration; `agents` is the folder with the resource agents, and `director` is in the PATH of agents.
///
/// # Errors
/// Something did not come to pass; the sentence says what.
pub fn run(agents: &Path) -> Result<()> {
    title("two directors, three real servers, a client, in a virtual machine with IPVS");
    println!("{PICTURE}");
    let folder = agents.canonicalize().context(|| format!("no agents in {}", agents.display()))?;
    let farm = Farm::new(&REALS, |mut settings| {
        settings.more = format!("[daemon]\nagent_path = [\"{}\"]\n", folder.display());
        let address = format!("\"IPaddr::{VIP}/16/eth0\"");
        let director = "{ agent = \"director\", args = [\"/etc/hbd/director.toml\"], monitor = \"5s\" }";
        settings.group("director", Some("a"), &[&address, director])
    })?;
    farm.configure(&configuration())?;
    for real in REALS {
        farm.direct_routing(real, VIP)?;
        serve(&farm, real)?;
    }
    farm.pair.start_both()?;
    for node in ["a", "b"] {
        farm.wait_all(node, "up")?;
    }
    show(&farm, "a")?;

    title("real1 dies, and returns, with the client running");
    let began = monotonic_ns();
    let client = farm.load("real", &format!("http:{VIP}:80"), "50ms")?;
    let mut story = Vec::new();
    calm();
    farm.kill("real1")?;
    story.push((monotonic_ns(), "real1 is killed".to_owned()));
    farm.wait_real("a", "real1", "down")?;
    story.push((monotonic_ns(), "the director has taken it out".to_owned()));
    calm();
    serve(&farm, "real1")?;
    story.push((monotonic_ns(), "real1 is started again".to_owned()));
    farm.wait_real("a", "real1", "up")?;
    story.push((monotonic_ns(), "the director has taken it back".to_owned()));
    calm();
    tell(began, &story, &client.answers()?);

    title("the plug of director a is pulled, with the client running and a connection open");
    let began = monotonic_ns();
    let address = format!("{VIP}:7").parse().map_err(|_| LabError::new("no address"))?;
    let open = farm.talk("open", address)?;
    let client = farm.load("plug", &format!("http:{VIP}:80"), "50ms")?;
    calm();
    farm.wait_synced("b", &format!("{VIP}:7"))?;
    let mut story = vec![(farm.world().power_off("a")?, "director a is without power".to_owned())];
    farm.pair.wait("b", "the director starts on b", |s| s.has("director", "started", Some("b")))?;
    story.push((monotonic_ns(), "director b has the address".to_owned()));
    let before = open.lines();
    wait_for("the open connection to go on over director b", BOUND, Duration::from_millis(50), || {
        (open.lines() > before + 5).then_some(())
    })?;
    calm();
    tell(began, &story, &client.answers()?);
    let line = open.line()?;
    match &line.broken {
        None => println!(
            "  the open connection went on: {} lines answered by {}, the longest wait {:.0} ms",
            line.lines, line.by, line.longest_ms
        ),
        Some(why) => println!("  the open connection broke: {why}"),
    }
    show(&farm, "b")?;
    title("done; everything is gone with the virtual machine");
    Ok(())
}

fn serve(farm: &Farm, real: &str) -> Result<()> {
    farm.serve(real, &["http:0.0.0.0:80", "line:0.0.0.0:7"])
}

fn title(text: &str) {
    println!("\n\x1b[1m== {text}\x1b[0m");
}

/// Time for the client to look at things as they are.
fn calm() {
    std::thread::sleep(Duration::from_secs(3));
}

fn show(farm: &Farm, node: &str) -> Result<()> {
    println!("\n\x1b[2m{node}#\x1b[0m director status");
    print!("{}", farm.director(node, &["status"])?.stdout);
    Ok(())
}

/// What happened and what the client saw, on one axis.
fn tell(began: u64, story: &[(u64, String)], answers: &Answers) {
    println!("\nwhat happened, and what the client saw:");
    for (at, what) in story {
        println!("  {:>6.1} s  {what}", at.saturating_sub(began) as f64 / 1e9);
    }
    println!("  {} answered, {} not ({})", answers.count(), answers.failed.len(), answers.spread());
    for failure in &answers.failed {
        println!("           {:.1} s: {}", failure.at_ns.saturating_sub(began) as f64 / 1e9, failure.why);
    }
    println!("  the longest wait for an answer: {:.0} ms", answers.longest_ms);
    println!("  {}", bar(began, answers));
}

/// One character for each quarter of a second: the number of the real server that answered last, or a dot.
fn bar(began: u64, answers: &Answers) -> String {
    let mut cells: Vec<char> = Vec::new();
    for (at, who) in &answers.course {
        let Ok(cell) = usize::try_from(at.saturating_sub(began) / 250_000_000) else { continue };
        if cells.len() <= cell {
            cells.resize(cell + 1, '·');
        }
        if let Some(name) = who {
            cells[cell] = name.chars().last().unwrap_or('?');
        }
    }
    format!(
        "{}  (one digit: the real server of a quarter of a second; · no answer)",
        cells.iter().collect::<String>()
    )
}
