//! The kernel's own table, IPVS.

use std::sync::Arc;

use sys::ipvs::support::{self, Support};
use sys::ipvs::{self, Ipvs, check, glance};

use super::sysctl::Switches;
use super::{Backend, Picture, SyncDaemon, convert};
use crate::table::{Change, Table};

/// IPVS in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Kernel {
    ipvs: Ipvs,
    /// The sync daemon that was started here.
    sync: Option<ipvs::Daemon>,
    /// What a glance showed just before the table was read last, unless it was changed from here since.
    glance: Option<u64>,
}

impl Kernel {
    /// Finds IPVS, and has its module loaded if it is not there.
    ///
    /// # Errors
    /// A sentence: there is none, and what to do.
    pub fn open() -> Result<Kernel, String> {
        let ipvs = Ipvs::open().map_err(|error| error.to_string())?;
        Ok(Kernel { ipvs, sync: None, glance: None })
    }

    /// Tells the kernel; results in the order given.
    fn tell(&mut self, changes: &[ipvs::Change]) -> Vec<Result<(), ipvs::Error>> {
        match self.ipvs.apply(changes) {
            Ok(results) => results,
            Err(error) => vec![Err(error); changes.len()],
        }
    }
}

impl Backend for Kernel {
    fn read_while(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<Option<Picture>, String> {
        // Before: what changes while it is read shows at the next glance.
        let glance = glance::digest().ok();
        self.glance = None;
        let mut picture = Picture::default();
        for state in self.ipvs.services().map_err(|error| error.to_string())? {
            if !go_on() {
                return Ok(None);
            }
            let service_key = state.service.key;
            let (key, mut service) = convert::from_service(state.service);
            picture.services.insert(key, convert::counters(&state.stats));
            let found = self.ipvs.destinations(&service_key).map_err(|error| error.to_string())?;
            let dests = found.iter().map(|state| convert::from_destination(&state.destination));
            service.dests = Arc::new(dests.collect());
            let counters =
                found.iter().map(|state| (state.destination.address, convert::dest_counters(state)));
            picture.dests.insert(key, counters.collect());
            picture.table.insert(key, service);
        }
        self.glance = glance;
        Ok(Some(picture))
    }

    fn is_same(&mut self) -> bool {
        self.glance.is_some_and(|before| glance::digest().is_ok_and(|now| now == before))
    }

    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>> {
        // Else a change that somebody undoes at once would look as if nothing had happened.
        self.glance = None;
        let told: Vec<ipvs::Change> = changes.iter().map(convert::change).collect();
        let mut results = self.tell(&told);
        // What somebody else added meanwhile is set to what it shall be.
        let again: Vec<usize> =
            (0..changes.len()).filter(|place| is_there(&told[*place], &results[*place])).collect();
        let set: Vec<ipvs::Change> = again.iter().map(|place| in_place(&told[*place])).collect();
        if !set.is_empty() {
            for (place, result) in again.into_iter().zip(self.tell(&set)) {
                results[place] = result;
            }
        }
        let done = |(change, result): (&Change, Result<(), ipvs::Error>)| match result {
            Err(error) if is_gone(change, &error) => Ok(()),
            other => other.map_err(|error| error.to_string()),
        };
        changes.iter().zip(results).map(done).collect()
    }

    fn sync(&mut self, wanted: Option<&SyncDaemon>) -> Result<(), String> {
        let wanted = wanted.map(convert::daemon);
        let running = self.ipvs.daemons().map_err(|error| error.to_string())?;
        let same = |one: &ipvs::Daemon, other: &ipvs::Daemon| {
            (one.role, &one.interface, one.id) == (other.role, &other.interface, other.id)
        };
        let mut error = None;
        // In the way is what has the same role; of the other role what has our id, or was started here, is ours.
        for found in &running {
            let in_the_way = wanted.as_ref().is_some_and(|wanted| found.role == wanted.role);
            if in_the_way && !wanted.as_ref().is_some_and(|wanted| same(found, wanted)) {
                error = error.or(self.ipvs.stop_daemon(found.role).err());
            }
        }
        if let Some(wanted) = &wanted
            && !running.iter().any(|found| same(found, wanted))
        {
            error = error.or(self.ipvs.start_daemon(wanted).err());
        }
        // The new one first: at a takeover nothing is missed.
        for found in &running {
            let ours = self.sync.as_ref().is_some_and(|ours| same(found, ours))
                || wanted.as_ref().is_some_and(|wanted| found.id == wanted.id);
            if ours && wanted.as_ref().is_none_or(|wanted| found.role != wanted.role) {
                error = error.or(self.ipvs.stop_daemon(found.role).err());
            }
        }
        if error.is_none() {
            self.sync = wanted;
        }
        error.map_or(Ok(()), |error| Err(error.to_string()))
    }

    fn prepare(&mut self, table: &Table) -> Vec<String> {
        Switches::of_this_kernel().prepare(table)
    }

    fn objections(&mut self, table: &Table) -> Vec<String> {
        let mut said = Vec::new();
        for (key, service) in table {
            let mut say = |sentence: String| said.push(format!("{key}: {sentence}"));
            if let Err(sentence) = check::service(&convert::to_service(key, service)) {
                say(sentence);
            } else if support::scheduler(&service.scheduler) == Support::Missing {
                say(check::unknown("scheduler", &service.scheduler));
            }
            if let Some(engine) =
                service.engine.as_ref().filter(|name| support::engine(name) == Support::Missing)
            {
                say(check::unknown("persistence engine", engine));
            }
            for (address, dest) in &*service.dests {
                let destination = convert::to_destination(*address, dest);
                if let Err(sentence) = check::destination(&convert::to_key(key), &destination) {
                    say(format!("{address}: {sentence}"));
                }
            }
        }
        said
    }
}

/// Whether something could not be added because it is there.
fn is_there(change: &ipvs::Change, result: &Result<(), ipvs::Error>) -> bool {
    let adds = matches!(change, ipvs::Change::AddService(_) | ipvs::Change::AddDestination(..));
    adds && result.as_ref().is_err_and(|error| error.raw_errno() == Some(nix::libc::EEXIST))
}

/// Adding, as setting.
fn in_place(change: &ipvs::Change) -> ipvs::Change {
    match change.clone() {
        ipvs::Change::AddService(service) => ipvs::Change::SetService(service),
        ipvs::Change::AddDestination(key, destination) => ipvs::Change::SetDestination(key, destination),
        other => other,
    }
}

/// Whether something could not be removed because it is not there.
fn is_gone(change: &Change, error: &ipvs::Error) -> bool {
    let removes = matches!(change, Change::DelService { .. } | Change::DelDest { .. });
    removes && matches!(error.raw_errno(), Some(nix::libc::ENOENT | nix::libc::ESRCH))
}
