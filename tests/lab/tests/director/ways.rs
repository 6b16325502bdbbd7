//! Every way to a real server: direct routing, tunnels, NAT; IPv6; services by firewall mark.

use std::time::Duration;

use lab::Result;
use lab::clock::wait_for;
use lab::farm::Farm;
use lab::hbd::daemon::program;
use lab::net::Process;
use lab::pair::BOUND;

use super::{check, on_farm};

const REALS: [&str; 2] = ["real1", "real2"];

/// One virtual service at `address`, with both real servers of the lab's own addresses.
fn virtual_service(name: &str, address: &str, forward: &str, more: &str) -> String {
    let six = address.contains("fd77");
    let port = if forward.contains("masq") { 8080 } else { 80 };
    let mut text = format!(
        "\n[[virtual]]\nname = \"{name}\"\n{address}\nscheduler = \"rr\"\nforward = \"{forward}\"\n{more}\n\
         check = {{ type = \"http\", path = \"/index.html\", expect = \"happy\" }}\n"
    );
    for number in [3, 4] {
        let real = if six { format!("[fd77::{number}]:{port}") } else { format!("10.77.0.{number}:{port}") };
        text += &format!("  [[virtual.real]]\n  name = \"real{}\"\n  address = \"{real}\"\n", number - 2);
    }
    text
}

fn configuration() -> String {
    let head = "[director]\ninterval = \"500ms\"\ntimeout = \"5s\"\nfall = 2\nrise = 1\n";
    let parts = [
        virtual_service("dr", "address = \"10.77.1.1:80\"", "gate", ""),
        virtual_service("tun", "address = \"10.77.1.2:80\"", "ipip", ""),
        virtual_service("nat", "address = \"10.77.1.3:80\"", "masq", ""),
        virtual_service("dr6", "address = \"[fd77::1:1]:80\"", "gate", ""),
        virtual_service("mark", "fwmark = 5", "gate", ""),
        virtual_service("mark6", "fwmark = 6\nfamily = \"ipv6\"\naddresses = [\"fd77::1:4\"]", "gate", ""),
    ];
    head.to_owned() + &parts.concat()
}

/// The director alone, without hbd.
fn start(farm: &Farm) -> Result<Process> {
    let program = program("director")?.display().to_string();
    farm.world().spawn("a", "director", &[&program, "run", "--config", "/etc/hbd/director.toml"])
}

fn make() -> Result<Farm> {
    let farm = Farm::new(&REALS, |settings| settings)?;
    farm.configure(&configuration())?;
    let addresses =
        ["10.77.1.1/32", "10.77.1.2/32", "10.77.1.3/32", "10.77.1.4/32", "fd77::1:1/128", "fd77::1:4/128"];
    for address in addresses {
        // The kernel would take an IPv6 address of these as the source of everything; the director's checks it must not be.
        let nodad = if address.contains(':') { "nodad" } else { "" };
        farm.shell("a", &format!("ip addr add {address} dev eth0 {nodad}"))?;
    }
    farm.shell(
        "a",
        "echo 1 >/proc/sys/net/ipv4/ip_forward
         for d in all eth0; do echo 0 >/proc/sys/net/ipv4/conf/$d/send_redirects; done
         nft add table ip farm; nft 'add chain ip farm pre { type filter hook prerouting priority mangle; }'
         nft add rule ip farm pre ip daddr 10.77.1.4 tcp dport 80 meta mark set 5
         nft add table ip6 farm; nft 'add chain ip6 farm pre { type filter hook prerouting priority mangle; }'
         nft add rule ip6 farm pre ip6 daddr fd77::1:4 tcp dport 80 meta mark set 6",
    )?;
    for real in REALS {
        for vip in ["10.77.1.1", "10.77.1.4", "fd77::1:1", "fd77::1:4"] {
            farm.direct_routing(real, vip)?;
        }
        // The tunnel's end has the address; answers to the NAT service go back through the director.
        farm.shell(
            real,
            "ip link set tunl0 up; ip addr add 10.77.1.2/32 dev tunl0
             for d in all default tunl0 eth0; do echo 0 >/proc/sys/net/ipv4/conf/$d/rp_filter; done
             ip rule add ipproto tcp sport 8080 to 10.77.0.100 lookup 80
             ip route add default via 10.77.0.1 dev eth0 table 80",
        )?;
        farm.serve(real, &["http:[::]:80", "http:0.0.0.0:8080"])?;
    }
    Ok(farm)
}

#[test]
fn every_way_leads_to_both_real_servers_and_follows_their_health() {
    on_farm(make, |farm| {
        let _director = start(farm)?;
        farm.wait_all("a", "up")?;
        let places = ["10.77.1.1", "10.77.1.2", "10.77.1.3", "[fd77::1:1]", "10.77.1.4", "[fd77::1:4]"];
        for place in places {
            let answers = farm.ask(&format!("http:{place}:80"), 10)?;
            let even = REALS.iter().all(|real| answers.of(real) == 5);
            check(even && answers.failed.is_empty(), || format!("{place}: {}", answers.spread()))?;
        }
        // A stranger's change is undone, and told.
        farm.world().must("a", &["ipvsadm", "-d", "-t", "10.77.1.1:80", "-r", "10.77.0.3:80"])?;
        wait_for("the real server is back in the table", BOUND, Duration::from_millis(50), || {
            let table = farm.table("a").ok()?;
            table.iter().any(|line| line.contains("-t 10.77.1.1:80 -r 10.77.0.3:80")).then_some(())
        })?;
        farm.wait_status("a", "the repair is told", |status| status["drift_repaired"].as_u64() > Some(0))?;
        // What is dead is left out, on every way.
        farm.kill("real1")?;
        farm.wait_real("a", "real1", "down")?;
        for place in places {
            let answers = farm.ask(&format!("http:{place}:80"), 6)?;
            check(answers.of("real2") == 6 && answers.failed.is_empty(), || {
                format!("{place}: {}", answers.spread())
            })?;
        }
        Ok(())
    });
}
