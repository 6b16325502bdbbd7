use super::facts::Settings;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn interface(name: &str, addresses: &[&str]) -> Interface {
    Interface {
        name: name.to_owned(),
        up: true,
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        settings: Settings::default(),
    }
}

/// A real server set up as it must be for direct routing.
fn good() -> Facts {
    Facts {
        interfaces: vec![interface("lo", &["127.0.0.1", "10.0.0.9"]), interface("eth0", &["10.0.0.2"])],
        all: Settings { arp_ignore: 1, arp_announce: 2, rp_filter: 1 },
        listening: vec![(Protocol::Tcp, "0.0.0.0:80".parse().unwrap())],
        redirected: Vec::new(),
        routers: vec![ip("10.0.0.254")],
    }
}

fn wanted(forward: Forward) -> Wanted {
    Wanted {
        vip: "10.0.0.9:80".parse().unwrap(),
        protocol: Protocol::Tcp,
        forward,
        port: 80,
        own: Some(ip("10.0.0.2")),
        director: None,
    }
}

fn said(facts: &Facts, wanted: Wanted) -> Vec<String> {
    judge(facts, &[wanted.clone(), wanted]).iter().map(Finding::to_string).collect()
}

#[track_caller]
fn only(facts: &Facts, wanted: Wanted, words: &str) {
    let said = said(facts, wanted);
    assert!(said.len() == 1 && said[0].contains(words), "{said:#?}");
}

#[test]
fn direct_routing() {
    assert_eq!(said(&good(), wanted(Forward::Gate)), Vec::<String>::new());
    let mut facts = good();
    facts.interfaces[0].addresses.pop();
    only(&facts, wanted(Forward::Gate), "10.0.0.9 is not on this machine");
    facts.interfaces[1].addresses.push(ip("10.0.0.9"));
    only(&facts, wanted(Forward::Gate), "10.0.0.9 is on eth0, where this machine answers");
    let mut facts = good();
    facts.all.arp_ignore = 0;
    only(&facts, wanted(Forward::Gate), "ARP answers for it on eth0 (arp_ignore is 0)");
    // The greater of `all` and the interface's own counts.
    facts.interfaces[1].settings.arp_ignore = 1;
    assert_eq!(said(&facts, wanted(Forward::Gate)), Vec::<String>::new());
    facts.all.arp_announce = 1;
    only(&facts, wanted(Forward::Gate), "arp_announce is below 2");
    only(&good(), Wanted { port: 8080, ..wanted(Forward::Gate) }, "arrive on port 80, not on 8080");
}

#[test]
fn a_redirection_needs_no_address() {
    let mut facts = good();
    facts.interfaces[0].addresses.pop();
    facts.redirected.push(ip("10.0.0.9"));
    facts.all = Settings::default();
    assert_eq!(said(&facts, wanted(Forward::Gate)), Vec::<String>::new());
    facts.listening = vec![(Protocol::Tcp, "10.0.0.9:80".parse().unwrap())];
    only(&facts, wanted(Forward::Gate), "not at this machine's own address");
}

#[test]
fn tunnelling() {
    let mut facts = good();
    facts.interfaces[0].addresses.pop();
    only(&facts, wanted(Forward::Tunnel), "tunl0 is not up");
    facts.interfaces.push(interface("tunl0", &["10.0.0.9"]));
    only(&facts, wanted(Forward::Tunnel), "rp_filter of tunl0 is 1");
    facts.interfaces[2].settings.rp_filter = 2;
    assert_eq!(said(&facts, wanted(Forward::Tunnel)), Vec::<String>::new());
    facts.all.arp_ignore = 0;
    only(&facts, wanted(Forward::Tunnel), "arp_ignore");
}

#[test]
fn nat() {
    let mut facts = good();
    let director = |text: &str| Wanted { director: Some(ip(text)), ..wanted(Forward::Masq) };
    only(&facts, director("10.0.0.254"), "with NAT no real server has it");
    facts.interfaces[0].addresses.pop();
    assert_eq!(said(&facts, director("10.0.0.254")), Vec::<String>::new());
    only(&facts, director("10.0.0.1"), "through 10.0.0.254, not through the director 10.0.0.1");
    only(&facts, wanted(Forward::Masq), "with NAT that must be the director");
    facts.routers.clear();
    only(&facts, wanted(Forward::Masq), "there is no default route");
}

#[test]
fn somebody_must_listen_where_packets_arrive() {
    let mut facts = good();
    facts.listening.clear();
    only(&facts, wanted(Forward::Gate), "nobody listens on TCP port 80");
    facts.listening.push((Protocol::Udp, "0.0.0.0:80".parse().unwrap()));
    only(&facts, wanted(Forward::Gate), "nobody listens on TCP port 80");
    facts.listening.push((Protocol::Tcp, "10.0.0.2:80".parse().unwrap()));
    only(&facts, wanted(Forward::Gate), "listened on at 10.0.0.2:80 only, not at 10.0.0.9");
    facts.listening.push((Protocol::Tcp, "[::]:80".parse().unwrap()));
    assert_eq!(said(&facts, wanted(Forward::Gate)), Vec::<String>::new());
}

#[test]
fn ipv6_needs_no_settings_of_arp() {
    let mut facts = good();
    facts.all = Settings::default();
    facts.interfaces[0].addresses.push(ip("2001:db8::9"));
    facts.listening = vec![(Protocol::Tcp, "[::]:80".parse().unwrap())];
    let wanted = Wanted { vip: "[2001:db8::9]:80".parse().unwrap(), ..wanted(Forward::Gate) };
    assert_eq!(said(&facts, wanted), Vec::<String>::new());
}
