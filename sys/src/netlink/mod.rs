//! The kernel's interfaces, addresses and routes (rtnetlink(7)), spoken without any library.
//!
//! ```text
//!  wire      headers and attributes                      address, link, route   what they mean
//!  socket    datagrams with a deadline                   request                bursts and dumps
//!  generic   the numbers of generic families
//!  Netlink   ask and change, blocking                    Monitor                be told, async
//! ```

mod address;
mod error;
pub(crate) mod generic;
mod link;
mod monitor;
pub(crate) mod request;
mod route;
pub(crate) mod socket;
pub(crate) mod wire;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use address::{Address, AddressKey, AddressSet, Removed};
pub use error::{Error, Reason};
pub use link::Link;
pub use monitor::{Change, Monitor};
pub use route::{Networks, Route};

use request::{Consistency, Requests, Talk, refused};

/// A connection on which the kernel is asked and told. Blocks; every wait is bounded by 10 s.
///
/// It belongs to the network namespace of the thread that opened it. After an `Err` it can still be used.
#[derive(Debug)]
pub struct Netlink {
    requests: Requests,
    /// Interfaces that keep their other IPv4 addresses when the first one goes.
    promoting: HashSet<u32>,
}

impl Netlink {
    /// Opens the connection; needs no privilege (changes need CAP_NET_ADMIN).
    ///
    /// # Errors
    /// When the kernel has no descriptor or memory left.
    pub fn open() -> Result<Netlink, Error> {
        Ok(Netlink { requests: Requests::open(Talk::ROUTE)?, promoting: HashSet::new() })
    }

    /// All interfaces of the namespace.
    ///
    /// # Errors
    /// The kernel's refusal, or its silence.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        let kinds = (libc::RTM_GETLINK, libc::RTM_NEWLINK);
        self.requests.dump("list interfaces", kinds, &link::dump_header(), Consistency::Needed, link::parse)
    }

    /// All addresses of the namespace, of both families.
    ///
    /// # Errors
    /// The kernel's refusal, or its silence.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        self.addresses_of(0)
    }

    fn addresses_of(&mut self, family: u8) -> Result<Vec<Address>, Error> {
        let kinds = (libc::RTM_GETADDR, libc::RTM_NEWADDR);
        let header = address::dump_header(family);
        self.requests.dump("list addresses", kinds, &header, Consistency::Needed, address::parse)
    }

    /// Adds addresses, or renews the lifetime and mark of those that are there: 1,000 of them in two sends. They are
    /// set in the order given; the results are in that order too.
    ///
    /// * IPv6 addresses can be used at once (IFA_F_NODAD).
    /// * While another address of the same IPv6 network is on the interface, the network's route is left to that one
    ///   (IFA_F_NOPREFIXROUTE). Otherwise the kernel would put our lifetime on the route they share, and a lease that
    ///   runs out would cut the machine's own address off.
    /// * On an interface that gets an IPv4 address, `promote_secondaries` is switched on, once: else the end of
    ///   one address (a lease that runs out, say) can take every other address of its network with it.
    ///
    /// # Errors
    /// Per address what the kernel has against it. For all of them only if the socket is broken or the kernel silent;
    /// then some may have been set.
    pub fn set_addresses(&mut self, batch: &[AddressSet]) -> Result<Vec<Result<(), Error>>, Error> {
        self.promote(batch);
        let networks = self.foreign_networks(batch)?;
        let what = |set: &AddressSet| format!("add {}", set.key());
        let usable: Vec<&AddressSet> = batch.iter().filter(|set| problem(set).is_none()).collect();
        let name = format!("add {} addresses", usable.len());
        let answers = self.requests.burst(&name, usable.len(), |place, writer, sequence| {
            let set = usable[place];
            address::write_set(
                writer,
                sequence,
                set,
                networks.iter().any(|other| shares_network(other, set)),
            );
        })?;
        let mut answers = answers.into_iter();
        Ok(batch
            .iter()
            .map(|set| match problem(set) {
                Some(text) => Err(Error { what: what(set), reason: Reason::Invalid(text), kernel: None }),
                None => answers.next().unwrap_or(Ok(())).map_err(|refusal| refused(what(set), refusal)),
            })
            .collect())
    }

    /// Removes addresses; the results are in the order given.
    ///
    /// The kernel is told in another order: of each IPv4 network the first ("primary") address goes last,
    /// because its end
    /// takes the secondary ones with it, or costs a reordering for each of them.
    ///
    /// # Errors
    /// Per address what the kernel has against it. An address that is not there is none: [`Removed::WasNotThere`]
    /// (also if it is there with another prefix length). For all of them only if the socket is broken or the kernel
    /// silent; then some may have been removed.
    pub fn remove_addresses(&mut self, batch: &[AddressKey]) -> Result<Vec<Result<Removed, Error>>, Error> {
        let order = self.removal_order(batch);
        let name = format!("remove {} addresses", batch.len());
        let answers = self.requests.burst(&name, order.len(), |place, writer, sequence| {
            address::write_remove(writer, sequence, &batch[order[place]]);
        })?;
        let mut results: Vec<Result<Removed, Error>> = vec![Ok(Removed::WasNotThere); batch.len()];
        for (place, answer) in order.into_iter().zip(answers) {
            results[place] = match answer {
                Ok(()) => Ok(Removed::Gone),
                Err(refusal) if refusal.errno == libc::EADDRNOTAVAIL => Ok(Removed::WasNotThere),
                Err(refusal) => Err(refused(format!("remove {}", batch[place]), refusal)),
            };
        }
        Ok(results)
    }

    /// The networks on the wire: the on-link routes of the main routing table, of one family or both.
    ///
    /// # Errors
    /// The kernel's refusal, or its silence.
    pub fn networks(&mut self, v4: bool, v6: bool) -> Result<Networks, Error> {
        let mut all = Vec::new();
        let families = [(v4, Ipv4Addr::UNSPECIFIED.into()), (v6, Ipv6Addr::UNSPECIFIED.into())];
        for (_, family) in families.into_iter().filter(|(wanted, _)| *wanted) {
            all.extend(self.networks_of(route::family(family))?);
        }
        Ok(Networks(all))
    }

    fn networks_of(&mut self, family: u8) -> Result<Vec<route::OnLink>, Error> {
        let kinds = (libc::RTM_GETROUTE, libc::RTM_NEWROUTE);
        // A routing daemon may change some far route all the time; the networks on the wire hardly ever change.
        let header = route::dump_header(family);
        let found = self.requests.dump("list networks", kinds, &header, Consistency::Waived, route::parse);
        match found {
            // No table, or no such family, is no route.
            Err(error)
                if matches!(
                    error.raw_errno(),
                    Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT)
                ) =>
            {
                Ok(Vec::new())
            }
            found => found,
        }
    }

    /// Switches on promote_secondaries where the batch will put IPv4 addresses. An interface that refuses will
    /// refuse the address as well, and say why there.
    fn promote(&mut self, batch: &[AddressSet]) {
        let mut new: Vec<u32> = batch.iter().filter(|set| set.ip.is_ipv4()).map(|set| set.ifindex).collect();
        new.sort_unstable();
        new.dedup();
        new.retain(|index| !self.promoting.contains(index));
        let answers =
            self.requests.burst("keep secondary addresses", new.len(), |place, writer, sequence| {
                let (body, kind, value) = link::promote_secondaries(new[place]);
                writer.message(
                    libc::RTM_SETLINK,
                    libc::NLM_F_REQUEST.cast_unsigned() as u16,
                    sequence,
                    &body,
                );
                writer.attribute(kind, &value);
            });
        for (index, answer) in new.iter().zip(answers.unwrap_or_default()) {
            if answer.is_ok() {
                self.promoting.insert(*index);
            }
        }
    }

    /// IPv6 addresses outside the batch that hold the route of a network into which the batch will put some.
    fn foreign_networks(&mut self, batch: &[AddressSet]) -> Result<Vec<Address>, Error> {
        if !batch.iter().any(|set| set.ip.is_ipv6()) {
            return Ok(Vec::new());
        }
        let ours: HashSet<(u32, IpAddr)> = batch.iter().map(|set| (set.ifindex, set.ip)).collect();
        let mut networks = Vec::<Address>::new();
        for other in self.addresses_of(route::family(Ipv6Addr::UNSPECIFIED.into()))? {
            let holds_route = other.flags & libc::IFA_F_NOPREFIXROUTE == 0;
            let known = |known: &Address| {
                known.ifindex == other.ifindex
                    && known.prefix == other.prefix
                    && route::same_network(known.ip, other.ip, other.prefix)
            };
            if holds_route && !ours.contains(&(other.ifindex, other.ip)) && !networks.iter().any(known) {
                networks.push(other);
            }
        }
        Ok(networks)
    }

    /// The places of the batch in the order in which they are to be removed: secondary addresses first, and within
    /// each kind the last one first.
    fn removal_order(&mut self, batch: &[AddressKey]) -> Vec<usize> {
        let several = batch.iter().filter(|key| key.ip.is_ipv4()).nth(1).is_some();
        // The order is a matter of speed where addresses are promoted; without a list the reverse order is a
        // good guess.
        let present =
            if several { self.addresses_of(route::family(Ipv4Addr::UNSPECIFIED.into())) } else { Ok(vec![]) };
        let primary: HashSet<AddressKey> = present
            .unwrap_or_default()
            .iter()
            .filter(|address| !address.secondary())
            .map(Address::key)
            .collect();
        let mut order: Vec<usize> = (0..batch.len()).rev().collect();
        order.sort_by_key(|place| primary.contains(&batch[*place]));
        order
    }
}

/// What is wrong with an address that the kernel could not even be told, or would misunderstand.
fn problem(set: &AddressSet) -> Option<String> {
    let width = if set.ip.is_ipv4() { 32 } else { 128 };
    if set.prefix > width {
        return Some(format!("prefix length {} is more than {width}", set.prefix));
    }
    if set.ip.is_multicast() || set.ip.is_unspecified() {
        return Some("this is no address a machine can have".into());
    }
    let label = set.label.as_deref().filter(|_| set.ip.is_ipv4())?;
    if label.len() > address::LABEL_MAX {
        return Some(format!("label {label:?} is longer than {} bytes", address::LABEL_MAX));
    }
    label.contains('\0').then(|| format!("label {label:?} contains a NUL"))
}

fn shares_network(other: &Address, set: &AddressSet) -> bool {
    other.ifindex == set.ifindex
        && other.prefix == set.prefix
        && route::same_network(other.ip, set.ip, set.prefix)
}

/// The broadcast address of the network that `ip` with `prefix` belongs to; `None` for the prefix lengths that have
/// none (31 and 32, RFC 3021) and for those that do not exist.
pub fn broadcast_address(ip: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    (prefix < 31).then(|| Ipv4Addr::from_bits(ip.to_bits() | u32::MAX >> prefix))
}

/// Feeds bytes to everything that reads answers of the kernel; for tests and fuzzers. Returns how many messages and
/// attributes were walked over, which is bounded by the number of bytes.
pub fn walk_untrusted(bytes: &[u8]) -> usize {
    let mut steps = 0;
    for message in wire::Messages::new(bytes) {
        steps += 1 + wire::Attributes::after(message.body, 0).count();
        let _ = (wire::verdict(&message), monitor::read(&message));
        let _ = (link::parse(message.body), address::parse(message.body), route::parse(message.body));
    }
    let _ = (link::parse(bytes), address::parse(bytes), route::parse(bytes));
    steps
}

#[cfg(test)]
mod tests;
