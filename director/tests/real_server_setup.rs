//! `scripts/real-server` on a machine of its own beside a director, both network namespaces: what ARP says of the
//! address before and after, whether packets sent to the machine are taken, and that undo leaves what was there.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use director::real::facts::Facts;
use director::real::{Forward, Wanted, judge};
use director::table::Protocol;
use nix::sched::{CloneFlags, setns};

const VIP: &str = "10.77.0.100";
const SIX: &str = "2001:db8:77::100";

/// A network namespace, gone with this.
struct Space(String);

impl Space {
    fn new() -> Space {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("rs-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        good(Command::new("ip").args(["netns", "add", &name]));
        let space = Space(name);
        space.run("ip link set lo up");
        space
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).args(words.split_whitespace());
        command
    }

    fn run(&self, words: &str) -> String {
        good(&mut self.command(words))
    }

    /// In a thread of its own inside; the test's thread stays where it is.
    fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let file = std::fs::File::open(format!("/run/netns/{}", self.0)).unwrap();
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap()
        })
    }

    fn sysctl(&self, key: &str) -> String {
        self.run(&format!("cat /proc/sys/net/ipv4/conf/{key}")).trim().to_owned()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn good(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A director and a real server on one wire, and the real server's script.
struct Ground {
    director: Space,
    real: Space,
    state: tempfile::TempDir,
}

impl Ground {
    /// `None` unless root.
    fn new() -> Option<Ground> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("\n*** SKIPPED: this test makes network namespaces and must be run as root ***\n");
            return None;
        }
        let (director, real) = (Space::new(), Space::new());
        director.run(&format!("ip link add v0 type veth peer name v0 netns {}", real.0));
        for (space, host) in [(&director, 1), (&real, 2)] {
            space.run(&format!("ip addr add 10.77.0.{host}/24 dev v0"));
            space.run(&format!("ip addr add 2001:db8:77::{host}/64 dev v0 nodad"));
            space.run("ip link set v0 up");
        }
        // Strict, as many distributions have it.
        real.run("sysctl -qw net.ipv4.conf.all.rp_filter=1");
        Some(Ground { director, real, state: tempfile::tempdir().unwrap() })
    }

    fn try_script(&self, words: &str) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/real-server");
        let state = self.state.path().join("state");
        self.real.command(&format!("{script} --state {} {words}", state.display())).output().unwrap()
    }

    fn script(&self, words: &str) -> String {
        let output = self.try_script(words);
        assert!(output.status.success(), "real-server {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether somebody answers ARP for the address.
    fn arp_answers(&self, address: &str) -> bool {
        self.director.command(&format!("arping -q -c 2 -w 2 -I v0 {address}")).status().unwrap().success()
    }

    /// Sends packets for `address` to the real server's MAC, as IPVS does, and hears what the service there says.
    fn reached(&self, address: &str, port: u16) -> std::io::Result<String> {
        let mac = self.real.run("cat /sys/class/net/v0/address").trim().to_owned();
        self.director.run(&format!("ip neigh replace {address} lladdr {mac} dev v0"));
        self.director.run(&format!("ip route replace {address} dev v0"));
        let target = SocketAddr::new(address.parse().unwrap(), port);
        self.director.enter(|| {
            let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(2))?;
            let mut said = String::new();
            stream.read_to_string(&mut said).map(|_| said)
        })
    }

    /// A service on every address of the real server that says hello to each who comes; its port.
    fn service(&self) -> u16 {
        let listener = self.real.enter(|| TcpListener::bind("[::]:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = std::io::Write::write_all(&mut &stream, b"hello");
            }
        });
        port
    }

    fn findings(&self, vip: &str, forward: Forward, port: u16) -> Vec<String> {
        let vip = SocketAddr::new(vip.parse().unwrap(), port);
        let own: Option<IpAddr> = None;
        let wanted = Wanted { vip, protocol: Protocol::Tcp, forward, port, own, director: None };
        let facts = self.real.enter(|| Facts::gather().unwrap());
        judge(&facts, &[wanted]).iter().map(ToString::to_string).collect()
    }
}

#[test]
fn direct_routing_by_an_address_that_is_not_announced() {
    let Some(ground) = Ground::new() else { return };
    let port = ground.service();
    let before = ground.real.run("ip -o addr show scope global");
    assert!(ground.findings(VIP, Forward::Gate, port)[0].contains("is not on this machine"));
    // What everybody does first: the address alone. ARP answers for it, and the director is passed by.
    ground.real.run(&format!("ip addr add {VIP}/32 dev lo"));
    assert!(ground.arp_answers(VIP));
    let said = ground.findings(VIP, Forward::Gate, port);
    assert!(
        said.len() == 2 && said[0].contains("arp_ignore") && said[1].contains("arp_announce"),
        "{said:#?}"
    );
    ground.real.run(&format!("ip addr del {VIP}/32 dev lo"));

    ground.script(&format!("dr {VIP} {SIX}"));
    assert!(!ground.arp_answers(VIP), "nobody may hear of the address");
    assert!(ground.arp_answers("10.77.0.2"), "its own address is still found");
    assert_eq!(ground.findings(VIP, Forward::Gate, port), Vec::<String>::new());
    assert_eq!(ground.findings(SIX, Forward::Gate, port), Vec::<String>::new());
    assert_eq!(ground.reached(VIP, port).unwrap(), "hello");
    assert_eq!(ground.reached(SIX, port).unwrap(), "hello");
    assert!(ground.findings(VIP, Forward::Gate, 9)[0].contains("nobody listens on TCP port 9"));

    // Again: nothing changes, and nothing is remembered twice.
    let (set, addresses) = (ground.script("show"), ground.real.run("ip -o addr show scope global"));
    ground.script(&format!("dr {VIP} {SIX}"));
    assert_eq!((ground.script("show"), ground.real.run("ip -o addr show scope global")), (set, addresses));
    assert_eq!(
        (ground.real.sysctl("all/arp_ignore"), ground.real.sysctl("all/arp_announce")),
        ("1".into(), "2".into())
    );

    ground.script("undo");
    assert_eq!(ground.real.run("ip -o addr show scope global"), before);
    assert_eq!(
        (ground.real.sysctl("all/arp_ignore"), ground.real.sysctl("all/arp_announce")),
        ("0".into(), "0".into())
    );
    assert_eq!(ground.script("show"), "nothing is set\n");
    assert_eq!(ground.script("undo"), "nothing to undo\n");
}

/// The program as the operator calls it: by the services, and by the directors' file.
#[test]
fn the_program_tells_what_is_wrong() {
    let Some(ground) = Ground::new() else { return };
    let port = ground.service();
    let check = |words: &str| {
        let program = env!("CARGO_BIN_EXE_director");
        let output = ground.real.command(&format!("{program} check --real {words}")).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let by_vip = format!("--vip {VIP}:{port} --forward gate");
    let (code, said, _) = check(&by_vip);
    assert!(
        code == Some(1) && said.contains("is not on this machine") && said.contains("hb-real-server dr"),
        "{said}"
    );
    let file = ground.state.path().join("director.toml");
    let text = format!(
        "[[virtual]]\nname = \"www\"\naddress = \"{VIP}:{port}\"\nforward = \"gate\"\n\
         [[virtual.real]]\nname = \"a\"\naddress = \"10.77.0.2:{port}\"\n"
    );
    std::fs::write(&file, &text).unwrap();
    let (code, said, _) = check(&format!("--json {}", file.display()));
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &json["good"], &json["findings"][0]["weight"]),
        (Some(1), &false.into(), &"wrong".into())
    );
    ground.script(&format!("dr {VIP}"));
    for words in [by_vip, file.display().to_string()] {
        let (code, said, _) = check(&words);
        assert!(code == Some(0) && said.contains(&format!("set up to serve {VIP}:{port}")), "{said}");
    }
    std::fs::write(&file, text.replace("10.77.0.2", "10.77.0.3")).unwrap();
    let (code, _, said) = check(&file.display().to_string());
    assert!(code == Some(1) && said.contains("has an address of this machine"), "{said}");
    assert_eq!(check("--vip nonsense").0, Some(2));
}

#[test]
fn direct_routing_by_redirection() {
    let Some(ground) = Ground::new() else { return };
    let port = ground.service();
    ground.script(&format!("dr --redirect {VIP} {SIX}"));
    ground.script(&format!("dr --redirect {VIP} {SIX}"));
    assert!(!ground.arp_answers(VIP));
    assert_eq!(ground.findings(VIP, Forward::Gate, port), Vec::<String>::new());
    assert_eq!(ground.reached(VIP, port).unwrap(), "hello");
    assert_eq!(ground.reached(SIX, port).unwrap(), "hello");
    ground.script("undo");
    assert!(ground.reached(VIP, port).is_err());
    assert!(!ground.real.run("nft list tables").contains("hb_real_server"));
}

/// The namespaces' kernel may lack the tunnel itself; the device is another of its name. Packets out of a tunnel are
/// tried where there is one.
#[test]
fn tunnelling_sets_the_device_up() {
    let Some(ground) = Ground::new() else { return };
    let port = ground.service();
    ground.real.run("ip link add tunl0 type veth peer name tunl9");
    assert!(ground.findings(VIP, Forward::Tunnel, port)[0].contains("tunl0 is not up"));
    ground.script(&format!("tun {VIP}"));
    assert_eq!(ground.real.sysctl("tunl0/rp_filter"), "2");
    assert_eq!(ground.real.sysctl("all/rp_filter"), "1", "nobody else's check is loosened");
    assert_eq!(ground.findings(VIP, Forward::Tunnel, port), Vec::<String>::new());
    assert!(!ground.arp_answers(VIP));
    ground.real.run("sysctl -qw net.ipv4.conf.tunl0.rp_filter=0");
    assert!(ground.findings(VIP, Forward::Tunnel, port)[0].contains("rp_filter of tunl0 is 1"));
    ground.script("undo");
    assert_eq!(ground.real.sysctl("all/arp_ignore"), "0");
    assert!(!ground.real.run("ip -o link show tunl0").contains(",UP"));
}

#[test]
fn what_somebody_else_has_set_stays_his() {
    let Some(ground) = Ground::new() else { return };
    ground.real.run("sysctl -qw net.ipv4.conf.all.arp_ignore=2");
    ground.script(&format!("dr {VIP}"));
    ground.real.run("sysctl -qw net.ipv4.conf.all.arp_announce=1");
    ground.script("undo");
    assert_eq!(
        (ground.real.sysctl("all/arp_ignore"), ground.real.sysctl("all/arp_announce")),
        ("2".into(), "1".into())
    );
    // An address that is in use on the wire is not quietly put on lo too.
    ground.real.run(&format!("ip addr add {VIP}/24 dev v0"));
    let refused = ground.try_script(&format!("dr {VIP}"));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is on v0 already"));
    for wrong in ["dr", "dr 10.77.0", "dr 10.77.0.1;reboot", "tun x", "fly 10.77.0.1", "dr --frobnicate"] {
        assert!(!ground.try_script(wrong).status.success(), "{wrong}");
    }
}

#[test]
fn kept_for_every_start() {
    let Some(ground) = Ground::new() else { return };
    let conf = ground.state.path().join("conf");
    let conf: &Path = &conf;
    let with = |words: &str| format!("--conf {} {words}", conf.display());
    ground.script(&with(&format!("dr --persist {VIP}")));
    ground.script(&with(&format!("dr --persist {VIP}")));
    assert_eq!(std::fs::read_to_string(conf).unwrap(), format!("dr {VIP}\n"));
    ground.script("undo");
    ground.script(&with("apply"));
    assert!(ground.real.run("ip -o addr show dev lo").contains(VIP));
    ground.script(&with("undo --persist"));
    assert!(!conf.exists() && !ground.real.run("ip -o addr show dev lo").contains(VIP));
}
