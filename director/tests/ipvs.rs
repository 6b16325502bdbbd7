//! The director's table on a real kernel: what is told arrives (`ipvsadm` says the same), what is read is what is
//! there, everything changes in place.
//!
//! Needs root and IPVS; `tests/vm/ipvs` runs it in a virtual machine with `HBD_IPVS=required`. Elsewhere it says so and
//! passes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use director::kernel::{Backend, Direction, Kernel, SyncDaemon};
use director::table::{
    Change, Checksum, Dest, Family, Flags, Forward, Key, Protocol, Service, Table, Tunnel, plan,
};
use nix::sched::{CloneFlags, unshare};

/// Runs `work` in a network namespace of its own, with the loopback device up.
fn alone(work: impl FnOnce() + Send) {
    let required = std::env::var("HBD_IPVS").is_ok_and(|value| value == "required");
    if !required {
        eprintln!("passed by: needs IPVS and root; tests/vm/ipvs runs this in a virtual machine");
        return;
    }
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            run("ip", "link set lo up");
            work();
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Runs a program in the namespace of this thread; gives what it prints.
fn run(program: &str, words: &str) -> String {
    let output = Command::new(program).args(words.split_whitespace()).output().expect(program);
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The table as `ipvsadm` would restore it, each line with single spaces.
fn ipvsadm() -> BTreeSet<String> {
    run("ipvsadm", "-S -n").lines().map(|line| line.trim().to_owned()).collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn tcp(text: &str) -> Key {
    Key::Address(Protocol::Tcp, at(text))
}

fn service(scheduler: &str, family: Family, dests: &[(&str, Dest)]) -> Service {
    Service {
        scheduler: scheduler.into(),
        flags: Flags::default(),
        persistent: None,
        netmask: Service::whole_mask(family),
        engine: None,
        dests: BTreeMap::from_iter(dests.iter().map(|(address, dest)| (at(address), *dest))).into(),
    }
}

fn dest(forward: Forward, weight: u32) -> Dest {
    Dest { weight, forward, upper: 0, lower: 0 }
}

/// Brings the kernel from what it has to `desired`, and sees that it is there; gives the changes.
fn bring(kernel: &mut Kernel, desired: &Table, owned: &BTreeSet<Key>) -> Vec<Change> {
    let current = kernel.read().expect("read").table;
    let changes = plan(&current, desired, owned);
    for (change, result) in changes.iter().zip(kernel.apply(&changes)) {
        assert_eq!(result, Ok(()), "{change}");
    }
    let found = kernel.read().expect("read").table;
    for (key, service) in desired {
        assert_eq!(found.get(key), Some(service), "{key}");
    }
    changes
}

fn owned(table: &Table) -> BTreeSet<Key> {
    table.keys().copied().collect()
}

#[test]
fn every_scheduler_and_every_way_to_a_real_server() {
    alone(|| {
        let mut kernel = Kernel::open().expect("IPVS");
        let schedulers = "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh";
        let mut desired: Table = schedulers
            .split(' ')
            .zip(1..)
            .map(|(name, port)| (tcp(&format!("10.9.0.1:{port}")), service(name, Family::V4, &[])))
            .collect();
        let ways = [
            ("10.9.1.1:80", dest(Forward::Gate, 1)),
            ("10.9.1.2:80", dest(Forward::Tunnel(Tunnel::Ipip), 0)),
            ("10.9.1.3:8080", Dest { upper: 500, lower: 400, ..dest(Forward::Masq, 65_535) }),
            ("10.9.1.4:80", dest(Forward::Tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::Remote }), 2)),
            ("10.9.1.5:80", dest(Forward::Tunnel(Tunnel::Gre { checksum: Checksum::Full }), 3)),
        ];
        desired.insert(tcp("10.9.0.1:80"), service("wrr", Family::V4, &ways));
        let six = [
            ("[fd09::1]:80", dest(Forward::Gate, 4)),
            ("10.9.1.1:80", dest(Forward::Tunnel(Tunnel::Ipip), 5)),
        ];
        let mut with_flags = service("mh", Family::V6, &six);
        with_flags.flags = Flags { scheduler_1: true, scheduler_2: true, ..Flags::default() };
        (with_flags.persistent, with_flags.netmask) = (Some(300), 64);
        desired.insert(tcp("[fd09::30]:80"), with_flags);
        let mut one_packet = service("rr", Family::V4, &[]);
        one_packet.flags.one_packet = true;
        desired.insert(Key::Address(Protocol::Udp, at("10.9.0.1:514")), one_packet);
        let mut sip = service("rr", Family::V4, &[]);
        (sip.persistent, sip.engine, sip.netmask) = (Some(120), Some("sip".into()), 0xffff_ff00);
        desired.insert(Key::Address(Protocol::Udp, at("10.9.0.1:5060")), sip);
        desired.insert(Key::Address(Protocol::Sctp, at("10.9.0.1:9")), service("lc", Family::V4, &[]));
        desired.insert(
            Key::Mark(7, Family::V4),
            service("wlc", Family::V4, &[("10.9.1.1:0", dest(Forward::Gate, 1))]),
        );
        desired.insert(Key::Mark(7, Family::V6), service("sh", Family::V6, &[]));
        assert_eq!(kernel.objections(&desired), Vec::<String>::new());
        bring(&mut kernel, &desired, &BTreeSet::new());

        let told = ipvsadm();
        for (name, port) in schedulers.split(' ').zip(1..) {
            assert!(told.contains(&format!("-A -t 10.9.0.1:{port} -s {name}")), "{name}: {told:#?}");
        }
        for line in [
            "-a -t 10.9.0.1:80 -r 10.9.1.1:80 -g -w 1",
            "-a -t 10.9.0.1:80 -r 10.9.1.2:80 -i -w 0 --tun-type ipip",
            "-a -t 10.9.0.1:80 -r 10.9.1.3:8080 -m -w 65535",
            "-a -t 10.9.0.1:80 -r 10.9.1.4:80 -i -w 2 --tun-type gue --tun-port 6080 --tun-remcsum",
            "-a -t 10.9.0.1:80 -r 10.9.1.5:80 -i -w 3 --tun-type gre --tun-csum",
            "-A -t [fd09::30]:80 -s mh -p 300 -M 64 -b mh-fallback,mh-port",
            "-a -t [fd09::30]:80 -r [fd09::1]:80 -g -w 4",
            "-A -u 10.9.0.1:514 -s rr -o",
            "-A -u 10.9.0.1:5060 -s rr -p 120 -M 255.255.255.0 --pe sip",
            "-A --sctp-service 10.9.0.1:9 -s lc",
            "-A -f 7 -s wlc",
            "-A -f 7 -6 -s sh",
        ] {
            assert!(told.contains(line), "{line} is not in {told:#?}");
        }
        let thresholds = run("ipvsadm", "-L -n --thresholds");
        assert!(
            thresholds.lines().any(|line| line.contains("10.9.1.3:8080") && line.contains("500")),
            "{thresholds}"
        );

        let gone = owned(&desired);
        let changes = bring(&mut kernel, &Table::new(), &gone);
        assert_eq!(changes.len(), gone.len());
        assert_eq!(ipvsadm(), BTreeSet::new());
    });
}

#[test]
fn tables_at_random_are_reached_one_after_the_other_and_strangers_stay() {
    alone(|| {
        let mut kernel = Kernel::open().expect("IPVS");
        run("ipvsadm", "-A -t 10.8.0.1:25 -s wlc");
        run("ipvsadm", "-a -t 10.8.0.1:25 -r 10.8.0.2:25 -g -w 3");
        let mut state = 0x9e37_79b9_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut before = BTreeSet::new();
        for round in 0..150 {
            let mut desired = Table::new();
            for port in 0..random(5) {
                let mut one = service(["rr", "wlc", "sed", "sh"][random(4) as usize], Family::V4, &[]);
                one.persistent = [None, Some(60), Some(90)][random(3) as usize];
                let ways = [Forward::Gate, Forward::Masq, Forward::Tunnel(Tunnel::Ipip)];
                for _ in 0..random(6) {
                    let upper = random(2) as u32 * 10;
                    let found = Dest {
                        weight: random(4) as u32,
                        forward: ways[random(3) as usize],
                        upper,
                        lower: upper / 2,
                    };
                    one.dests_mut().insert(at(&format!("10.8.1.{}:{}", 1 + random(5), 80 + port)), found);
                }
                desired.insert(tcp(&format!("10.8.0.1:{}", 80 + port)), one);
            }
            bring(&mut kernel, &desired, &before);
            let found = kernel.read().expect("read").table;
            assert_eq!(found.len(), desired.len() + 1, "round {round}");
            before = owned(&desired);
        }
        let told = ipvsadm();
        assert!(told.contains("-a -t 10.8.0.1:25 -r 10.8.0.2:25 -g -w 3"), "{told:#?}");
    });
}

#[test]
fn a_glance_sees_what_others_change_and_no_traffic() {
    alone(|| {
        run("ip", "addr add 10.6.0.1/32 dev lo");
        let mut kernel = Kernel::open().expect("IPVS");
        let listener = TcpListener::bind("127.0.0.1:8081").expect("listen");
        let reals = [("127.0.0.1:8081", dest(Forward::Masq, 1)), ("10.6.1.1:80", dest(Forward::Masq, 0))];
        let mut desired = Table::from([(tcp("10.6.0.1:80"), service("rr", Family::V4, &reals))]);
        let six = [("[fd06::1]:80", dest(Forward::Gate, 4))];
        desired.insert(tcp("[fd06::30]:80"), service("wlc", Family::V6, &six));
        desired.insert(Key::Mark(7, Family::V4), service("sh", Family::V4, &[]));
        assert!(!kernel.is_same(), "nothing was read yet");
        bring(&mut kernel, &desired, &BTreeSet::new());
        assert!(kernel.is_same());

        let mut client = TcpStream::connect("10.6.0.1:80").expect("connect through the service");
        let (mut server, _) = listener.accept().expect("accept");
        client.write_all(b"x").and_then(|()| server.read_exact(&mut [0])).expect("traffic");
        let active = kernel.read().expect("read").dests[&tcp("10.6.0.1:80")][&at("127.0.0.1:8081")].active;
        assert_eq!(active, 1);
        drop((client, server));
        assert!(kernel.is_same(), "a connection is no change");

        for words in [
            "-e -t 10.6.0.1:80 -r 10.6.1.1:80 -m -w 7",
            "-e -t 10.6.0.1:80 -r 10.6.1.1:80 -i -w 7",
            "-d -t 10.6.0.1:80 -r 10.6.1.1:80",
            "-a -t [fd06::30]:80 -r [fd06::2]:80 -g",
            "-E -t [fd06::30]:80 -s rr",
            "-E -t [fd06::30]:80 -s rr -p 60",
            "-A -f 8 -s rr",
            "-D -f 7",
            "-C",
        ] {
            run("ipvsadm", words);
            assert!(!kernel.is_same(), "{words}");
            kernel.read().expect("read");
            assert!(kernel.is_same(), "{words}");
        }
        bring(&mut kernel, &desired, &BTreeSet::new());
        let (key, address) = (tcp("10.6.0.1:80"), at("10.6.1.1:80"));
        let before = desired[&key].dests[&address];
        kernel.apply(&[Change::SetDest { key, address, before, dest: dest(Forward::Masq, 5) }]);
        run("ipvsadm", "-e -t 10.6.0.1:80 -r 10.6.1.1:80 -m -w 0");
        assert!(!kernel.is_same(), "what was changed from here and undone by somebody is read");
    });
}

#[test]
fn a_connection_outlives_every_change_in_place_and_is_seen() {
    alone(|| {
        run("ip", "addr add 10.7.0.1/32 dev lo");
        let mut kernel = Kernel::open().expect("IPVS");
        let key = tcp("10.7.0.1:80");
        let listener = TcpListener::bind("127.0.0.1:8080").expect("listen");
        let real = ("127.0.0.1:8080", dest(Forward::Masq, 1));
        let mut desired = Table::from([(key, service("rr", Family::V4, &[real]))]);
        bring(&mut kernel, &desired, &BTreeSet::new());
        let mut client = TcpStream::connect("10.7.0.1:80").expect("connect through the service");
        let (mut server, _) = listener.accept().expect("accept");
        let mut word = [0; 4];
        let mut talk = |client: &mut TcpStream, server: &mut TcpStream| {
            client.write_all(b"ping").expect("write");
            server.read_exact(&mut word).expect("read");
            server.write_all(b"pong").expect("write");
            client.read_exact(&mut word).expect("read");
            assert_eq!(&word, b"pong");
        };
        talk(&mut client, &mut server);
        let counters = |kernel: &mut Kernel| kernel.read().expect("read").dests[&key][&at(real.0)];
        assert_eq!(counters(&mut kernel).active, 1);

        let steps: [&dyn Fn(&mut Service); 4] = [
            &|service| service.dests_mut().values_mut().for_each(|dest| dest.weight = 0),
            &|service| service.scheduler = "wlc".into(),
            &|service| service.persistent = Some(60),
            &|service| service.dests_mut().values_mut().for_each(|dest| dest.upper = 9),
        ];
        for step in steps {
            step(desired.get_mut(&key).expect("there"));
            let changes = bring(&mut kernel, &desired, &BTreeSet::new());
            assert_eq!(changes.len(), 1, "{changes:?}");
            talk(&mut client, &mut server);
            assert_eq!(counters(&mut kernel).active, 1);
        }
        // Somebody else's change is seen, and undone by the same plan.
        run("ipvsadm", "-e -t 10.7.0.1:80 -r 127.0.0.1:8080 -m -w 7");
        run("ipvsadm", "-a -t 10.7.0.1:80 -r 10.7.0.9:80 -m -w 7");
        let current = kernel.read().expect("read").table;
        let found = plan(&current, &desired, &BTreeSet::new());
        assert_eq!(found.len(), 2, "{found:?}");
        bring(&mut kernel, &desired, &BTreeSet::new());
        talk(&mut client, &mut server);
        // The kernel sums up what it counted every two seconds.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while counters(&mut kernel).traffic.connections == 0 {
            assert!(std::time::Instant::now() < patience, "{:?}", counters(&mut kernel));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert!(kernel.read().expect("read").services[&key].connections > 0);
    });
}

#[test]
fn this_machine_as_a_real_server_is_no_drift() {
    alone(|| {
        run("ip", "addr add 10.6.0.9/32 dev lo");
        let mut kernel = Kernel::open().expect("IPVS");
        let own = [
            ("127.0.0.1:80", dest(Forward::Gate, 1)),
            ("10.6.0.9:80", dest(Forward::Tunnel(Tunnel::Ipip), 1)),
            ("10.6.0.9:81", dest(Forward::Masq, 1)),
        ];
        let desired = Table::from([(tcp("10.6.0.1:80"), service("rr", Family::V4, &own))]);
        bring(&mut kernel, &desired, &BTreeSet::new());
        assert_eq!(bring(&mut Kernel::open().expect("IPVS"), &desired, &BTreeSet::new()), []);
    });
}

#[test]
fn the_sync_daemon_follows_its_role() {
    alone(|| {
        run("ip", "link add eth9 type dummy");
        run("ip", "addr add 10.5.0.1/24 dev eth9");
        run("ip", "link set eth9 up multicast on");
        let mut kernel = Kernel::open().expect("IPVS");
        let daemons =
            || run("ipvsadm", "-L --daemon").lines().map(|line| line.to_owned()).collect::<Vec<_>>();
        let of = |direction| SyncDaemon { direction, interface: "eth9".into(), id: 5 };
        let is = |told: Vec<String>, role: &str, id: &str| {
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with(role) && told[0].contains(&format!("syncid={id},")), "{told:?}");
        };
        kernel.sync(Some(&of(Direction::Backup))).expect("backup");
        is(daemons(), "backup", "5");
        kernel.sync(Some(&of(Direction::Backup))).expect("still");
        kernel.sync(Some(&of(Direction::Master))).expect("master");
        is(daemons(), "master", "5");
        // One that was left by a former life is taken over, one with another number in the way is replaced.
        let mut restarted = Kernel::open().expect("IPVS");
        restarted.sync(Some(&of(Direction::Backup))).expect("backup");
        is(daemons(), "backup", "5");
        restarted.sync(Some(&SyncDaemon { id: 6, ..of(Direction::Backup) })).expect("another number");
        is(daemons(), "backup", "6");
        run("ipvsadm", "--start-daemon master --mcast-interface eth9 --syncid 77");
        restarted.sync(None).expect("none");
        is(daemons(), "master", "77");
        let error = restarted
            .sync(Some(&SyncDaemon { interface: "eth8".into(), ..of(Direction::Backup) }))
            .expect_err("no such interface");
        assert!(error.contains("eth8") && error.contains("no such interface"), "{error}");
    });
}

#[test]
fn refusals_are_sentences_and_keep_nothing_else_from_being_done() {
    alone(|| {
        let mut kernel = Kernel::open().expect("IPVS");
        let key = tcp("10.4.0.1:80");
        let twos = service("twos", Family::V4, &[]);
        let good = service("rr", Family::V4, &[]);
        let address = at("10.4.0.2:80");
        let one = dest(Forward::Gate, 1);
        let results = kernel.apply(&[
            Change::AddService { key: tcp("10.4.0.1:81"), service: twos.clone() },
            Change::AddDest { key: tcp("10.4.0.9:80"), address, dest: one },
            Change::AddService { key, service: good.clone() },
            Change::AddDest { key, address, dest: one },
            Change::AddDest { key, address, dest: Dest { weight: 9, ..one } },
            Change::AddDest { key, address: at("10.4.0.3:81"), dest: one },
            Change::SetDest { key, address: at("10.4.0.4:80"), before: one, dest: one },
            Change::DelDest { key, address: at("10.4.0.4:80") },
            Change::DelService { key: tcp("10.4.0.1:99") },
        ]);
        let sentence = |place: usize, words: &str| {
            let said = results[place].as_ref().expect_err(words);
            assert!(said.contains(words), "{said}");
        };
        sentence(0, "scheduler twos is not known to this kernel (modprobe ip_vs_twos)");
        sentence(1, "the service is not in the table");
        sentence(5, "only masquerading changes packets");
        sentence(6, "the real server is not in the table");
        for place in [2, 3, 4, 7, 8] {
            assert_eq!(results[place], Ok(()), "number {place}");
        }
        let found = kernel.read().expect("read").table;
        assert_eq!(*found[&key].dests, BTreeMap::from([(address, Dest { weight: 9, ..one })]));
        let objections = kernel.objections(&Table::from([(tcp("10.4.0.1:81"), twos)]));
        assert_eq!(
            objections,
            ["tcp 10.4.0.1:81: scheduler twos is not known to this kernel (modprobe ip_vs_twos)"]
        );
    });
}

#[test]
fn the_kernels_switches_are_set() {
    alone(|| {
        let mut kernel = Kernel::open().expect("IPVS");
        let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/{name}")).expect(name);
        assert_eq!(read("ipv4/vs/expire_nodest_conn"), "0\n");
        let table = Table::from([(
            tcp("10.3.0.1:80"),
            service("wlc", Family::V4, &[("10.3.0.2:80", dest(Forward::Masq, 1))]),
        )]);
        let said = kernel.prepare(&table);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("net.ipv4.ip_forward is 0"), "{said:?}");
        for name in ["expire_nodest_conn", "expire_quiescent_template", "conn_reuse_mode"] {
            assert_eq!(read(&format!("ipv4/vs/{name}")), "1\n", "{name}");
        }
        run("sysctl", "-qw net.ipv4.ip_forward=1");
        assert_eq!(kernel.prepare(&table), Vec::<String>::new());
    });
}

#[test]
fn ten_thousand_real_servers_come_change_and_go() {
    alone(|| {
        let mut kernel = Kernel::open().expect("IPVS");
        let mut desired = Table::new();
        for number in 0..20 {
            let mut one = service("wlc", Family::V4, &[]);
            for host in 0..500 {
                let address = format!("10.{}.{}.{}:80", 100 + number, host / 250, 1 + host % 250);
                one.dests_mut().insert(at(&address), dest(Forward::Gate, 1));
            }
            desired.insert(tcp(&format!("10.2.0.{}:80", number + 1)), one);
        }
        let timed = |what: &str, kernel: &mut Kernel, desired: &Table| {
            let start = std::time::Instant::now();
            let changes = bring(kernel, desired, &BTreeSet::new()).len();
            println!("{what}: {changes} changes in {:?}, with reading it twice", start.elapsed());
            changes
        };
        assert_eq!(timed("added", &mut kernel, &desired), 10_020);
        desired.values_mut().flat_map(|one| one.dests_mut().values_mut()).for_each(|dest| dest.weight = 2);
        assert_eq!(timed("reweighted", &mut kernel, &desired), 10_000);
        assert_eq!(timed("unchanged", &mut kernel, &desired), 0);
        desired
            .values_mut()
            .for_each(|one| one.dests_mut().retain(|address, _| address.ip().to_string().ends_with('7')));
        timed("mostly removed", &mut kernel, &desired);
    });
}
