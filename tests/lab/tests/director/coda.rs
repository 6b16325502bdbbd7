//! The pair `servidor` and `cliente` of the Coda installation: four real servers by direct routing, persistent.

use lab::Result;
use lab::farm::Farm;

use super::{check, group, invite_strangers, on_farm, strangers};

const VIP: &str = "192.168.1.30";
const REALS: [&str; 4] = ["real1", "real2", "real3", "real4"];

/// The owner's ldirectord.cf; port 443 has lines instead of TLS, for the open connection.
fn configuration() -> String {
    let mut text =
        "[director]\ninterval = \"500ms\"\ntimeout = \"5s\"\nfall = 2\nrise = 1\nquiescent = false\n\
        sync = { interface = \"eth1\", id = 1 }\n"
            .to_owned();
    for (name, port, check) in [
        ("https", 443, "{ type = \"connect\" }"),
        ("http", 80, "{ type = \"http\", path = \"/index.html\", expect = \"happy\" }"),
    ] {
        text += &format!(
            "\n[[virtual]]\nname = \"{name}\"\naddress = \"{VIP}:{port}\"\nprotocol = \"tcp\"\nscheduler = \"wrr\"\n\
             persistent = \"120s\"\nnetmask = \"255.255.255.0\"\nforward = \"gate\"\nfallback = \"127.0.0.1:{port}\"\n\
             check = {check}\n"
        );
        for (number, real) in (1..).zip(REALS) {
            text += &format!(
                "  [[virtual.real]]\n  name = \"{real}\"\n  address = \"100.100.100.{number}:{port}\"\n"
            );
        }
    }
    text
}

fn make() -> Result<Farm> {
    let farm = Farm::new(&REALS, |settings| group(settings, &["192.168.1.30/24/eth0"]))?;
    for (name, addresses) in [
        ("a", ["192.168.1.1/24", "100.100.100.251/24"]),
        ("b", ["192.168.1.2/24", "100.100.100.252/24"]),
        ("client", ["192.168.1.9/24", "192.168.1.10/24"]),
    ] {
        let lines = addresses.map(|address| format!("ip addr add {address} dev eth0"));
        farm.shell(name, &lines.join("\n"))?;
    }
    for (number, real) in (1..).zip(REALS) {
        farm.shell(
            real,
            &format!("ip addr add 100.100.100.{number}/24 dev eth0; ip route add 192.168.1.0/24 dev eth0"),
        )?;
        farm.direct_routing(real, VIP)?;
        serve(&farm, real)?;
    }
    invite_strangers(&farm, 12, 20)?;
    farm.configure(&configuration())?;
    Ok(farm)
}

fn serve(farm: &Farm, real: &str) -> Result<()> {
    farm.serve(real, &["http:0.0.0.0:80", "line:0.0.0.0:443"])
}

/// Clients that nobody knows yet ask; all are answered, by these real servers, evenly.
fn evenly(farm: &Farm, round: u8, count: u8, by: &[&str]) -> Result<()> {
    let answers = farm.ask_as("http:192.168.1.30:80", count.into(), &strangers(round, count))?;
    let share = u32::from(count) / by.len() as u32;
    let even = by.iter().all(|real| answers.of(real) == share);
    check(even && answers.failed.is_empty(), || format!("round {round}: {} of {by:?}", answers.spread()))
}

/// What is in the table for port 80.
fn in_table(farm: &Farm, node: &str, number: usize) -> Result<bool> {
    Ok(farm.table(node)?.iter().any(|line| line.contains(&format!("-r 100.100.100.{number}:80"))))
}

#[test]
fn the_owners_own_test_passes() {
    on_farm(make, |farm| {
        farm.pair.start_both()?;
        for node in ["a", "b"] {
            farm.wait_all(node, "up")?;
        }
        evenly(farm, 0, 20, &REALS)?;
        // Each in turn is away, then back.
        for (number, real) in (1..).zip(REALS) {
            farm.kill(real)?;
            for node in ["a", "b"] {
                farm.wait_real(node, real, "down")?;
                check(!in_table(farm, node, number)?, || format!("{real} is in the table of {node}"))?;
            }
            let others: Vec<&str> = REALS.into_iter().filter(|other| *other != real).collect();
            let round = 2 * number as u8 - 1;
            evenly(farm, round, 18, &others)?;
            // Those whom it served before go on elsewhere.
            let known = farm.ask_as("http:192.168.1.30:80", 20, &strangers(0, 20))?;
            check(known.failed.is_empty() && known.of(real) == 0, || known.spread())?;
            serve(farm, real)?;
            for node in ["a", "b"] {
                farm.wait_real(node, real, "up")?;
            }
            evenly(farm, round + 1, 20, &REALS)?;
        }
        // The director with the address loses its power: the open connection goes on.
        let daemons = |node: &str| farm.world().must(node, &["ipvsadm", "-L", "--daemon"]);
        lab::scenario::until("one tells of connections, the other listens", || {
            Ok(daemons("a")?.contains("master") && daemons("b")?.contains("backup"))
        })?;
        let open =
            farm.talk("open", "192.168.1.30:443".parse().map_err(|_| lab::LabError::new("no address"))?)?;
        // The kernel tells of a connection within a second or two.
        farm.wait_synced("b", "192.168.1.30:443")?;
        farm.world().power_off("a")?;
        farm.pair.wait("b", "the director starts on b", |s| s.has("director", "started", Some("b")))?;
        let before = open.lines();
        lab::clock::wait_for(
            "lines after the takeover",
            lab::pair::BOUND,
            std::time::Duration::from_millis(50),
            || (open.lines() > before + 10).then_some(()),
        )?;
        let line = open.line()?;
        check(line.broken.is_none(), || format!("the open connection broke: {line:?}"))?;
        farm.world().timeline.note(format!("the open connection: {line:?}"));
        check(daemons("b")?.contains("master"), || "b tells of connections now".into())?;
        evenly(farm, 9, 20, &REALS)
    });
}
