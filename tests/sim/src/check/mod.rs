//! What must hold, whatever happens: one function for each, by the name it has in the design.
//!
//! A checker sees what the world shows it ([`Sight`]) and the world itself, which knows the truth. It keeps what it must
//! remember in its own part of [`Notes`]. A new one is a function and a row in [`CHECKERS`].

mod epochs;
mod fences;
mod ground;
mod orders;
mod pauses;
mod splits;
mod starts;
mod stops;
mod told;
mod witness;

use cluster::status::Status;
use cluster::{Action, Command, Run};
use proto::Message;

use crate::world::World;
use crate::world::wire::Packet;

/// What the checkers are shown.
pub enum Sight<'a> {
    /// Something has happened, or time has passed.
    Moment,
    /// What really runs on a machine may have changed.
    Truth,
    /// A message goes out.
    Sent {
        /// From where.
        n: usize,
        /// What it says.
        message: &'a Message,
    },
    /// A datagram is about to be given to a core.
    Heard {
        /// Where.
        n: usize,
        /// Which.
        packet: &'a Packet,
        /// It waited while the process was stopped.
        waited: bool,
    },
    /// A forged or replayed datagram was given to a core, right after all that was due.
    Forged {
        /// Where.
        n: usize,
        /// What the core wants done about it.
        actions: &'a [Action],
        /// The status before.
        before: &'a Option<Status>,
        /// The status after.
        after: &'a Option<Status>,
    },
    /// An action is about to be carried out.
    Acts {
        /// Where.
        n: usize,
        /// Which.
        action: &'a Action,
    },
    /// An operation begins.
    Begins {
        /// Where.
        n: usize,
        /// Which.
        run: &'a Run,
    },
    /// An operation has ended.
    Ends {
        /// Where.
        n: usize,
        /// Which.
        run: &'a Run,
    },
    /// A fence device hits.
    Fenced {
        /// Whose daemon asked for it.
        by: usize,
        /// Whom.
        target: usize,
    },
    /// The witness has answered a daemon, or was waited for in vain.
    Witnessed {
        /// Which.
        n: usize,
    },
    /// A daemon pets its watchdog.
    Petted {
        /// Which.
        n: usize,
    },
    /// A daemon starts.
    Booted {
        /// Where.
        n: usize,
    },
    /// A daemon is gone.
    Died {
        /// Where.
        n: usize,
        /// Until when it was able to do anything.
        ran_until: u64,
    },
    /// A process is stopped.
    Slept {
        /// Where.
        n: usize,
    },
    /// A process goes on.
    Woke {
        /// Where.
        n: usize,
        /// How long it was stopped, in true time.
        slept: u64,
    },
    /// The state on a disk is lost.
    StateLost {
        /// Where.
        n: usize,
    },
    /// A disk is not to be relied on for a while.
    DiskTrouble {
        /// Where.
        n: usize,
    },
    /// The operator says that a machine is down.
    Acknowledged {
        /// To which node.
        n: usize,
        /// Which machine.
        other: usize,
    },
    /// An operator types a command.
    Given {
        /// Where.
        n: usize,
        /// Its number.
        id: u64,
        /// What.
        command: &'a Command,
    },
    /// The last word on a command.
    Replied {
        /// Its number.
        id: u64,
    },
    /// An operator looks at the status.
    Looked {
        /// Where.
        n: usize,
        /// What is shown.
        status: &'a Status,
    },
    /// All faults end now.
    Calm,
    /// The cluster has settled after the faults.
    Settled,
    /// The run ends.
    End,
}

/// A checker: what was wrong with what it saw, if anything.
pub type Look = fn(&mut Notes, &World, &Sight) -> Option<String>;

/// All checkers that look on throughout. The others need a world of their own making: see [`crate::trial`].
pub const CHECKERS: &[(&str, Look)] = &[
    ("S1", splits::s1_certain_groups_never_run_twice),
    ("S2", splits::s2_two_owners_only_while_cut),
    ("S2 lease", splits::s2_addresses_of_a_silent_daemon_end),
    ("S2 strays", ground::s2_strays_go_and_nothing_else_does),
    ("S3", stops::s3_a_failed_stop_is_never_followed_by_a_start),
    ("S4 lease", splits::s4_addresses_are_leased_while_somebody_could_take_over),
    ("S4 belief", witness::s4_nobody_relies_on_a_lease_for_longer_than_it_lives),
    ("S4 pet", witness::s4_the_watchdog_is_petted_in_time_only),
    ("S4 key", witness::s4_nothing_starts_while_another_node_has_the_key),
    ("S5", epochs::s5_epochs_grow),
    ("S6", fences::s6_two_nodes_do_not_shoot_each_other),
    ("L2 fences", fences::l2_no_fencing_loop),
    ("S7", starts::s7_in_order_and_one_at_a_time),
    ("S8", starts::s8_standby_and_maintenance_start_nothing),
    ("S9", told::s9_forged_datagrams_change_nothing),
    ("S11", pauses::s11_after_a_pause_first_look_then_act),
    ("S13", starts::s13_leftovers_are_looked_at_before_joining),
    ("S18", told::s18_status_is_never_older_than_it_says),
    ("L3", epochs::l3_ownership_changes_are_bounded),
    ("L7", orders::l7_every_command_ends_with_a_word),
];

/// What the checkers remember.
pub struct Notes {
    epochs: epochs::Epochs,
    fences: fences::Fences,
    orders: orders::Orders,
    pauses: pauses::Pauses,
    splits: splits::Splits,
    starts: starts::Starts,
    stops: stops::Stops,
}

impl Notes {
    /// Nothing seen yet of so many nodes and groups.
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self {
            epochs: epochs::Epochs::new(nodes, groups),
            fences: fences::Fences::new(nodes),
            orders: orders::Orders::default(),
            pauses: pauses::Pauses::new(nodes),
            splits: splits::Splits::new(nodes, groups),
            starts: starts::Starts::new(nodes),
            stops: stops::Stops::new(nodes, groups),
        }
    }

    /// Commands that have not come to their end.
    pub fn open_commands(&self) -> usize {
        self.orders.open()
    }

    /// Shows all checkers something; gives the first that does not like it.
    pub fn look(&mut self, world: &World, sight: &Sight) -> Option<(&'static str, String)> {
        CHECKERS.iter().find_map(|(name, look)| Some((*name, look(self, world, sight)?)))
    }
}
