//! Against what ipvsadm and the kernel said to each other (tests/vm/ipvs-capture wrote it down), and against noise.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::*;
use crate::netlink::wire::Messages;

const REQUESTS: &str = include_str!("../../tests/ipvs/requests.txt");
const ANSWERS: &str = include_str!("../../tests/ipvs/answers.txt");

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hexadecimal"))
        .collect()
}

/// Messages under the line of `# ipvsadm ARGUMENTS` that they belong to, in order.
fn captured(file: &str) -> Vec<(&str, Vec<Vec<u8>>)> {
    let mut found: Vec<(&str, Vec<Vec<u8>>)> = Vec::new();
    for line in file.lines() {
        match line.strip_prefix("# ipvsadm ") {
            Some(command) => found.push((command, Vec::new())),
            None => found.last_mut().expect("a command first").1.push(bytes(line)),
        }
    }
    found
}

/// The messages the kernel answered to `command`, one after the other.
fn answers(command: &str) -> Vec<u8> {
    captured(ANSWERS).into_iter().find(|(found, _)| *found == command).expect("captured").1.concat()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn tcp(text: &str) -> ServiceKey {
    ServiceKey::Address(Protocol::Tcp, address(text))
}

fn udp(text: &str) -> ServiceKey {
    ServiceKey::Address(Protocol::Udp, address(text))
}

fn of(key: ServiceKey, scheduler: &str) -> Service {
    Service {
        key,
        scheduler: scheduler.into(),
        scheduler_flags: 0,
        persistent: None,
        netmask: None,
        engine: None,
        one_packet: false,
    }
}

fn to(text: &str, forward: Forward, weight: u32) -> Destination {
    Destination { forward, weight, ..Destination::bare(address(text)) }
}

/// What each captured command is in our words.
fn ours() -> Vec<(&'static str, Vec<u8>)> {
    use Change::{
        AddDestination as Dest, AddService as Add, DeleteDestination, DeleteService, SetDestination,
        SetService,
    };
    let www = tcp("192.168.1.30:80");
    let www6 = tcp("[2001:db8::30]:80");
    let (four, six) = (ServiceKey::Mark(Family::V4, 1), ServiceKey::Mark(Family::V6, 7));
    let sctp = ServiceKey::Address(Protocol::Sctp, address("192.168.1.30:9"));
    let keep = |service: Service, seconds| Service { persistent: Some(seconds), ..service };
    let (direct, nat) = (Forward::Direct, Forward::Masquerade);
    let ipip = Forward::Tunnel(Tunnel::Ipip);
    let gue = Forward::Tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::Remote });
    let gre = Forward::Tunnel(Tunnel::Gre { checksum: Checksum::Full });
    let real = |number: u8, forward, weight| to(&format!("100.100.100.{number}:80"), forward, weight);
    let limited =
        Destination { upper_threshold: 500, lower_threshold: 400, ..to("100.100.100.2:8080", nat, 100) };
    let changes = [
        ("-A -t 192.168.1.30:80 -s wrr", Add(of(www, "wrr"))),
        ("-A -u 10.0.0.7:53 -s wlc -p 60", Add(keep(of(udp("10.0.0.7:53"), "wlc"), 60))),
        (
            "-A -t 192.168.1.30:443 -s wrr -p 120 -M 255.255.255.0",
            Add(Service { netmask: Some(0xffff_ff00), ..keep(of(tcp("192.168.1.30:443"), "wrr"), 120) }),
        ),
        ("-A -t 192.168.1.30:22", Add(of(tcp("192.168.1.30:22"), "wlc"))),
        ("-A --sctp-service 192.168.1.30:9 -s lc", Add(of(sctp, "lc"))),
        ("-A -f 1 -s rr", Add(of(four, "rr"))),
        ("-A -f 7 -6 -s sh -b sh-fallback,sh-port", Add(Service { scheduler_flags: 3, ..of(six, "sh") })),
        (
            "-A -t [2001:db8::30]:80 -s mh -b mh-port -p 300 -M 64",
            Add(Service { scheduler_flags: 2, netmask: Some(64), ..keep(of(www6, "mh"), 300) }),
        ),
        (
            "-A -u 10.0.0.7:5060 -s rr -p 300 --pe sip",
            Add(Service { engine: Some("sip".into()), ..keep(of(udp("10.0.0.7:5060"), "rr"), 300) }),
        ),
        ("-A -u 10.0.0.7:514 -s rr -o", Add(Service { one_packet: true, ..of(udp("10.0.0.7:514"), "rr") })),
        ("-A -t 192.168.1.30:0 -s rr -p 300", Add(keep(of(tcp("192.168.1.30:0"), "rr"), 300))),
        ("-E -t 192.168.1.30:80 -s wlc", SetService(of(www, "wlc"))),
        ("-E -f 1 -s sed -p 30", SetService(keep(of(four, "sed"), 30))),
        ("-a -t 192.168.1.30:80 -r 100.100.100.1:80 -g -w 1", Dest(www, real(1, direct, 1))),
        ("-a -t 192.168.1.30:80 -r 100.100.100.2:8080 -m -w 100 -x 500 -y 400", Dest(www, limited)),
        ("-a -t 192.168.1.30:80 -r 100.100.100.3 -i -w 0", Dest(www, real(3, ipip, 0))),
        (
            "-a -t 192.168.1.30:80 -r 100.100.100.4 -i --tun-type gue --tun-port 6080 --tun-remcsum",
            Dest(www, real(4, gue, 1)),
        ),
        ("-a -t 192.168.1.30:80 -r 100.100.100.5 -i --tun-type gre --tun-csum", Dest(www, real(5, gre, 1))),
        (
            "-a -t [2001:db8::30]:80 -r [2001:db8::1]:80 -g -w 5",
            Dest(www6, to("[2001:db8::1]:80", direct, 5)),
        ),
        ("-a -t [2001:db8::30]:80 -r 100.100.100.1:80 -i -w 5", Dest(www6, real(1, ipip, 5))),
        ("-a -f 7 -6 -r [2001:db8::1]:0 -g", Dest(six, to("[2001:db8::1]:0", direct, 1))),
        ("-a -f 1 -r 192.168.45.13 -g -w 2", Dest(four, to("192.168.45.13:0", direct, 2))),
        ("-e -t 192.168.1.30:80 -r 100.100.100.1:80 -g -w 7", SetDestination(www, real(1, direct, 7))),
        ("-d -t 192.168.1.30:80 -r 100.100.100.1:80", DeleteDestination(www, address("100.100.100.1:80"))),
        ("-d -f 7 -6 -r [2001:db8::1]:0", DeleteDestination(six, address("[2001:db8::1]:0"))),
        ("-D -t 192.168.1.30:80", DeleteService(www)),
        ("-D -f 7 -6", DeleteService(six)),
    ];
    let mut all: Vec<(&str, Vec<u8>)> = changes
        .into_iter()
        .map(|(line, change)| {
            assert_eq!(change.check(), Ok(()), "{change}");
            let mut writer = Writer::default();
            change.write(&mut writer, 0x20, 0);
            (line, writer.bytes()[crate::netlink::wire::HEADER..].to_vec())
        })
        .collect();
    all.extend(orders());
    all
}

/// Commands that are no changes of the table.
fn orders() -> Vec<(&'static str, Vec<u8>)> {
    let body = |command, fill: &dyn Fn(&mut Writer)| generic::body(&generic::header(command, VERSION), fill);
    let plain = Daemon::new(Role::Master, "dummy0", 7);
    let full = Daemon {
        max_length: Some(1400),
        group: Some("224.0.1.9".parse().expect("ip")),
        port: Some(9000),
        ttl: Some(5),
        ..Daemon::new(Role::Backup, "dummy0", 255)
    };
    let six =
        Daemon { group: Some("ff02::1:9".parse().expect("ip")), ..Daemon::new(Role::Master, "dummy0", 1) };
    let timeouts = |tcp: u32, tcp_fin: u32, udp: u32| {
        body(command::SET_CONFIG, &move |writer| {
            writer.attribute(top::TIMEOUT_TCP, &tcp.to_ne_bytes());
            writer.attribute(top::TIMEOUT_TCP_FIN, &tcp_fin.to_ne_bytes());
            writer.attribute(top::TIMEOUT_UDP, &udp.to_ne_bytes());
        })
    };
    vec![
        (
            "--start-daemon master --mcast-interface dummy0 --syncid 7",
            body(command::NEW_DAEMON, &|writer| plain.write(writer)),
        ),
        (
            "--start-daemon backup --mcast-interface dummy0 --syncid 255 --sync-maxlen 1400 --mcast-group 224.0.1.9 \
             --mcast-port 9000 --mcast-ttl 5",
            body(command::NEW_DAEMON, &|writer| full.write(writer)),
        ),
        (
            "--start-daemon master --mcast-interface dummy0 --syncid 1 --mcast-group ff02::1:9",
            body(command::NEW_DAEMON, &|writer| six.write(writer)),
        ),
        (
            "--stop-daemon master",
            body(command::DEL_DAEMON, &|writer| daemon::write_stop(writer, Role::Master)),
        ),
        (
            "--stop-daemon backup",
            body(command::DEL_DAEMON, &|writer| daemon::write_stop(writer, Role::Backup)),
        ),
        ("--set 900 120 300", timeouts(900, 120, 300)),
        ("--set 0 0 30", timeouts(0, 0, 30)),
        ("-Z", body(command::ZERO, &|_| {})),
        ("-Z -t 192.168.1.30:80", body(command::ZERO, &|writer| write_bare(writer))),
    ]
}

fn write_bare(writer: &mut Writer) {
    service::write_bare(writer, &tcp("192.168.1.30:80"));
}

#[test]
fn every_request_is_ipvsadms_byte_for_byte() {
    let ours: BTreeMap<&str, Vec<u8>> = ours().into_iter().collect();
    let mut compared = 0;
    for (command, messages) in captured(REQUESTS) {
        if command.starts_with("-L") {
            continue;
        }
        let mut wanted = messages.last().expect("a message")[crate::netlink::wire::HEADER..].to_vec();
        if command == "-a -t [2001:db8::30]:80 -r 100.100.100.1:80 -i -w 5" {
            // ipvsadm leaves the rest of the virtual address behind the four bytes of the IPv4 one.
            let at =
                wanted.windows(8).position(|part| part == [0x14, 0, 1, 0, 100, 100, 100, 1]).expect("there");
            wanted[at + 8..at + 20].fill(0);
        }
        let found = ours.get(command).unwrap_or_else(|| panic!("nothing of ours for: {command}"));
        assert_eq!(found, &wanted, "{command}");
        compared += 1;
    }
    assert_eq!(compared, ours.len() + 1, "ours that ipvsadm never said (one is there twice)");
}

#[test]
fn questions_are_ipvsadms_where_it_asks_them() {
    let asked =
        |command: &str| captured(REQUESTS).into_iter().find(|(found, _)| *found == command).expect("there").1;
    let list = asked("-L -n");
    // A dump of all services, then one of the real servers of each.
    assert_eq!(list[1][4..8], [0x20, 0, 5, 3], "a dump");
    assert_eq!(list[1][16..], generic::header(command::GET_SERVICE, VERSION));
    let of_dest = |key: ServiceKey| {
        generic::body(&generic::header(command::GET_DEST, VERSION), |writer| {
            writer.nest(top::SERVICE, |writer| key.write(writer));
        })
    };
    for key in [tcp("192.168.1.30:80"), tcp("[2001:db8::30]:80"), udp("10.0.0.7:53")] {
        assert!(list[2..].iter().any(|message| message[16..] == of_dest(key)), "{key}");
    }
    assert_eq!(asked("-L --daemon")[1][16..], generic::header(command::GET_DAEMON, VERSION));
    assert_eq!(asked("-L --timeout")[1][16..], generic::header(command::GET_CONFIG, VERSION));
}

#[test]
fn reads_the_kernels_tables() {
    let listing = answers("-L -n");
    let services: Vec<ServiceState> = Messages::new(&listing)
        .filter_map(|message| service::parse(nest(message.body, top::SERVICE)?))
        .collect();
    // The dump ipvsadm prints: eleven services were there.
    let mut wanted: Vec<Service> = ours_services();
    let by_key = |one: &Service, other: &Service| one.key.cmp(&other.key);
    wanted.sort_by(by_key);
    let mut found: Vec<Service> = services.iter().map(|state| state.service.clone()).collect();
    found.sort_by(by_key);
    assert_eq!(found, wanted);

    let listing = answers("-L -n -t 192.168.1.30:80");
    let mut found: Vec<DestinationState> = Messages::new(&listing)
        .filter_map(|message| destination::parse(Family::V4, nest(message.body, top::DEST)?))
        .collect();
    found.sort_by_key(|state| state.destination.address);
    let forwards: Vec<Forward> = found.iter().map(|state| state.destination.forward).collect();
    assert_eq!(
        forwards,
        [
            Forward::Direct,
            Forward::Masquerade,
            Forward::Tunnel(Tunnel::Ipip),
            Forward::Tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::Remote }),
            Forward::Tunnel(Tunnel::Gre { checksum: Checksum::Full }),
        ]
    );
    let second = found[1].destination;
    assert_eq!((second.weight, second.upper_threshold, second.lower_threshold), (100, 500, 400));
    assert_eq!(second.address, address("100.100.100.2:8080"));

    let listing = answers("-L -n -t [2001:db8::30]:80");
    let mixed: Vec<SocketAddr> = Messages::new(&listing)
        .filter_map(|message| destination::parse(Family::V6, nest(message.body, top::DEST)?))
        .map(|state| state.destination.address)
        .collect();
    assert!(mixed.contains(&address("100.100.100.1:80")) && mixed.contains(&address("[2001:db8::1]:80")));

    let listing = answers("-L --daemon");
    let daemons: Vec<Daemon> = Messages::new(&listing)
        .filter_map(|message| Daemon::parse(nest(message.body, top::DAEMON)?))
        .collect();
    assert_eq!(daemons.len(), 2);
    assert_eq!((daemons[0].role, daemons[0].id, daemons[0].port), (Role::Master, 7, Some(8848)));
    assert_eq!((daemons[1].role, daemons[1].id, daemons[1].ttl), (Role::Backup, 255, Some(5)));
    assert_eq!(daemons[1].group, Some("224.0.1.9".parse().expect("ip")));
}

/// The services of the captured listing, as they were set up.
fn ours_services() -> Vec<Service> {
    let keep = |service: Service, seconds| Service { persistent: Some(seconds), ..service };
    let mark = ServiceKey::Mark;
    vec![
        of(tcp("192.168.1.30:80"), "wlc"),
        keep(of(udp("10.0.0.7:53"), "wlc"), 60),
        Service { netmask: Some(0xffff_ff00), ..keep(of(tcp("192.168.1.30:443"), "wrr"), 120) },
        of(tcp("192.168.1.30:22"), "wlc"),
        of(ServiceKey::Address(Protocol::Sctp, address("192.168.1.30:9")), "lc"),
        keep(of(mark(Family::V4, 1), "sed"), 30),
        Service { scheduler_flags: 3, ..of(mark(Family::V6, 7), "sh") },
        Service { scheduler_flags: 2, netmask: Some(64), ..keep(of(tcp("[2001:db8::30]:80"), "mh"), 300) },
        Service { engine: Some("sip".into()), ..keep(of(udp("10.0.0.7:5060"), "rr"), 300) },
        Service { one_packet: true, ..of(udp("10.0.0.7:514"), "rr") },
        keep(of(tcp("192.168.1.30:0"), "rr"), 300),
    ]
}

#[test]
fn counters_are_read_from_either_nest() {
    let nest = |wide: bool| {
        let mut writer = Writer::default();
        writer.message(0, 0, 0, &[]);
        for kind in 1..=10u16 {
            let value = u64::from(kind) * 11;
            if wide || matches!(kind, 4 | 5) {
                writer.attribute(kind, &value.to_ne_bytes());
            } else {
                writer.attribute(kind, &(value as u32).to_ne_bytes());
            }
        }
        writer.attribute(77, &[1; 8]);
        writer.bytes()[16..].to_vec()
    };
    let stats = Stats::parse(&nest(true));
    assert_eq!(stats, Stats::parse(&nest(false)));
    assert_eq!(
        (stats.connections, stats.out_bytes, stats.connection_rate, stats.out_byte_rate),
        (11, 55, 66, 110)
    );
}

#[test]
fn what_the_kernel_would_refuse_is_refused_with_a_sentence() {
    let www = of(tcp("10.0.0.1:80"), "rr");
    let six = of(tcp("[fd00::1]:80"), "rr");
    let keep = |service: &Service| Service { persistent: Some(60), ..service.clone() };
    let bad = [
        (Service { scheduler: String::new(), ..www.clone() }, "is no scheduler"),
        (Service { scheduler: "a-name-too-long-x".into(), ..www.clone() }, "is no scheduler"),
        (Service { scheduler: "r r".into(), ..www.clone() }, "is no scheduler"),
        (Service { scheduler_flags: 8, ..www.clone() }, "three bits"),
        (Service { persistent: Some(0), ..www.clone() }, "31 days"),
        (Service { persistent: Some(TIMEOUT_MAX + 1), ..www.clone() }, "31 days"),
        (Service { netmask: Some(0), ..keep(&www) }, "no netmask"),
        (Service { netmask: Some(0xff00_ff00), ..keep(&www) }, "no netmask"),
        (Service { netmask: Some(129), ..keep(&six) }, "from 1 to 128"),
        (Service { engine: Some("sip".into()), ..www.clone() }, "without persistence"),
        (Service { one_packet: true, ..www.clone() }, "not for tcp"),
        (of(tcp("10.0.0.1:0"), "rr"), "needs persistence"),
        (of(tcp("0.0.0.0:80"), "rr"), "no address of a machine"),
        (of(tcp("[ff02::1]:80"), "rr"), "no address of a machine"),
        (of(ServiceKey::Mark(Family::V4, 0), "rr"), "no mark"),
    ];
    for (service, words) in bad {
        let sentence = Change::AddService(service).check().expect_err(words);
        assert!(sentence.contains(words), "{sentence}");
    }
    let direct = |text: &str| to(text, Forward::Direct, 1);
    let tunnel = |tunnel| to("10.0.0.2:80", Forward::Tunnel(tunnel), 1);
    let bad = [
        (Destination { weight: WEIGHT_MAX + 1, ..direct("10.0.0.2:80") }, "more than 2147483647"),
        (Destination { lower_threshold: 1, ..direct("10.0.0.2:80") }, "needs an upper one"),
        (
            Destination { lower_threshold: 9, upper_threshold: 8, ..direct("10.0.0.2:80") },
            "above the upper one",
        ),
        (direct("10.0.0.2:81"), "only masquerading"),
        (direct("224.0.0.5:80"), "no address of a machine"),
        (direct("255.255.255.255:80"), "no address of a machine"),
        (direct("[fe80::2]:80"), "link-local"),
        (direct("[fd00::2]:80"), "only a tunnel"),
        (tunnel(Tunnel::Gue { port: 0, checksum: Checksum::None }), "needs a port"),
        (tunnel(Tunnel::Gre { checksum: Checksum::Remote }), "not for GRE"),
        (to("10.0.0.2:80", Forward::Local, 1), "own choice"),
    ];
    for (destination, words) in bad {
        let sentence = Change::AddDestination(www.key, destination).check().expect_err(words);
        assert!(sentence.contains(words), "{sentence}");
    }
    let of_mark = ServiceKey::Mark(Family::V4, 1);
    assert_eq!(Change::AddDestination(of_mark, direct("10.0.0.2:0")).check(), Ok(()));
    let nat = to("10.0.0.2:8080", Forward::Masquerade, WEIGHT_MAX);
    assert_eq!(Change::AddDestination(www.key, nat).check(), Ok(()));
    let tunnelled = Forward::Tunnel(Tunnel::Ipip);
    assert_eq!(Change::AddDestination(six.key, to("10.0.0.2:80", tunnelled, 1)).check(), Ok(()));
}

#[test]
fn daemons_that_cannot_be_are_refused_with_a_sentence() {
    let good = Daemon::new(Role::Master, "eth1", 255);
    assert_eq!(check::daemon(&good), Ok(()));
    let bad = [
        (Daemon::new(Role::Master, "", 1), "no interface's name"),
        (Daemon::new(Role::Master, "an-interface-too-long", 1), "no interface's name"),
        (Daemon { id: 256, ..good.clone() }, "more than 255"),
        (Daemon { group: Some("10.0.0.1".parse().expect("ip")), ..good.clone() }, "no multicast group"),
        (Daemon { port: Some(0), ..good.clone() }, "port 0"),
        (Daemon { ttl: Some(0), ..good.clone() }, "ttl"),
        (Daemon { max_length: Some(10), ..good }, "hold no connection"),
    ];
    for (daemon, words) in bad {
        let sentence = check::daemon(&daemon).expect_err(words);
        assert!(sentence.contains(words), "{sentence}");
    }
}

#[test]
fn refusals_say_what_was_tried_and_what_it_means() {
    let service = of(tcp("10.0.0.1:80"), "twos");
    let told = Change::AddService(service.clone()).refused(libc::ENOENT).to_string();
    assert_eq!(
        told,
        "add service 10.0.0.1:80/tcp: No such file or directory (ENOENT): scheduler twos is not known to this kernel \
         (modprobe ip_vs_twos)"
    );
    let set = Change::SetDestination(service.key, to("10.0.0.2:80", Forward::Direct, 1));
    let error = set.refused(libc::ENOENT);
    assert!(error.to_string().contains("the real server is not in the table"), "{error}");
    assert!(error.is_stale());
    let error = set.refused(libc::EPERM);
    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    let mixed =
        Change::AddDestination(tcp("[fd00::1]:80"), to("10.0.0.2:80", Forward::Tunnel(Tunnel::Ipip), 1));
    assert!(mixed.refused(libc::EINVAL).to_string().contains("while a sync daemon runs"));
}

#[test]
fn a_kernel_without_ipvs_is_told_apart() {
    if support::module("ip_vs") == support::Support::Present || generic_has_ipvs() {
        return; // this kernel has it: tests/vm/ipvs is the place
    }
    let error = Ipvs::open().expect_err("no IPVS here");
    assert!(error.to_string().starts_with("open IPVS: "), "{error}");
    assert!(error.to_string().contains("ip_vs"), "{error}");
}

fn generic_has_ipvs() -> bool {
    let mut requests = Requests::open(Talk::GENERIC).expect("a socket");
    generic::family(&mut requests, FAMILY).is_ok()
}

#[test]
fn modules_are_looked_up_where_they_are_listed() {
    let folder = std::env::temp_dir().join(format!("hbd-sys-modules-{}", std::process::id()));
    let (present, lists) = (folder.join("present"), folder.join("lists"));
    std::fs::create_dir_all(present.join("ip_vs_rr")).expect("folder");
    std::fs::create_dir_all(&lists).expect("folder");
    let look = |name: &str| support::look(name, &present, &lists);
    assert_eq!((look("ip_vs_rr"), look("ip_vs_wlc")), (support::Support::Present, support::Support::Unknown));
    let path = "kernel/net/netfilter/ipvs/";
    std::fs::write(lists.join("modules.dep"), format!("{path}ip_vs_wlc.ko.xz: {path}ip_vs.ko.xz\n"))
        .expect("write");
    std::fs::write(lists.join("modules.builtin"), format!("{path}ip_vs_lc.ko\n")).expect("write");
    let found = ["ip_vs_wlc", "ip_vs_lc", "ip_vs_twos", "ip_vs", "ip_vs_wl"].map(look);
    use support::Support::{Loadable, Missing, Present};
    assert_eq!(found, [Loadable, Present, Missing, Missing, Missing]);
    std::fs::remove_dir_all(folder).expect("removed");
}

/// Noise, and real answers with noise in them: nothing panics.
#[test]
fn hostile_answers_are_read_without_harm() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let real: Vec<Vec<u8>> = captured(ANSWERS).into_iter().flat_map(|(_, messages)| messages).collect();
    for round in 0..20_000 {
        let mut bytes = real[round % real.len()].clone();
        for _ in 0..random() % 8 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.truncate(random() as usize % (bytes.len() + 1));
        walk_untrusted(&bytes);
    }
}
