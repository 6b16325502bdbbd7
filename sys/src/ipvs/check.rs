//! What the kernel would refuse with a bare errno, or take and not do, refused with a sentence. Whether it has a
//! scheduler at all is asked in [`super::support`], or told by its own refusal.

use std::net::{IpAddr, SocketAddr};

use super::daemon::{Daemon, Role};
use super::destination::{Checksum, Destination, Forward, Tunnel};
use super::service::{Family, Protocol, Service, ServiceKey};

/// The largest weight: the kernel's are signed.
pub const WEIGHT_MAX: u32 = i32::MAX as u32;
/// The longest timeout, in seconds: 31 days, what ipvsadm allows.
pub const TIMEOUT_MAX: u32 = 31 * 24 * 3600;
/// The longest name of a scheduler or a persistence engine.
const NAME_MAX: usize = 15;

/// What is wrong with the service; the kernel is not asked.
///
/// # Errors
/// A sentence.
pub fn service(service: &Service) -> Result<(), String> {
    key(&service.key)?;
    name("scheduler", &service.scheduler)?;
    if service.scheduler_flags > 7 {
        return Err(format!("scheduler flags {} are more than three bits", service.scheduler_flags));
    }
    if let Some(seconds) = service.persistent.filter(|seconds| !(1..=TIMEOUT_MAX).contains(seconds)) {
        return Err(format!(
            "persistence for {seconds} s: from 1 s to {TIMEOUT_MAX} s (31 days) is possible"
        ));
    }
    netmask(service)?;
    if let Some(engine) = &service.engine {
        name("persistence engine", engine)?;
        if service.persistent.is_none() {
            return Err(format!("the persistence engine {engine} does nothing without persistence"));
        }
    }
    match service.key {
        ServiceKey::Address(_, address) if address.port() == 0 && service.persistent.is_none() => {
            Err("port 0 (every port) needs persistence".into())
        }
        ServiceKey::Address(protocol, _) if service.one_packet && protocol != Protocol::Udp => {
            Err(format!("one-packet scheduling is for udp, not for {protocol}"))
        }
        _ => Ok(()),
    }
}

fn key(key: &ServiceKey) -> Result<(), String> {
    match key {
        ServiceKey::Mark(_, 0) => Err("fwmark 0 is no mark: packets without one have it".into()),
        ServiceKey::Mark(..) => Ok(()),
        ServiceKey::Address(_, address) => host(address.ip()),
    }
}

/// An address that one machine can have.
fn host(ip: IpAddr) -> Result<(), String> {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_unspecified() || ip.is_multicast() || broadcast {
        return Err(format!("{ip} is no address of a machine"));
    }
    Ok(())
}

fn netmask(service: &Service) -> Result<(), String> {
    let Some(mask) = service.netmask else {
        return Ok(());
    };
    match service.key.family() {
        Family::V6 if !(1..=128).contains(&mask) => {
            Err(format!("the netmask of an IPv6 service is a prefix length from 1 to 128, not {mask}"))
        }
        Family::V4 if mask == 0 || mask.leading_ones() + mask.trailing_zeros() != 32 => {
            let mask = std::net::Ipv4Addr::from_bits(mask);
            Err(format!("{mask} is no netmask: ones, then zeros, and not only zeros"))
        }
        _ => Ok(()),
    }
}

fn name(kind: &str, name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        return Err(format!("{name:?} is no {kind}: 1 to {NAME_MAX} letters, digits, - and _"));
    }
    Ok(())
}

/// The kernel does not have it: what to say. `kind` is `scheduler` or `persistence engine`.
pub fn unknown(kind: &str, name: &str) -> String {
    let module = if kind == "scheduler" { "ip_vs_" } else { "ip_vs_pe_" };
    format!("{kind} {name} is not known to this kernel (modprobe {module}{name})")
}

/// What is wrong with the destination as one of that service.
///
/// # Errors
/// A sentence.
pub fn destination(service: &ServiceKey, destination: &Destination) -> Result<(), String> {
    let Destination { address, forward, weight, upper_threshold: upper, lower_threshold: lower } =
        *destination;
    host(address.ip())?;
    link_local(address.ip())?;
    if weight > WEIGHT_MAX {
        return Err(format!("weight {weight} is more than {WEIGHT_MAX}"));
    }
    if lower > upper {
        return Err(if upper == 0 {
            format!("a lower threshold ({lower}) needs an upper one")
        } else {
            format!("the lower threshold {lower} is above the upper one {upper}")
        });
    }
    method(service, address, forward)?;
    if service.family() != Family::of(address.ip()) && !matches!(forward, Forward::Tunnel(_)) {
        return Err(format!("{address} is of the other address family: only a tunnel leads there"));
    }
    Ok(())
}

fn link_local(ip: IpAddr) -> Result<(), String> {
    match ip {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            Err(format!("{ip} is a link-local address: IPVS cannot know the link"))
        }
        _ => Ok(()),
    }
}

fn method(service: &ServiceKey, address: SocketAddr, forward: Forward) -> Result<(), String> {
    match forward {
        Forward::Tunnel(Tunnel::Gue { port: 0, .. }) => {
            Err("a GUE tunnel needs a port (6080 is the usual one)".into())
        }
        Forward::Tunnel(Tunnel::Gre { checksum: Checksum::Remote }) => {
            Err("remote checksum offload is for GUE tunnels, not for GRE".into())
        }
        Forward::Tunnel(Tunnel::Other(kind)) => Err(format!("tunnels of type {kind} are not known here")),
        Forward::Other(number) => Err(format!("forwarding method {number} is not known here")),
        Forward::Local | Forward::Bypass => Err("this forwarding method is the kernel's own choice".into()),
        Forward::Direct | Forward::Tunnel(_) => match service {
            ServiceKey::Address(_, virtual_address) if virtual_address.port() != address.port() => {
                Err(format!(
                    "port {} cannot become {} on the way: only masquerading changes packets",
                    virtual_address.port(),
                    address.port()
                ))
            }
            _ => Ok(()),
        },
        Forward::Masquerade => Ok(()),
    }
}

/// What is wrong with the daemon.
///
/// # Errors
/// A sentence.
pub fn daemon(daemon: &Daemon) -> Result<(), String> {
    let Daemon { interface, .. } = daemon;
    if interface.is_empty() || interface.len() > NAME_MAX || interface.contains(['\0', '/', ' ']) {
        return Err(format!("{interface:?} is no interface's name"));
    }
    if daemon.id > 255 {
        return Err(format!("sync id {} is more than 255", daemon.id));
    }
    if let Some(group) = daemon.group.filter(|group| !group.is_multicast()) {
        return Err(format!("{group} is no multicast group"));
    }
    if daemon.port == Some(0) {
        return Err("port 0 is none".into());
    }
    if daemon.ttl == Some(0) && daemon.role == Role::Master {
        return Err("with a ttl of 0 no message leaves this machine".into());
    }
    match daemon.max_length {
        Some(length) if length < 64 => Err(format!("messages of {length} bytes hold no connection")),
        _ => Ok(()),
    }
}
