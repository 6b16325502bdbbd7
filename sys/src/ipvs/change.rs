//! Changes of the table: what they are, how they are told to the kernel, and what its refusals mean.

use std::fmt;
use std::net::SocketAddr;

use super::check;
use super::destination::Destination;
use super::error::Error;
use super::numbers::{VERSION, command, top};
use super::service::{Family, Service, ServiceKey, write_bare};
use crate::netlink::generic;
use crate::netlink::wire::Writer;

/// One change of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new service, without real servers.
    AddService(Service),
    /// Everything about a service that is there, in place: its connections and real servers stay.
    SetService(Service),
    /// A service with all its real servers.
    DeleteService(ServiceKey),
    /// A new real server.
    AddDestination(ServiceKey, Destination),
    /// Everything about a real server that is there, in place: its connections stay.
    SetDestination(ServiceKey, Destination),
    /// A real server.
    DeleteDestination(ServiceKey, SocketAddr),
}

impl Change {
    /// What is wrong with it; the kernel is not asked.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Change::AddService(service) | Change::SetService(service) => check::service(service),
            Change::AddDestination(service, destination) | Change::SetDestination(service, destination) => {
                check::destination(service, destination)
            }
            Change::DeleteService(_) | Change::DeleteDestination(..) => Ok(()),
        }
    }

    fn command(&self) -> u8 {
        match self {
            Change::AddService(_) => command::NEW_SERVICE,
            Change::SetService(_) => command::SET_SERVICE,
            Change::DeleteService(_) => command::DEL_SERVICE,
            Change::AddDestination(..) => command::NEW_DEST,
            Change::SetDestination(..) => command::SET_DEST,
            Change::DeleteDestination(..) => command::DEL_DEST,
        }
    }

    /// Writes the message.
    pub(super) fn write(&self, writer: &mut Writer, family: u16, sequence: u32) {
        let flags = libc::NLM_F_REQUEST.cast_unsigned() as u16;
        writer.message(family, flags, sequence, &generic::header(self.command(), VERSION));
        match self {
            Change::AddService(service) | Change::SetService(service) => {
                writer.nest(top::SERVICE, |writer| service.write(writer));
            }
            Change::DeleteService(key) => write_bare(writer, key),
            Change::AddDestination(key, destination) | Change::SetDestination(key, destination) => {
                write_bare(writer, key);
                destination.write(writer);
            }
            Change::DeleteDestination(key, address) => {
                write_bare(writer, key);
                Destination::bare(*address).write(writer);
            }
        }
    }

    /// The kernel's refusal, explained.
    pub(super) fn refused(&self, errno: i32) -> Error {
        Error::errno(self.to_string(), errno, self.explain(errno))
    }

    fn explain(&self, errno: i32) -> String {
        match (self, errno) {
            (Change::AddService(service) | Change::SetService(service), libc::ENOENT) => {
                match &service.engine {
                    Some(engine) => format!(
                        "{}, or {}",
                        check::unknown("scheduler", &service.scheduler),
                        check::unknown("persistence engine", engine)
                    ),
                    None => check::unknown("scheduler", &service.scheduler),
                }
            }
            (Change::AddService(_), libc::EEXIST) => "the service is there already".into(),
            (Change::AddDestination(..), libc::EEXIST) => "the real server is there already".into(),
            (_, libc::ESRCH) => "the service is not in the table".into(),
            (Change::SetDestination(..) | Change::DeleteDestination(..), libc::ENOENT) => {
                "the real server is not in the table".into()
            }
            (_, libc::EAFNOSUPPORT) => "this kernel has no IPv6, or its IPVS does not".into(),
            (
                Change::AddDestination(key, destination) | Change::SetDestination(key, destination),
                libc::EINVAL,
            ) => {
                if key.family() == Family::of(destination.address.ip()) {
                    "the kernel finds no way to that address (a broadcast address of a network of this machine?)".into()
                } else {
                    "a real server of the other address family cannot be there while a sync daemon runs"
                        .into()
                }
            }
            (_, libc::ENOMEM | libc::ENOBUFS) => "the kernel is short of memory".into(),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AddService(service) => write!(out, "add service {}", service.key),
            Change::SetService(service) => write!(out, "change service {}", service.key),
            Change::DeleteService(key) => write!(out, "remove service {key}"),
            Change::AddDestination(key, destination) => {
                write!(out, "add real server {} to {key}", destination.address)
            }
            Change::SetDestination(key, destination) => {
                write!(out, "change real server {} of {key}", destination.address)
            }
            Change::DeleteDestination(key, address) => write!(out, "remove real server {address} of {key}"),
        }
    }
}
