//! One seed's walk: step, audit, step, audit; then the client's view. The first violation ends it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::act::{Act, NODES};
use super::ground::Ground;
use super::judge::Sights;
use super::ledger::Ledger;
use super::model::Model;
use super::outage::{Outage, Span};
use super::outside;
use super::plan::{Plan, Step};
use super::pulse::Pulse;
use super::stage::{self, Stage, asked};
use super::tally::Tally;
use super::{DEADTIME_MS, STEPS, service};
use crate::probe::ProbeHandle;
use crate::scenario::check;
use crate::{LabError, Result, clock};

/// After a step all that must hold holds within this. It covers initdead, a hung start, a hung stop and its failed heir,
/// and the growing pauses (to 32 s) between restarts of what keeps failing; it is not a measure of speed.
const AUDIT_BOUND: Duration = Duration::from_secs(90);
/// With no fault left, all is well within this.
const CALM_BOUND: Duration = Duration::from_secs(120);
/// The operator tries again after this.
const AGAIN: Duration = Duration::from_secs(15);
/// A machine that lets the lab wait this long may let hbd wait, too.
const BUSY_MS: u64 = DEADTIME_MS / 6;
/// A look every.
const LOOK: Duration = Duration::from_millis(100);

struct Walk<'t> {
    stage: Stage<'t>,
    ledger: Ledger,
    read: usize,
    pulse: Pulse,
    spans: Vec<Span>,
    tally: &'t mut Tally,
    /// Uses of the power switch before the present step.
    fences: usize,
    /// Owner and epoch of each group, if the last audit saw them agreed.
    ownership: Option<Vec<(String, u64)>>,
    /// The same, when last it did.
    last_known: Vec<(String, u64)>,
}

/// Walks a seed on a ground; what went wrong is printed, kept below `out` and counted.
///
/// # Errors
/// The lab itself does not work.
pub fn walk(seed: u64, ground: Ground, end: Option<Instant>, out: &Path, tally: &mut Tally) -> Result<()> {
    let pair = stage::pair(ground)?;
    outside::with(ground, &pair, |outside| {
        let stage = Stage::new(Arc::clone(&pair), ground, outside)?;
        on(stage, seed, end, out, tally);
        Ok(())
    })
}

fn on(stage: Stage<'_>, seed: u64, end: Option<Instant>, out: &Path, tally: &mut Tally) {
    let ground = stage.ground;
    let mut walk = Walk {
        stage,
        ledger: Ledger::of_ground(ground),
        read: 0,
        pulse: Pulse::start(),
        spans: Vec::new(),
        tally,
        fences: 0,
        ownership: None,
        last_known: Vec::new(),
    };
    walk.tally.begin(ground);
    let mut done: Vec<Step> = Vec::new();
    let result = walk.all(seed, end, &mut done);
    walk.tally.fences += walk.stage.fences() as u64;
    let Err(e) = result else { return };
    let report = walk.report(seed, &done, &e);
    println!("{report}");
    let folder = out.join(format!("{ground}-{seed}"));
    walk.keep(&folder, &report);
    println!("kept: {}", folder.display());
    walk.tally.violations.push(format!("ground {ground}, seed {seed}, step {}: {e}", done.len()));
}

impl Walk<'_> {
    fn all(&mut self, seed: u64, end: Option<Instant>, done: &mut Vec<Step>) -> Result<()> {
        self.ownership = self.become_well()?;
        let more = ["--duration", "3600s", "--late", "400ms"];
        let probe = ProbeHandle::start_for(
            &self.stage.pair.world,
            "live",
            &asked(),
            Duration::from_millis(5),
            &more,
        )?;
        for step in Plan::new(seed, self.stage.ground).take(STEPS) {
            let last = step.calm && end.is_some_and(|end| Instant::now() >= end);
            done.push(step.clone());
            self.step(&step)?;
            if last {
                break;
            }
        }
        let seen = probe.finish()?;
        let outage = Outage::account(&seen, &self.spans);
        let wrong = outage.violations.clone();
        self.tally.outage.merge(outage);
        check(wrong.is_empty(), || wrong.join("; "))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        self.stage.pair.world.timeline.note(format!("STEP {step}"));
        self.pulse.worst_ms();
        let before = self.ownership.clone();
        self.stage.sync()?;
        self.fences = self.stage.fences();
        let quiet = before.is_some() && is_quiet(step, &self.stage.model, self.stage.ground);
        let mut kinds: Vec<&str> = step.acts.iter().map(Act::kind).filter(|kind| *kind != "wait").collect();
        kinds.dedup();
        let span = Span {
            number: step.number,
            kinds: kinds.join(" + "),
            begin_ns: clock::monotonic_ns(),
            quiet: false,
        };
        self.spans.push(span);
        self.do_acts(step)?;
        let dwell = if quiet { step.dwell_ms.max(DEADTIME_MS * 3 / 2) } else { step.dwell_ms };
        thread::sleep(Duration::from_millis(dwell));
        let now = if step.calm { self.become_well()? } else { self.audit()? };
        self.changed(now.as_ref());
        if quiet {
            self.quiet_was_quiet(step, before.as_ref(), now.as_ref())?;
        }
        self.ownership = now;
        self.tally.steps += 1;
        Ok(())
    }

    /// Does what the step says; orders that are waited for run beside the rest.
    fn do_acts(&mut self, step: &Step) -> Result<()> {
        let calm = !self.stage.ground.fences()
            && step.acts.iter().all(|act| matches!(act, Act::Order(..) | Act::Wait(_)));
        let mut waiting = Vec::new();
        for act in &step.acts {
            self.tally.count(act);
            if let Some(order) = self.stage.act(act)? {
                let pair = Arc::clone(&self.stage.pair);
                waiting.push(thread::spawn(move || order.judged(&pair, calm)));
            }
        }
        for order in waiting {
            order.join().map_err(|_| LabError::new("an operator panicked"))??;
        }
        Ok(())
    }

    fn changed(&mut self, now: Option<&Vec<(String, u64)>>) {
        let Some(now) = now else { return };
        let changes = self.last_known.iter().zip(now).filter(|(old, new)| old.0 != new.0).count();
        self.tally.ownership_changes += changes as u64;
        self.last_known.clone_from(now);
    }

    fn quiet_was_quiet(
        &mut self,
        step: &Step,
        before: Option<&Vec<(String, u64)>>,
        now: Option<&Vec<(String, u64)>>,
    ) -> Result<()> {
        let busy = self.pulse.worst_ms();
        if busy > BUSY_MS {
            self.tally.quiet_unjudged += 1;
            return Ok(());
        }
        self.tally.quiet_judged += 1;
        if let Some(span) = self.spans.last_mut() {
            span.quiet = step.acts.iter().all(Act::costs_nothing) && !self.stage.model.twin;
        }
        check(self.stage.fences() == self.fences, || {
            "S6: a node was fenced, while nothing made it silent".to_owned()
        })?;
        check(before == now, || {
            format!("L5: the step may move nothing; owners were {before:?} and are {now:?}")
        })
    }

    /// Looks until all that must hold holds; gives who owns what.
    fn audit(&mut self) -> Result<Option<Vec<(String, u64)>>> {
        let begin = Instant::now();
        loop {
            let sights = self.look()?;
            let wrong = sights.wrong(&self.stage.model, self.stage.endless());
            if wrong.is_empty() {
                self.stage.settled(&sights)?;
                self.read_ledger()?;
                self.tally.longest_audit = self.tally.longest_audit.max(begin.elapsed());
                return Ok(sights.ownership().filter(|_| self.stage.model.talk()));
            }
            check(begin.elapsed() < AUDIT_BOUND, || {
                format!("after {AUDIT_BOUND:?} still: {}\n{sights}", wrong.join("; "))
            })?;
            thread::sleep(LOOK);
        }
    }

    /// L2: with no fault left, and the operator's word where the status asks for it, all is well.
    fn become_well(&mut self) -> Result<Option<Vec<(String, u64)>>> {
        let begin = Instant::now();
        let mut ordered: Option<Instant> = None;
        loop {
            // A fence may have been under way.
            self.stage.repair()?;
            let sights = self.look()?;
            let wrong = sights.not_well();
            if wrong.is_empty() {
                self.stage.well()?;
                self.stage.settled(&sights)?;
                self.read_ledger()?;
                self.tally.calms += 1;
                self.tally.longest_calm = self.tally.longest_calm.max(begin.elapsed());
                return Ok(sights.ownership());
            }
            check(begin.elapsed() < CALM_BOUND, || {
                format!("L2: {CALM_BOUND:?} after the last fault still: {}\n{sights}", wrong.join("; "))
            })?;
            let met = (0..2).all(|n| sights.status(n).is_some_and(|s| s.sees(NODES[1 - n], "up")));
            if met && ordered.is_none_or(|at| at.elapsed() > AGAIN) {
                ordered = Some(Instant::now());
                self.put_in_order()?;
            }
            thread::sleep(LOOK);
        }
    }

    /// What an operator does when all is mended.
    fn put_in_order(&mut self) -> Result<()> {
        let orders: [(usize, &[&'static str]); 4] =
            [(0, &["maintenance", "off"]), (0, &["online", "a"]), (1, &["online", "b"]), (0, &["cleanup"])];
        for (n, words) in orders {
            if let Some(order) = self.stage.act(&Act::Order(n, words.to_vec(), true))? {
                order.judged(&self.stage.pair, false)?;
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Result<Sights> {
        self.tally.looks += 1;
        let mut sights = self.see()?;
        // Read after the look, too: what has happened meanwhile explains what was seen.
        self.read_ledger()?;
        sights.lied = self.ledger.lied();
        self.stage.judge_fences()?;
        Ok(sights)
    }

    /// Both nodes at one time: the power switch may take one away while it is looked at.
    fn see(&mut self) -> Result<Sights> {
        loop {
            self.stage.sync()?;
            let sights = Sights::look(&self.stage.pair.world, &self.stage.model, self.stage.ground);
            if !self.stage.sync()? {
                return sights;
            }
        }
    }

    fn read_ledger(&mut self) -> Result<()> {
        let text = std::fs::read_to_string(service::ledger_path(&self.stage.pair.world)).unwrap_or_default();
        // A line being written is read next time.
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        let calls = self.ledger.calls;
        text.get(self.read..whole).unwrap_or_default().lines().for_each(|line| self.ledger.read(line));
        self.read = whole;
        self.tally.agent_calls += self.ledger.calls - calls;
        check(self.ledger.violations.is_empty(), || self.ledger.violations.join("; "))
    }

    fn report(&self, seed: u64, done: &[Step], error: &LabError) -> String {
        let mut text = format!(
            "\nVIOLATION on ground {}, seed {seed}, step {}: {error}\n\nsteps:\n",
            self.stage.ground,
            done.len()
        );
        for step in done {
            let _ = writeln!(text, "{step}");
        }
        if let Ok(sights) = Sights::look(&self.stage.pair.world, &self.stage.model, self.stage.ground) {
            let _ = writeln!(text, "\nnow:\n{sights}");
        }
        let timeline = self.stage.pair.world.timeline.to_string();
        let _ = writeln!(text, "timeline:\n{}", tail(&timeline, 80));
        for node in NODES {
            let log = self.log(node);
            let _ = writeln!(text, "--- hbd on {node}:\n{}", tail(&log, 60));
        }
        let _ = writeln!(text, "again: scripts/lab --seed {seed} --ground {}", self.stage.ground);
        text
    }

    fn log(&self, node: &str) -> String {
        std::fs::read_to_string(self.stage.pair.world.log_path(node, "hbd")).unwrap_or_default()
    }

    fn keep(&self, folder: &Path, report: &str) {
        let world = &self.stage.pair.world;
        let ledger = std::fs::read_to_string(service::ledger_path(world)).unwrap_or_default();
        let files = [
            ("report.txt", report.to_owned()),
            ("timeline.txt", world.timeline.to_string()),
            ("ledger.txt", ledger),
            ("a.log", self.log("a")),
            ("b.log", self.log("b")),
        ];
        let kept = std::fs::create_dir_all(folder)
            .and_then(|()| files.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text)));
        if let Err(e) = kept {
            println!("the logs could not be kept: {e}");
        }
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Nothing in the step may move anything, on a pair that was and stays able to hear.
fn is_quiet(step: &Step, before: &Model, ground: Ground) -> bool {
    let mut model = before.clone();
    let well = |model: &Model| model.nearly_well(ground) && !model.agents_misbehaved;
    !step.calm
        && well(&model)
        && step.acts.iter().all(|act| {
            model.apply(act);
            act.moves_nothing() && well(&model)
        })
}
