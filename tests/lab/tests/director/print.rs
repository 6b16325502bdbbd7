//! The print cluster on Piranha: IPP, LPD, LDAP, DNS by TCP and UDP checked by a script, persistent, direct routing; a real
//! server or one of its services is taken out in working hours, and nobody notices.

use lab::Result;
use lab::farm::Farm;

use super::{check, group, on_farm};

const REALS: [&str; 2] = ["real1", "real2"];
/// Name, address, port, protocol, check.
const SERVICES: [(&str, &str, u16, &str, &str); 5] = [
    ("ipp", "10.0.0.5", 631, "tcp", "{ type = \"connect\" }"),
    ("lpd", "10.0.0.5", 515, "tcp", "{ type = \"connect\" }"),
    ("ldap", "10.0.0.6", 389, "tcp", "{ type = \"connect\" }"),
    (
        "dns",
        "10.0.0.7",
        53,
        "udp",
        "{ type = \"script\", program = \"/etc/hbd/checkdns\", args = [\"%h\"], expect = \"OK\" }",
    ),
    ("dns_tcp", "10.0.0.7", 53, "tcp", "{ type = \"connect\" }"),
];

fn configuration() -> String {
    let mut text =
        "[director]\ninterval = \"1s\"\ntimeout = \"10s\"\nfall = 1\nrise = 1\nquiescent = false\n\
        sync = { interface = \"eth1\", id = 2 }\n"
            .to_owned();
    for (name, vip, port, protocol, check) in SERVICES {
        text += &format!(
            "\n[[virtual]]\nname = \"{name}\"\naddress = \"{vip}:{port}\"\nprotocol = \"{protocol}\"\n\
             scheduler = \"wlc\"\npersistent = \"60s\"\ncheck = {check}\n"
        );
        for (number, real) in (3..).zip(REALS) {
            text +=
                &format!("  [[virtual.real]]\n  name = \"{real}\"\n  address = \"10.0.0.{number}:{port}\"\n");
        }
    }
    text
}

fn make() -> Result<Farm> {
    let addresses = ["10.0.0.5/24/eth0", "10.0.0.6/24/eth0", "10.0.0.7/24/eth0"];
    let farm = Farm::new(&REALS, |settings| group(settings, &addresses))?;
    for (number, name) in (1..).zip(["a", "b", "real1", "real2"]) {
        farm.shell(name, &format!("ip addr add 10.0.0.{number}/24 dev eth0"))?;
    }
    farm.shell("client", "ip addr add 10.0.0.9/24 dev eth0; ip addr add 10.0.0.10/24 dev eth0")?;
    // The owner's script asked the name server on the host it was given, and said OK.
    let ask = lab::net::space::lab_program()?.display().to_string();
    let script =
        format!("#!/bin/sh\n{ask} ask udp:$1:53 --patience 5s | grep -q '\"failed\":\\[\\]' && echo OK\n");
    for node in ["a", "b"] {
        farm.world().write_file(node, "/etc/hbd/checkdns", &script, 0o755)?;
    }
    for real in REALS {
        for vip in ["10.0.0.5", "10.0.0.6", "10.0.0.7"] {
            farm.direct_routing(real, vip)?;
        }
        serve(&farm, real, &[])?;
    }
    farm.configure(&configuration())?;
    Ok(farm)
}

/// All services of a real server but these.
fn serve(farm: &Farm, real: &str, but: &[&str]) -> Result<()> {
    let number = if real == "real1" { 3 } else { 4 };
    let mut places = Vec::new();
    for (_, vip, port, protocol, _) in SERVICES.iter().filter(|(name, ..)| !but.contains(name)) {
        // Datagrams are answered from the address they came to only by who listens on it.
        places.extend(match *protocol {
            "udp" => vec![format!("udp:{vip}:{port}"), format!("udp:10.0.0.{number}:{port}")],
            _ => vec![format!("line:0.0.0.0:{port}")],
        });
    }
    farm.serve(real, &places.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Each service answers, and a client stays with one real server.
fn all_answer(farm: &Farm, but: Option<(&str, &str)>) -> Result<()> {
    for (name, vip, port, protocol, _) in SERVICES {
        let kind = if protocol == "udp" { "udp" } else { "line" };
        let answers = farm.ask(&format!("{kind}:{vip}:{port}"), 4)?;
        check(answers.failed.is_empty() && answers.by.len() == 1, || {
            format!("{name}: {}", answers.spread())
        })?;
        if let Some((service, real)) = but {
            let wrong = (service == name || service == "*") && answers.of(real) > 0;
            check(!wrong, || format!("{name} went to {real}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_service_or_a_whole_real_server_leaves_in_working_hours() {
    on_farm(make, |farm| {
        farm.pair.start_both()?;
        for node in ["a", "b"] {
            farm.wait_all(node, "up")?;
        }
        all_answer(farm, None)?;
        // One name server dies; everything else of that host serves on.
        farm.kill("real1")?;
        serve(farm, "real1", &["dns"])?;
        farm.wait_status("a", "dns of real1 down, the rest up", |status| {
            lab::farm::states(status).iter().all(|(service, real, state)| {
                let dead = service == "dns" && real == "real1";
                state == if dead { "down" } else { "up" }
            })
        })?;
        all_answer(farm, Some(("dns", "real1")))?;
        // The other host is taken out by its operator.
        farm.kill("real1")?;
        serve(farm, "real1", &[])?;
        farm.wait_all("a", "up")?;
        for node in ["a", "b"] {
            farm.director(node, &["maintain", "real2"])?;
            farm.wait_real(node, "real2", "maintenance")?;
        }
        all_answer(farm, Some(("*", "real2")))?;
        // The director goes as well.
        farm.world().power_off("a")?;
        farm.pair.wait("b", "the director starts on b", |s| s.has("director", "started", Some("b")))?;
        all_answer(farm, Some(("*", "real2")))?;
        farm.director("b", &["enable", "real2"])?;
        farm.wait_all("b", "up").map(drop)
    });
}
