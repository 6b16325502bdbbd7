//! Operators' commands under way.

use std::collections::HashMap;

use cluster::{CommandId, Difference, Reply};
use tokio::sync::{mpsc, oneshot};

use crate::control::Answer;

/// Commands under way at a time.
const MOST: usize = 256;

#[derive(Debug)]
struct Order {
    no_wait: bool,
    progress: mpsc::Sender<String>,
    done: oneshot::Sender<Answer>,
}

/// Who waits for which command.
#[derive(Debug, Default)]
pub struct Orders {
    last: u64,
    waiting: HashMap<CommandId, Order>,
}

impl Orders {
    /// A new command. `None`, and the operator is told, if too many are under way.
    pub fn begin(
        &mut self,
        no_wait: bool,
        progress: mpsc::Sender<String>,
        done: oneshot::Sender<Answer>,
    ) -> Option<CommandId> {
        // Those whose operators have gone no longer count.
        if self.waiting.len() >= MOST {
            self.waiting.retain(|_, order| !order.done.is_closed());
        }
        if self.waiting.len() >= MOST {
            let reason = format!("{MOST} commands are under way already: wait until some are done");
            let _ = done.send(Answer::Refused { reason });
            return None;
        }
        self.last += 1;
        let id = CommandId(self.last);
        self.waiting.insert(id, Order { no_wait, progress, done });
        Some(id)
    }

    /// The core has taken the command; whoever does not want to wait is told that it is begun.
    pub fn begun(&mut self, id: CommandId) {
        if self.waiting.get(&id).is_some_and(|order| order.no_wait) {
            self.finish(id, Answer::Done { text: "begun".into(), data: serde_json::Value::Null });
        }
    }

    /// What the core has to say of a command. Whoever has gone is not told.
    pub fn reply(&mut self, id: CommandId, reply: Reply) {
        let answer = match reply {
            Reply::Progress(text) => {
                match self.waiting.get(&id) {
                    Some(order) if order.no_wait => {
                        self.finish(id, Answer::Done { text, data: serde_json::Value::Null });
                    }
                    // An operator too slow to read misses words on the way, never the last one.
                    Some(order) => drop(order.progress.try_send(text)),
                    None => {}
                }
                return;
            }
            Reply::Done(text) => Answer::Done { text, data: serde_json::Value::Null },
            Reply::Difference(difference) => {
                Answer::Done { text: show(&difference), data: serde_json::json!(difference) }
            }
            Reply::Refused(reason) => Answer::Refused { reason },
        };
        self.finish(id, answer);
    }

    fn finish(&mut self, id: CommandId, answer: Answer) {
        if let Some(order) = self.waiting.remove(&id) {
            let _ = order.done.send(answer);
        }
    }
}

/// How two configurations differ, a line for each part.
fn show(difference: &Difference) -> String {
    let Difference { peer, differs, only_here, only_there } = difference;
    let there = format!("only on {peer}");
    let kinds = [("differs", differs), ("only here", only_here), (there.as_str(), only_there)];
    let width = kinds.iter().map(|(kind, _)| kind.len()).max().unwrap_or_default();
    let lines: Vec<String> = kinds
        .iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind:width$}  {name}")))
        .collect();
    if lines.is_empty() {
        return format!("the configuration of {peer} is the same as this node's");
    }
    let count = if lines.len() == 1 { "1 part".to_owned() } else { format!("{} parts", lines.len()) };
    format!("the configuration of {peer} differs from this node's in {count}:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Ends = (mpsc::Receiver<String>, oneshot::Receiver<Answer>);

    fn begin(orders: &mut Orders, no_wait: bool) -> (Option<CommandId>, Ends) {
        let (progress, words) = mpsc::channel(2);
        let (done, end) = oneshot::channel();
        (orders.begin(no_wait, progress, done), (words, end))
    }

    #[test]
    fn words_on_the_way_then_the_last_one() {
        let mut orders = Orders::default();
        let (id, (mut words, mut end)) = begin(&mut orders, false);
        let id = id.unwrap();
        orders.begun(id);
        for n in 0..5 {
            orders.reply(id, Reply::Progress(format!("step {n}")));
        }
        assert!(end.try_recv().is_err());
        orders.reply(id, Reply::Done("there".into()));
        assert_eq!(words.try_recv().unwrap(), "step 0");
        assert!(matches!(end.try_recv().unwrap(), Answer::Done { text, .. } if text == "there"));
        orders.reply(id, Reply::Done("twice".into()));
    }

    #[test]
    fn who_does_not_wait_is_told_that_it_is_begun() {
        let mut orders = Orders::default();
        let (id, (_words, mut end)) = begin(&mut orders, true);
        orders.begun(id.unwrap());
        assert!(matches!(end.try_recv().unwrap(), Answer::Done { text, .. } if text == "begun"));
        let (id, (_words, mut end)) = begin(&mut orders, true);
        orders.reply(id.unwrap(), Reply::Refused("no".into()));
        orders.begun(id.unwrap());
        assert!(matches!(end.try_recv().unwrap(), Answer::Refused { .. }));
    }

    #[test]
    fn a_difference_is_told_by_name() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let difference = Difference {
            peer: "b".into(),
            differs: names(&["cluster.deadtime"]),
            only_here: names(&["group.x.requires"]),
            only_there: vec![],
        };
        let text = show(&difference);
        assert!(text.contains("in 2 parts") && text.contains("differs    cluster.deadtime"), "{text}");
        assert!(text.contains("only here  group.x.requires"), "{text}");
        assert!(show(&Difference { peer: "b".into(), ..Difference::default() }).contains("the same"));
    }

    #[test]
    fn there_are_only_so_many_and_those_who_left_do_not_count() {
        let mut orders = Orders::default();
        let mut kept: Vec<_> = (0..MOST).map(|_| begin(&mut orders, false)).collect();
        let (id, (_words, mut end)) = begin(&mut orders, false);
        assert_eq!(id, None);
        assert!(matches!(end.try_recv().unwrap(), Answer::Refused { .. }));
        kept.pop();
        assert!(begin(&mut orders, false).0.is_some());
    }
}
