//! Looking after what runs: each resource with a monitor interval is asked again and again whether it still does.
//!
//! Looks are operations of their own, beside those that bring a group forward: a look that hangs delays nothing. Only one
//! of them is under way for a resource, and none while something else is done to that resource: when a group is no longer
//! simply started, the looks under way are cancelled, and a stop or start waits for their end.

use crate::core::Core;
use crate::event::Level;
use crate::group::{Fault, Holds, ResourceState};
use crate::io::{Action, OpId, OpKind, OpResult, Run};

impl Core {
    /// Begins the looks that are due.
    pub(crate) fn look_after(&mut self, g: usize) {
        if !self.is_looked_after(g) {
            return;
        }
        // What goes with an address is looked at one after the other: the first that is gone is started again with all after it.
        let mut one_is_asked = false;
        for i in 0..self.groups[g].resources.len() {
            let resource = &self.groups[g].resources[i];
            let next =
                resource.settings.monitor.is_some() && resource.care.next.is_none_or(|at| at <= self.now);
            let asked = resource.care.asked && !one_is_asked;
            one_is_asked |=
                resource.care.asked || resource.care.look.is_some() && resource.care.after_put_back;
            let due = (next || asked) && !resource.doomed && resource.care.look.is_none();
            if due && (resource.state == ResourceState::Started || resource.given_up()) {
                self.begin_look(g, i);
            }
        }
    }

    /// Its resources run, and what a look finds may be acted on.
    pub(crate) fn is_looked_after(&self, g: usize) -> bool {
        let group = &self.groups[g];
        // What a predecessor left is this node's own only when it has been claimed anew.
        group.monitored && !group.adopted && self.is_started_and_free(g)
    }

    fn begin_look(&mut self, g: usize, i: usize) {
        let id = self.new_op();
        let group = &mut self.groups[g];
        let resource = &mut group.resources[i];
        resource.care.look = Some(id);
        resource.care.cancelled = false;
        resource.care.after_put_back = std::mem::take(&mut resource.care.asked);
        self.out.push(Action::Run(Run {
            id,
            group: group.id,
            resources: vec![resource.settings.key],
            op: OpKind::Status,
            timeout: resource.settings.status_timeout,
            leased: false,
        }));
    }

    /// Nobody wants the answers of the looks under way any more; the next ones are due as soon as it is started again.
    pub(crate) fn cancel_looks(&mut self, g: usize) {
        for resource in &mut self.groups[g].resources {
            resource.care.next = None;
            resource.care.asked = false;
            if let Some(id) = resource.care.look
                && !std::mem::replace(&mut resource.care.cancelled, true)
            {
                self.out.push(Action::Cancel(id));
            }
        }
    }

    /// Whether a look at any of these resources has not ended yet.
    pub(crate) fn being_looked_at(&self, g: usize, on: &[usize]) -> bool {
        on.iter().any(|&i| self.groups[g].resources[i].care.look.is_some())
    }

    /// The look with this number: of which group, at which resource.
    pub(crate) fn look(&self, id: OpId) -> Option<(usize, usize)> {
        let of = |resource: &crate::group::Resource| resource.care.look == Some(id);
        let mut all = self.groups.iter().enumerate();
        all.find_map(|(g, group)| Some((g, group.resources.iter().position(of)?)))
    }

    /// A look has ended.
    pub(crate) fn looked(&mut self, g: usize, i: usize, result: Option<&OpResult>) {
        let now = self.now;
        let resource = &mut self.groups[g].resources[i];
        resource.care.look = None;
        if std::mem::take(&mut resource.care.cancelled) {
            return;
        }
        resource.care.next = resource.settings.monitor.map(|interval| now + interval);
        if !self.is_looked_after(g) {
            // Maintenance, or a doubt, began meanwhile: it is looked at again when that is over.
            self.groups[g].resources[i].care.next = None;
            return;
        }
        let went = std::mem::take(&mut self.groups[g].resources[i].care.after_put_back);
        if went && result == Some(&OpResult::NotRunning) && self.repair(g, i) {
            return;
        }
        let resource = &mut self.groups[g].resources[i];
        let fault = match result {
            Some(OpResult::Running) => {
                if resource.given_up() {
                    resource.state = ResourceState::Started;
                    self.say_running_again(g, i);
                }
                return;
            }
            Some(OpResult::NotRunning) => Fault::soft("it does not run any more".to_owned()),
            Some(OpResult::Failed(why)) => Fault::soft(why.clone()),
            Some(OpResult::Hopeless(why)) => Fault { why: why.clone(), holds: Holds::Here },
            Some(OpResult::Misconfigured(why)) => Fault { why: why.clone(), holds: Holds::Everywhere },
            Some(OpResult::TimedOut) => {
                let bound = resource.settings.status_timeout.as_millis();
                Fault::soft(format!("it did not say within {bound} ms whether it runs"))
            }
            Some(OpResult::Ok) | None => Fault::soft("the look at it had no result".to_owned()),
        };
        self.resource_failed(g, i, &fault);
    }

    fn say_running_again(&mut self, g: usize, i: usize) {
        let subject = self.resource_subject(g, i);
        let why = "it runs again".to_owned();
        self.event(Level::Info, "resource", &subject, Some("failed"), Some("started"), why);
    }

    /// `GROUP/RESOURCE`, as events name it.
    pub(crate) fn resource_subject(&self, g: usize, i: usize) -> String {
        let group = &self.groups[g];
        format!("{}/{}", group.settings.name, group.resources[i].settings.name)
    }
}
