//! What a seed stands for: a cluster, and what is to go wrong in it, at which time.

use std::time::Duration;

use cluster::{
    Failback, FenceSettings, GroupSettings, OnFail, OnStopFailure, Requires, ResourceKey, ResourceSettings,
    Settings, WitnessSettings,
};

use crate::dice::Dice;
use crate::fault::{self, Step};
use crate::world::clock::{MS, S};
use crate::world::wire::CLUSTER;

/// A cluster, before anything happens.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where all chance comes from.
    pub seed: u64,
    /// The configuration, but for `me`.
    pub settings: Settings,
    /// Real cryptography instead of a checksum.
    pub strong: bool,
    /// How much each machine's clock gains, in millionths.
    pub ppm: Vec<i64>,
    /// When each machine is switched on, counted from the start.
    pub first: Vec<u64>,
    /// What a write takes.
    pub disk_time: u64,
    /// What an agent takes.
    pub op_time: u64,
    /// What a fence device takes.
    pub fence_time: u64,
    /// A machine that was fenced is back after so long.
    pub fence_back: u64,
    /// How much the witness's clock gains, in millionths.
    pub witness_ppm: i64,
    /// What a request to the witness takes, and its answer.
    pub witness_delay: u64,
    /// The next free resource key.
    pub next_key: u64,
}

/// A setup, the faults, and when they end.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cluster.
    pub setup: Setup,
    /// What goes wrong, by time.
    pub steps: Vec<Step>,
    /// When the faults end.
    pub calm_at: u64,
}

/// A resource of the simulated configuration.
pub fn resource(key: u64, address: bool) -> ResourceSettings {
    ResourceSettings {
        key: ResourceKey(key),
        name: format!("{}{key}", if address { "vip" } else { "svc" }),
        address,
        follows: false,
        start_timeout: Duration::from_secs(3),
        stop_timeout: Duration::from_secs(3),
        status_timeout: Duration::from_secs(2),
        parallel: false,
        monitor: None,
        restarts: 1,
        failure_window: Duration::from_secs(3600),
        on_fail: OnFail::Restart,
        on_stop_failure: OnStopFailure::Block,
    }
}

/// What of a failure makes a node ask to be fenced: by what the group requires, or the other way, now and then.
fn fence_wishes(dice: &mut Dice, settings: &mut Settings) {
    let devices = !settings.fences.is_empty();
    for group in &mut settings.groups {
        for resource in &mut group.resources {
            let fenced = (group.requires == Requires::Fencing) != (devices && dice.one_in(4));
            resource.on_stop_failure = if fenced { OnStopFailure::Fence } else { OnStopFailure::Block };
            if resource.monitor.is_some() && devices && dice.one_in(2) {
                resource.on_fail = OnFail::Fence;
            }
        }
    }
}

/// A resource that is looked at while it runs, now and then.
fn looked_after(dice: &mut Dice, key: u64) -> ResourceSettings {
    let mut resource = resource(key, dice.one_in(2));
    resource.parallel = !resource.address && dice.one_in(3);
    resource.follows = !resource.address && dice.one_in(4);
    if !resource.address && dice.one_in(2) {
        resource.monitor = Some(Duration::from_millis(dice.pick(&[300, 1000])));
        resource.restarts = dice.below(3) as u32;
        resource.on_fail =
            dice.pick(&[OnFail::Restart, OnFail::Restart, OnFail::Move, OnFail::Ignore, OnFail::Block]);
        resource.failure_window = Duration::from_secs(dice.pick(&[4, 3600]));
    }
    resource
}

/// The names of the first so many nodes.
pub fn names(nodes: usize) -> Vec<String> {
    ["a", "b", "c", "d"].into_iter().take(nodes).map(str::to_owned).collect()
}

fn settings(dice: &mut Dice, nodes: usize) -> (Settings, u64) {
    let links = 1 + dice.index(2);
    let names = names(nodes);
    let mut key = 0;
    let groups = (0..1 + dice.index(3))
        .map(|g| {
            let resources = (0..1 + dice.index(3)).map(|_| {
                key += 1;
                looked_after(dice, key - 1)
            });
            let resources = resources.collect();
            let preferred = dice.index(nodes + 1);
            GroupSettings {
                name: format!("g{g}"),
                resources,
                preferred: names.get(preferred).cloned(),
                after: (0..g).filter(|_| dice.one_in(4)).map(|g| format!("g{g}")).collect(),
                requires: dice.pick(&[Requires::Nothing, Requires::Fencing]),
                link_monitor: dice.pick(&[Some(200), Some(200), Some(0), None]).map(Duration::from_millis),
            }
        })
        .collect();
    let failback = match dice.below(4) {
        0 => Failback::On { after: Duration::from_millis(dice.below(3) * 700), window: false },
        1 => Failback::On { after: Duration::from_millis(500), window: true },
        _ => Failback::Off,
    };
    let mut settings = Settings {
        cluster: CLUSTER.to_owned(),
        me: String::new(),
        nodes: names,
        keepalive: Duration::from_millis(dice.pick(&[150, 200, 250])),
        warntime: Duration::from_millis(500),
        deadtime: Duration::from_secs(1),
        initdead: Duration::from_millis(dice.pick(&[1500, 2000, 3000])),
        failback,
        links: (0..links).map(|link| format!("bcast:eth{link}")).collect(),
        config_parts: Vec::new(),
        config_digest: 7,
        lease_renew: Duration::from_millis(600),
        fences: fences(dice, nodes),
        witness: None,
        groups,
    };
    fence_wishes(dice, &mut settings);
    (settings, key)
}

/// A device for each node, or for none; with delays that differ, or not.
fn fences(dice: &mut Dice, nodes: usize) -> Vec<FenceSettings> {
    if dice.one_in(2) {
        return Vec::new();
    }
    let delay = |dice: &mut Dice| Duration::from_millis(dice.pick(&[0, 0, 300, 1500, 3000]));
    names(nodes).into_iter().map(|node| FenceSettings { node, delay: delay(dice) }).collect()
}

/// Some groups require a witness, and there is one. More than two nodes need one.
fn add_witness(setup: &mut Setup, dice: &mut Dice) {
    let ttl = dice.pick(&[2000, 2000, 3000, 5000]);
    let watchdog = [None, Some(ttl * 2 / 5), Some(ttl / 2), Some(ttl / 2)];
    let watchdog = dice.pick(&watchdog).map(Duration::from_millis);
    setup.settings.witness = Some(WitnessSettings { ttl: Duration::from_millis(ttl), watchdog });
    for group in &mut setup.settings.groups {
        if dice.below(3) > 0 {
            group.requires = Requires::Witness;
        }
    }
    setup.witness_ppm = dice.pick(&[0, 5000, -5000]);
    setup.witness_delay = dice.pick(&[MS, 5 * MS, 40 * MS]);
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64, nodes: usize) -> Self {
        let mut plan = Self::plain(seed, nodes);
        let mut dice = Dice::new(seed, 7);
        if nodes > 2 || dice.one_in(2) {
            add_witness(&mut plan.setup, &mut dice);
            let (count, end) = (dice.below(4), plan.calm_at);
            for _ in 0..count {
                let at = S + dice.below(end - S);
                plan.steps.push(fault::of_witness(&mut dice, &plan.setup, at));
            }
            plan.steps.sort_by_key(|step| step.at);
        }
        plan
    }

    /// The plan of a seed, without a witness.
    pub fn plain(seed: u64, nodes: usize) -> Self {
        let mut dice = Dice::new(seed, 1);
        let (settings, next_key) = settings(&mut dice, nodes);
        let first = (0..nodes).map(|_| if dice.one_in(3) { dice.below(4 * S) } else { dice.below(300 * MS) });
        let first = first.collect();
        let setup = Setup {
            seed,
            strong: dice.one_in(32),
            ppm: (0..nodes).map(|_| dice.pick(&[0, 0, 100, -100, 5000, -5000])).collect(),
            first,
            disk_time: dice.pick(&[MS, MS, 5 * MS, 20 * MS]),
            op_time: dice.pick(&[MS, 2 * MS, 20 * MS]),
            fence_time: dice.pick(&[20 * MS, 300 * MS, 900 * MS]),
            fence_back: dice.pick(&[100 * MS, S, 3 * S]),
            witness_ppm: 0,
            witness_delay: 0,
            next_key,
            settings,
        };
        let count = 2 + dice.index(10);
        let start = S + dice.below(4 * S);
        let span = dice.below(8 * S) + S;
        let mut steps: Vec<Step> = (0..count).map(|_| fault::any(&mut dice, &setup, start)).collect();
        for step in &mut steps {
            // Half of them come together: it is what happens during something else that breaks things.
            if dice.one_in(2) {
                step.at = start + dice.below(span);
            } else {
                step.at = start + span / 2 + dice.span(S);
            }
        }
        steps.sort_by_key(|step| step.at);
        Self { setup, steps, calm_at: start + span }
    }
}
