//! The interfaces of a machine's addresses, and who else sets addresses there.

use cluster::{Ground, Input, ResourceKey};

use super::World;
use super::machine::Item;
use crate::check::Sight;

impl World {
    /// Tells a daemon how its ground is.
    pub fn tell_ground(&mut self, n: usize) {
        let (keys, machine) = (self.addresses_of(n), &self.machines[n]);
        let stray =
            |key: &&ResourceKey| machine.real.get(key.0 as usize).is_some_and(|real| real.stray.is_some());
        let strange = keys.iter().filter(stray).copied().collect();
        let cut = keys.iter().filter(|_| machine.cut_off > 0);
        let cut = cut.map(|key| (*key, "eth0 has no carrier".to_owned())).collect();
        self.feed(n, Item::Input(Input::Ground(Ground { cut, strange })));
    }

    /// The interface of the addresses loses its carrier.
    pub fn cut_link(&mut self, n: usize) {
        self.machines[n].cut_off += 1;
        self.say(n, || "its interface has no carrier".to_owned());
        self.tell_ground(n);
    }

    /// A fault that took the carrier ends.
    pub(super) fn mend_link(&mut self, n: usize) {
        let machine = &mut self.machines[n];
        machine.cut_off = machine.cut_off.saturating_sub(1);
        self.say(n, || "its interface has a carrier again".to_owned());
        self.tell_ground(n);
    }

    /// Somebody sets an address by hand that is not there.
    pub fn stray(&mut self, n: usize, key: ResourceKey) {
        let now = self.now;
        let machine = &mut self.machines[n];
        let (off, Some(real)) = (machine.off, machine.real.get_mut(key.0 as usize)) else { return };
        if off || real.on || real.stray.is_some() {
            return;
        }
        real.stray = Some(now);
        let name = self.name_of(key).to_owned();
        self.say(n, || format!("somebody sets {name}"));
        self.tell_ground(n);
    }

    pub(super) fn evict(&mut self, n: usize, keys: &[ResourceKey]) {
        for key in keys {
            self.machines[n].real[key.0 as usize].stray = None;
            let name = self.name_of(*key).to_owned();
            self.say(n, || format!("removes {name}, which somebody had set"));
        }
        self.sight(&Sight::Truth);
        self.tell_ground(n);
    }
}
