//! The status that all clients share. The loop is asked at most four times a second, however many clients there are.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::{metrics, page};
use crate::daemon::ask::Ask;
use crate::daemon::history::History;

/// A status is shown for this long.
const FRESH: Duration = Duration::from_millis(250);
/// Or for so many times as long as it took to make: a huge one costs no more than a few percent of a processor.
const SHARE: u32 = 50;
/// How long the loop may take to answer; then this node is not healthy.
const LOOP_BOUND: Duration = Duration::from_secs(2);
/// Events on the page.
const EVENTS: usize = 12;

/// One status, and what was made of it.
#[derive(Debug)]
pub(super) struct Shown {
    /// The object of `hbctl status --json`.
    pub status: Value,
    events: Vec<Value>,
    json: OnceLock<Arc<String>>,
    metrics: OnceLock<Arc<String>>,
    page: OnceLock<Arc<String>>,
}

impl Shown {
    pub(super) fn new(status: Value, events: Vec<Value>) -> Shown {
        let (json, metrics, page) = Default::default();
        Shown { status, events, json, metrics, page }
    }

    /// For `/api/status`.
    pub(super) fn json(&self) -> Arc<String> {
        Arc::clone(self.json.get_or_init(|| Arc::new(self.status.to_string() + "\n")))
    }

    /// For `/metrics`.
    pub(super) fn metrics(&self) -> Arc<String> {
        Arc::clone(self.metrics.get_or_init(|| Arc::new(metrics::render(&self.status))))
    }

    /// For `/`.
    pub(super) fn page(&self) -> Arc<String> {
        Arc::clone(self.page.get_or_init(|| Arc::new(page::render(&self.status, &self.events))))
    }
}

/// What the loop said when it was last asked.
#[derive(Debug)]
struct Last {
    at: Instant,
    good_for: Duration,
    said: Result<Arc<Shown>, String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct View {
    asks: mpsc::Sender<Ask>,
    history: Arc<History>,
    last: Mutex<Option<Last>>,
}

impl View {
    pub(super) fn new(asks: mpsc::Sender<Ask>, history: Arc<History>) -> Arc<View> {
        Arc::new(View { asks, history, last: Mutex::default() })
    }

    /// How things are now, or a moment ago.
    ///
    /// # Errors
    /// The loop does not answer: why, in a sentence.
    pub(super) async fn look(self: &Arc<View>) -> Result<Arc<Shown>, String> {
        // Whoever comes while the loop is asked waits for the same answer.
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.at.elapsed() < last.good_for) {
            return last.said.clone();
        }
        let asked = self.ask().await;
        let begun = Instant::now();
        let said = asked.map(|picture| {
            let (newest, _) = self.history.newest(EVENTS);
            let events = newest.iter().rev().map(|event| serde_json::to_value(&**event).unwrap_or_default());
            Arc::new(Shown::new(picture.render(), events.collect()))
        });
        let (at, good_for) = (Instant::now(), FRESH.max(begun.elapsed() * SHARE));
        *last = Some(Last { at, good_for, said: said.clone() });
        self.forget_later(at, good_for);
        said
    }

    /// Memory of this process is locked, so a status that nobody wants any more is not kept.
    fn forget_later(self: &Arc<View>, at: Instant, good_for: Duration) {
        let view = Arc::clone(self);
        tokio::spawn(async move {
            sleep(good_for).await;
            view.last.lock().await.take_if(|last| last.at == at);
        });
    }

    async fn ask(&self) -> Result<Box<crate::daemon::status::Picture>, String> {
        let (done, answer) = oneshot::channel();
        let asked = async {
            self.asks.send(Ask::Status(done)).await.ok()?;
            answer.await.ok()
        };
        match timeout(LOOP_BOUND, asked).await {
            Ok(Some(picture)) => Ok(picture),
            Ok(None) => Err("hbd is ending".to_owned()),
            Err(_) => Err(format!("the loop of hbd did not answer within {} s", LOOP_BOUND.as_secs())),
        }
    }
}
