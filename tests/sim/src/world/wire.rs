//! The wires between the machines: they lose, copy, delay, reorder, spoil, and may be cut one way.

use std::rc::Rc;

use proto::{ClusterId, Keyring, Message};

/// The name of the simulated cluster.
pub const CLUSTER: &str = "sim";
/// Must never be seen outside of a keyring.
pub const SECRET: &str = "sesame-7f3a91";
/// Datagrams kept to be replayed.
const KEPT: usize = 48;

/// The keys of a world: the quick method for most seeds, a real one for some.
pub fn keyring(strong: bool) -> Keyring {
    let text = if strong { format!("auth 1\n1 sha256 {SECRET}\n") } else { "auth 1\n1 crc\n".to_owned() };
    Keyring::parse(&text).unwrap_or_else(|_| unreachable!("these keys are good"))
}

/// A datagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// As it travels.
    pub bytes: Vec<u8>,
    /// Who sent it, and when.
    pub from: usize,
    /// True time at which it was sent.
    pub sent: u64,
    /// What it says; `None` if it was spoiled, forged or foreign.
    pub message: Option<Message>,
    /// Not the sender's own doing: an attacker's or an accident's.
    pub forged: bool,
}

/// How bad the wires are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noise {
    /// Datagrams lost, of a thousand.
    pub lost: u64,
    /// Datagrams that come twice, of a thousand.
    pub twice: u64,
    /// Datagrams spoiled, of a thousand.
    pub spoiled: u64,
    /// Longest delay over the link's own.
    pub jitter: u64,
}

/// All wires.
pub struct Wire {
    /// How many links there are.
    pub links: usize,
    nodes: usize,
    /// How often each (from, to, link) is cut at present.
    cut: Vec<u8>,
    /// How bad they are.
    pub noise: Noise,
    /// Nobody has to guess how many noises overlap: the last that ends ends them.
    pub noises: u32,
    /// Some of what was ever sent.
    pub kept: Vec<Rc<Packet>>,
    keep_at: usize,
    /// Reads what is sent.
    pub keys: Keyring,
    /// The cluster.
    pub cluster: ClusterId,
}

impl Wire {
    /// Whole wires between so many nodes.
    pub fn new(nodes: usize, links: usize, strong: bool) -> Self {
        Self {
            links,
            nodes,
            cut: vec![0; nodes * nodes * links],
            noise: Noise::default(),
            noises: 0,
            kept: Vec::new(),
            keep_at: 0,
            keys: keyring(strong),
            cluster: ClusterId::of(CLUSTER),
        }
    }

    fn at(&self, from: usize, to: usize, link: usize) -> usize {
        (from * self.nodes + to) * self.links + link
    }

    /// Cuts a wire one way; as often as it is cut, it must be mended.
    pub fn cut(&mut self, from: usize, to: usize, link: usize) {
        let at = self.at(from, to, link);
        self.cut[at] = self.cut[at].saturating_add(1);
    }

    /// Mends a cut.
    pub fn mend(&mut self, from: usize, to: usize, link: usize) {
        let at = self.at(from, to, link);
        self.cut[at] = self.cut[at].saturating_sub(1);
    }

    /// All is well again.
    pub fn calm(&mut self) {
        self.cut.fill(0);
        self.noise = Noise::default();
        self.noises = 0;
    }

    /// Nothing goes this way.
    pub fn is_cut(&self, from: usize, to: usize, link: usize) -> bool {
        self.cut[self.at(from, to, link)] > 0
    }

    /// No link goes this way.
    pub fn deaf(&self, from: usize, to: usize) -> bool {
        (0..self.links).all(|link| self.is_cut(from, to, link))
    }

    /// Some node cannot hear some other.
    pub fn any_deaf(&self) -> bool {
        (0..self.nodes).any(|a| (0..self.nodes).any(|b| a != b && self.deaf(a, b)))
    }

    /// Keeps some of what is sent, to be replayed later.
    pub fn keep(&mut self, packet: &Rc<Packet>) {
        if self.kept.len() < KEPT {
            self.kept.push(Rc::clone(packet));
            return;
        }
        // One in seven later ones takes the place of an old one.
        self.keep_at += 1;
        if self.keep_at.is_multiple_of(7) {
            let at = self.keep_at / 7 % KEPT;
            self.kept[at] = Rc::clone(packet);
        }
    }
}

/// A copy of a datagram with something wrong in it: a bit turned, or cut short.
pub fn spoil_of(packet: &Packet, chance: u64) -> Packet {
    let mut bytes = packet.bytes.clone();
    let at = (chance >> 8) as usize % bytes.len();
    if chance.is_multiple_of(4) {
        bytes.truncate(at);
    } else {
        bytes[at] ^= 1 << (chance >> 4 & 7);
    }
    Packet { bytes, message: None, forged: true, ..packet.clone() }
}
