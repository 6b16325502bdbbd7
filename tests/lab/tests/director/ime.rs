//! The university's network: midas and its standby estepe, weights 2, 1, 3 for the web, ssh in turn and watched by a monitor
//! of mon's, XDMCP, and weights that follow how busy a real server is, on both directors.

use lab::Result;
use lab::farm::Farm;

use super::{check, group, on_farm};

const VIP: &str = "192.168.45.26";
/// Name, last part of the address, weight of the web service.
const REALS: [(&str, u8, u32); 3] = [("hades", 13, 2), ("kama", 43, 1), ("cronos", 53, 3)];

fn configuration() -> String {
    let mut text = "[director]\ninterval = \"500ms\"\ntimeout = \"5s\"\nfall = 2\nrise = 1\n".to_owned();
    for (name, port, protocol, scheduler, more) in [
        ("www", 80, "tcp", "wlc", "check = { type = \"http\", path = \"/index.html\", expect = \"happy\" }"),
        (
            "ssh",
            22,
            "tcp",
            "rr",
            "check = { type = \"script\", program = \"/etc/hbd/ssh.monitor\", args = [\"-t\", \"5\"], calling = \"mon\" }",
        ),
        (
            "xdmcp",
            177,
            "udp",
            "wrr",
            "check = { type = \"udp\", send = \"who\", expect = \"who\" }\n\
             weights = { type = \"agent\", port = 7777, interval = \"1s\" }",
        ),
    ] {
        text += &format!(
            "\n[[virtual]]\nname = \"{name}\"\naddress = \"{VIP}:{port}\"\nprotocol = \"{protocol}\"\n\
             scheduler = \"{scheduler}\"\n{more}\n"
        );
        for (real, number, weight) in REALS {
            let weight = match name {
                "www" => weight,
                "ssh" => 1,
                _ => 10,
            };
            text += &format!(
                "  [[virtual.real]]\n  name = \"{real}\"\n  address = \"192.168.45.{number}:{port}\"\n  weight = {weight}\n"
            );
        }
    }
    text
}

fn make() -> Result<Farm> {
    let farm =
        Farm::new(&REALS.map(|(name, ..)| name), |settings| group(settings, &["192.168.45.26/24/eth0"]))?;
    // mon's way: options, then hosts; the first line names those that fail, and the exit code is not 0.
    let ask = lab::net::space::lab_program()?.display().to_string();
    let monitor = format!(
        "#!/bin/sh\n[ \"$1\" = -t ] && shift 2\nfor host; do\n  {ask} ask line:$host:22 --patience 5s | \
         grep -q '\"failed\":\\[\\]' || bad=\"$bad $host\"\ndone\n[ -z \"$bad\" ] || {{ echo $bad; exit 1; }}\n"
    );
    for (node, own) in [("a", 23), ("b", 24)] {
        farm.shell(node, &format!("ip addr add 192.168.45.{own}/24 dev eth0"))?;
        farm.world().write_file(node, "/etc/hbd/ssh.monitor", &monitor, 0o755)?;
    }
    farm.shell("client", "ip addr add 192.168.45.9/24 dev eth0")?;
    for (real, number, _) in REALS {
        farm.shell(real, &format!("ip addr add 192.168.45.{number}/24 dev eth0"))?;
        farm.direct_routing(real, VIP)?;
        // Datagrams are answered from the address they came to only by who listens on it.
        let own = format!("udp:192.168.45.{number}:177");
        let virtual_one = format!("udp:{VIP}:177");
        farm.serve(real, &["http:0.0.0.0:80", "line:0.0.0.0:22", &own, &virtual_one, "agent:0.0.0.0:7777"])?;
    }
    farm.configure(&configuration())?;
    Ok(farm)
}

/// The kernel's weight of a real server in the XDMCP service.
fn weight(status: &serde_json::Value, real: &str) -> Option<u64> {
    let list = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let service = list(status, "virtuals").into_iter().find(|service| service["name"] == "xdmcp")?;
    list(&service, "reals").into_iter().find(|found| found["name"] == real)?["kernel_weight"].as_u64()
}

#[test]
fn weights_share_the_load_and_follow_it() {
    on_farm(make, |farm| {
        farm.pair.start_both()?;
        for node in ["a", "b"] {
            farm.wait_all(node, "up")?;
        }
        let table = farm.table("a")?;
        for (_, number, weight) in REALS {
            let line = format!("-a -t {VIP}:80 -r 192.168.45.{number}:80 -g -w {weight}");
            check(table.contains(&line), || format!("{line} is not in {table:#?}"))?;
        }
        let answers = farm.ask(&format!("line:{VIP}:22"), 9)?;
        check(answers.failed.is_empty() && REALS.iter().all(|(real, ..)| answers.of(real) == 3), || {
            answers.spread()
        })?;
        // Connections that are over count less than open ones, by weight: the heavier gets more.
        let answers = farm.ask(&format!("http:{VIP}:80"), 24)?;
        check(answers.failed.is_empty() && answers.of("cronos") > answers.of("kama"), || answers.spread())?;
        let answers = farm.ask(&format!("udp:{VIP}:177"), 9)?;
        check(answers.failed.is_empty() && answers.by.len() == 3, || answers.spread())?;

        farm.shell("hades", "echo 20% >/run/load")?;
        farm.wait_status("a", "the loaded real server gets less", |status| {
            weight(status, "hades") <= Some(3)
        })?;
        let status =
            farm.wait_status("a", "the others keep theirs", |status| weight(status, "kama") == Some(10))?;
        check(weight(&status, "hades") > Some(0), || "it is not taken out".into())?;
        farm.wait_status("b", "the standby knows of the load as well", |status| {
            weight(status, "hades") <= Some(3) && weight(status, "kama") == Some(10)
        })?;
        farm.shell("hades", "rm /run/load")?;
        farm.wait_status("a", "it recovers", |status| weight(status, "hades") == Some(10))?;
        farm.shell("kama", "echo drain >/run/load")?;
        farm.wait_status("a", "it says itself that it leaves", |status| weight(status, "kama") == Some(0))?;
        let answers = farm.ask(&format!("udp:{VIP}:177"), 6)?;
        check(answers.failed.is_empty() && answers.of("kama") == 0, || answers.spread())?;
        // midas loses its power: estepe has the same table, the one that leaves stays away.
        farm.world().power_off("a")?;
        farm.pair.wait("b", "the director starts on b", |s| s.has("director", "started", Some("b")))?;
        let answers = farm.ask(&format!("udp:{VIP}:177"), 6)?;
        check(answers.failed.is_empty() && answers.of("kama") == 0, || answers.spread())?;
        // And ssh, which the monitor asks, leaves with its server.
        farm.kill("cronos")?;
        farm.wait_real("b", "cronos", "down")?;
        let answers = farm.ask(&format!("line:{VIP}:22"), 6)?;
        check(answers.failed.is_empty() && answers.of("cronos") == 0, || answers.spread())
    });
}
