//! The web cluster on Piranha: NAT, with a router address that moves together with the virtual one.

use lab::Result;
use lab::farm::Farm;

use super::{check, group, invite_strangers, on_farm, strangers};

const REALS: [&str; 3] = ["webserver1", "webserver2", "webserver3"];

fn configuration() -> String {
    let mut text =
        "[director]\ninterval = \"500ms\"\ntimeout = \"6s\"\nfall = 2\nrise = 1\nquiescent = false\n\n\
        [[virtual]]\nname = \"web\"\naddress = \"10.23.8.80:80\"\nprotocol = \"tcp\"\nscheduler = \"wlc\"\n\
        persistent = \"600s\"\nforward = \"masq\"\n\
        check = { type = \"connect\", send = \"GET / HTTP/1.0\\r\\n\\r\\n\", expect = \"HTTP\" }\n"
            .to_owned();
    for (number, real) in (11..).zip(REALS) {
        text += &format!(
            "  [[virtual.real]]\n  name = \"{real}\"\n  address = \"172.18.1.{number}:80\"\n  weight = 100\n"
        );
    }
    text
}

fn make() -> Result<Farm> {
    let addresses = ["10.23.8.80/24/eth0", "172.18.1.254/24/eth1"];
    let farm = Farm::new(&REALS, |settings| group(settings, &addresses))?;
    for (number, name) in (1..).zip(["a", "b"]) {
        farm.shell(
            name,
            &format!(
                "ip addr add 10.23.8.{number}/24 dev eth0; ip addr add 172.18.1.{number}/24 dev eth1
                 echo 1 >/proc/sys/net/ipv4/ip_forward"
            ),
        )?;
    }
    farm.shell("client", "ip addr add 10.23.8.9/24 dev eth0")?;
    invite_strangers(&farm, 2, 12)?;
    for (number, real) in (11..).zip(REALS) {
        // Only the inner network, and the router address as the way out.
        farm.shell(
            real,
            &format!(
                "ip route del 172.16.0.0/12; ip link set eth0 down; ip addr add 172.18.1.{number}/24 dev eth1
                 ip route add default via 172.18.1.254"
            ),
        )?;
        farm.serve(real, &["http:0.0.0.0:80"])?;
    }
    farm.configure(&configuration())?;
    Ok(farm)
}

/// New clients are served by all of them.
fn served(farm: &Farm, round: u8) -> Result<()> {
    let answers = farm.ask_as("http:10.23.8.80:80", 12, &strangers(round, 12))?;
    let all = REALS.iter().all(|real| answers.of(real) == 4);
    check(all && answers.failed.is_empty(), || format!("round {round}: {}", answers.spread()))
}

#[test]
fn both_addresses_move_together() {
    on_farm(make, |farm| {
        farm.pair.start_both()?;
        for node in ["a", "b"] {
            farm.wait_all(node, "up")?;
        }
        let addresses = |node: &str| {
            let text = farm.world().must(node, &["ip", "-o", "-4", "addr"])?;
            Ok(["10.23.8.80/", "172.18.1.254/"].map(|address| text.contains(address)))
        };
        check(addresses("a")? == [true, true] && addresses("b")? == [false, false], || "both on a".into())?;
        served(farm, 0)?;
        farm.pair.order("a", &["move", "director", "--to", "b", "--timeout", "100s"])?;
        farm.pair.wait("b", "the director on b", |s| s.has("director", "started", Some("b")))?;
        let both: Result<[bool; 2]> = addresses("b");
        check(both? == [true, true] && addresses("a")? == [false, false], || "both on b".into())?;
        farm.wait_all("b", "up")?;
        served(farm, 1)
    });
}
