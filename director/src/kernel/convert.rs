//! The table's words and the kernel's, one for one.

use std::net::SocketAddr;

use sys::ipvs;

use super::{Counters, DestCounters, Direction, SyncDaemon};
use crate::table::{Change, Checksum, Dest, Family, Flags, Forward, Key, Protocol, Service, Tunnel};

/// A change as the kernel is told it.
pub fn change(change: &Change) -> ipvs::Change {
    match change {
        Change::AddService { key, service } => ipvs::Change::AddService(to_service(key, service)),
        Change::SetService { key, service } => ipvs::Change::SetService(to_service(key, service)),
        Change::DelService { key } => ipvs::Change::DeleteService(to_key(key)),
        Change::AddDest { key, address, dest } => {
            ipvs::Change::AddDestination(to_key(key), to_destination(*address, dest))
        }
        Change::SetDest { key, address, dest, .. } => {
            ipvs::Change::SetDestination(to_key(key), to_destination(*address, dest))
        }
        Change::DelDest { key, address } => ipvs::Change::DeleteDestination(to_key(key), *address),
    }
}

/// A key.
pub fn to_key(key: &Key) -> ipvs::ServiceKey {
    match *key {
        Key::Address(protocol, address) => ipvs::ServiceKey::Address(
            match protocol {
                Protocol::Tcp => ipvs::Protocol::Tcp,
                Protocol::Udp => ipvs::Protocol::Udp,
                Protocol::Sctp => ipvs::Protocol::Sctp,
            },
            address,
        ),
        Key::Mark(mark, Family::V4) => ipvs::ServiceKey::Mark(ipvs::Family::V4, mark),
        Key::Mark(mark, Family::V6) => ipvs::ServiceKey::Mark(ipvs::Family::V6, mark),
    }
}

/// A key, as the kernel has it.
pub fn from_key(key: &ipvs::ServiceKey) -> Key {
    match *key {
        ipvs::ServiceKey::Address(protocol, address) => Key::Address(
            match protocol {
                ipvs::Protocol::Tcp => Protocol::Tcp,
                ipvs::Protocol::Udp => Protocol::Udp,
                ipvs::Protocol::Sctp => Protocol::Sctp,
            },
            address,
        ),
        ipvs::ServiceKey::Mark(ipvs::Family::V4, mark) => Key::Mark(mark, Family::V4),
        ipvs::ServiceKey::Mark(ipvs::Family::V6, mark) => Key::Mark(mark, Family::V6),
    }
}

/// A service without its real servers.
pub fn to_service(key: &Key, service: &Service) -> ipvs::Service {
    let flags = service.flags;
    let bits = [flags.scheduler_1, flags.scheduler_2, flags.scheduler_3];
    ipvs::Service {
        key: to_key(key),
        scheduler: service.scheduler.clone(),
        scheduler_flags: bits.iter().enumerate().map(|(place, set)| u8::from(*set) << place).sum(),
        persistent: service.persistent,
        netmask: (service.netmask != Service::whole_mask(key.family())).then_some(service.netmask),
        engine: service.engine.clone(),
        one_packet: flags.one_packet,
    }
}

/// A service as the kernel has it, without its real servers.
pub fn from_service(service: ipvs::Service) -> (Key, Service) {
    let key = from_key(&service.key);
    let bit = |place: u8| service.scheduler_flags >> place & 1 == 1;
    let flags = Flags {
        one_packet: service.one_packet,
        scheduler_1: bit(0),
        scheduler_2: bit(1),
        scheduler_3: bit(2),
    };
    let service = Service {
        flags,
        scheduler: service.scheduler,
        persistent: service.persistent,
        netmask: service.netmask.unwrap_or(Service::whole_mask(key.family())),
        engine: service.engine,
        dests: Default::default(),
    };
    (key, service)
}

/// A real server.
pub fn to_destination(address: SocketAddr, dest: &Dest) -> ipvs::Destination {
    ipvs::Destination {
        address,
        forward: to_forward(dest.forward),
        weight: dest.weight,
        upper_threshold: dest.upper,
        lower_threshold: dest.lower,
    }
}

/// A real server as the kernel has it.
pub fn from_destination(destination: &ipvs::Destination) -> (SocketAddr, Dest) {
    let dest = Dest {
        weight: destination.weight,
        forward: from_forward(destination.forward),
        upper: destination.upper_threshold,
        lower: destination.lower_threshold,
    };
    (destination.address, dest)
}

fn to_forward(forward: Forward) -> ipvs::Forward {
    match forward {
        Forward::Gate => ipvs::Forward::Direct,
        Forward::Masq => ipvs::Forward::Masquerade,
        Forward::Local => ipvs::Forward::Local,
        Forward::Bypass => ipvs::Forward::Bypass,
        Forward::Tunnel(tunnel) => ipvs::Forward::Tunnel(match tunnel {
            Tunnel::Ipip => ipvs::Tunnel::Ipip,
            Tunnel::Gue { port, checksum } => ipvs::Tunnel::Gue { port, checksum: to_checksum(checksum) },
            Tunnel::Gre { checksum } => ipvs::Tunnel::Gre { checksum: to_checksum(checksum) },
        }),
    }
}

/// What is not known here (of a newer kernel, somebody else's) is as good as the kernel's own.
fn from_forward(forward: ipvs::Forward) -> Forward {
    match forward {
        ipvs::Forward::Direct => Forward::Gate,
        ipvs::Forward::Masquerade => Forward::Masq,
        ipvs::Forward::Local => Forward::Local,
        ipvs::Forward::Tunnel(ipvs::Tunnel::Ipip) => Forward::Tunnel(Tunnel::Ipip),
        ipvs::Forward::Tunnel(ipvs::Tunnel::Gue { port, checksum }) => {
            Forward::Tunnel(Tunnel::Gue { port, checksum: from_checksum(checksum) })
        }
        ipvs::Forward::Tunnel(ipvs::Tunnel::Gre { checksum }) => {
            Forward::Tunnel(Tunnel::Gre { checksum: from_checksum(checksum) })
        }
        ipvs::Forward::Bypass | ipvs::Forward::Other(_) | ipvs::Forward::Tunnel(ipvs::Tunnel::Other(_)) => {
            Forward::Bypass
        }
    }
}

fn to_checksum(checksum: Checksum) -> ipvs::Checksum {
    match checksum {
        Checksum::None => ipvs::Checksum::None,
        Checksum::Full => ipvs::Checksum::Full,
        Checksum::Remote => ipvs::Checksum::Remote,
    }
}

fn from_checksum(checksum: ipvs::Checksum) -> Checksum {
    match checksum {
        ipvs::Checksum::None => Checksum::None,
        ipvs::Checksum::Full => Checksum::Full,
        ipvs::Checksum::Remote => Checksum::Remote,
    }
}

/// Traffic.
pub fn counters(stats: &ipvs::Stats) -> Counters {
    Counters {
        connections: stats.connections,
        connections_rate: stats.connection_rate,
        packets_in_rate: stats.in_packet_rate,
        packets_out_rate: stats.out_packet_rate,
        bytes_in_rate: stats.in_byte_rate,
        bytes_out_rate: stats.out_byte_rate,
    }
}

/// What a real server has to do.
pub fn dest_counters(state: &ipvs::DestinationState) -> DestCounters {
    DestCounters { active: state.active, inactive: state.inactive, traffic: counters(&state.stats) }
}

/// The sync daemon.
pub fn daemon(wanted: &SyncDaemon) -> ipvs::Daemon {
    let role = match wanted.direction {
        Direction::Master => ipvs::Role::Master,
        Direction::Backup => ipvs::Role::Backup,
    };
    ipvs::Daemon::new(role, wanted.interface.clone(), u32::from(wanted.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [Key; 5] {
        let at = |text: &str| text.parse().unwrap();
        [
            Key::Address(Protocol::Tcp, at("10.0.0.1:80")),
            Key::Address(Protocol::Udp, at("[fd00::1]:53")),
            Key::Address(Protocol::Sctp, at("10.0.0.1:9")),
            Key::Mark(7, Family::V4),
            Key::Mark(7, Family::V6),
        ]
    }

    #[test]
    fn services_come_back_as_they_went() {
        for key in keys() {
            for flag in 0..4 {
                let flags = Flags {
                    one_packet: flag == 0,
                    scheduler_1: flag == 1,
                    scheduler_2: flag == 2,
                    scheduler_3: flag == 3,
                };
                for (persistent, netmask) in [
                    (None, Service::whole_mask(key.family())),
                    (Some(120), Service::whole_mask(key.family())),
                    (Some(120), 64),
                ] {
                    let service = Service {
                        scheduler: "sh".into(),
                        flags,
                        persistent,
                        netmask,
                        engine: persistent.map(|_| "sip".into()),
                        dests: Default::default(),
                    };
                    assert_eq!(from_service(to_service(&key, &service)), (key, service));
                }
            }
        }
    }

    #[test]
    fn real_servers_come_back_as_they_went() {
        let checksums = [Checksum::None, Checksum::Full, Checksum::Remote];
        let mut forwards = vec![Forward::Gate, Forward::Masq, Forward::Local, Forward::Bypass];
        forwards.push(Forward::Tunnel(Tunnel::Ipip));
        for checksum in checksums {
            forwards.push(Forward::Tunnel(Tunnel::Gue { port: 6080, checksum }));
            forwards.push(Forward::Tunnel(Tunnel::Gre { checksum }));
        }
        let address: SocketAddr = "10.0.0.2:80".parse().unwrap();
        for forward in forwards {
            let dest = Dest { weight: 5, forward, upper: 9, lower: 7 };
            assert_eq!(from_destination(&to_destination(address, &dest)), (address, dest));
        }
    }
}
