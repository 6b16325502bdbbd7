//! How parts of the table are written: as `ipvsadm` users know them, with names for the letters.

use std::fmt;

use super::{Change, Checksum, Dest, Family, Forward, Key, Protocol, Service, Tunnel};

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Address(protocol, address) => write!(out, "{protocol} {address}"),
            Key::Mark(mark, Family::V4) => write!(out, "fwmark {mark}"),
            Key::Mark(mark, Family::V6) => write!(out, "fwmark {mark} IPv6"),
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Forward::Gate => out.write_str("gate"),
            Forward::Masq => out.write_str("masq"),
            Forward::Local => out.write_str("local"),
            Forward::Bypass => out.write_str("bypass"),
            Forward::Tunnel(Tunnel::Ipip) => out.write_str("ipip"),
            Forward::Tunnel(Tunnel::Gue { port, checksum }) => write!(out, "gue:{port}{checksum}"),
            Forward::Tunnel(Tunnel::Gre { checksum }) => write!(out, "gre{checksum}"),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Checksum::None => "",
            Checksum::Full => "+csum",
            Checksum::Remote => "+remcsum",
        })
    }
}

/// The service without its real servers: `wrr persistent 120s/255.255.255.0`.
impl fmt::Display for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.scheduler)?;
        let flags = [
            (self.flags.one_packet, "one-packet"),
            (self.flags.scheduler_1, "flag-1"),
            (self.flags.scheduler_2, "flag-2"),
            (self.flags.scheduler_3, "flag-3"),
        ];
        for (_, name) in flags.iter().filter(|(set, _)| *set) {
            write!(out, " {name}")?;
        }
        if let Some(seconds) = self.persistent {
            write!(out, " persistent {seconds}s")?;
            match self.netmask {
                u32::MAX | 128 => {}
                prefix @ 0..=127 => write!(out, "/{prefix}")?,
                mask => write!(out, "/{}", std::net::Ipv4Addr::from(mask))?,
            }
        }
        if let Some(engine) = &self.engine {
            write!(out, " engine {engine}")?;
        }
        Ok(())
    }
}

/// `gate weight 1`.
impl fmt::Display for Dest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} weight {}", self.forward, self.weight)?;
        if self.upper > 0 {
            write!(out, " upper {}", self.upper)?;
        }
        if self.lower > 0 {
            write!(out, " lower {}", self.lower)?;
        }
        Ok(())
    }
}

/// One line of a diff: `+`, `-`, `~` for added, removed, changed in place.
impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AddService { key, service } => write!(out, "+ {key}  {service}"),
            Change::SetService { key, service } => write!(out, "~ {key}  {service}"),
            Change::DelService { key } => write!(out, "- {key}"),
            Change::AddDest { key, address, dest } => write!(out, "+ {key} -> {address}  {dest}"),
            Change::SetDest { key, address, before, dest } => {
                write!(out, "~ {key} -> {address}  {before} -> {dest}")
            }
            Change::DelDest { key, address } => write!(out, "- {key} -> {address}"),
        }
    }
}
