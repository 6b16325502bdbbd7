//! `[console]`: what `hbctl status` shows, for browsers, Prometheus and whatever asks a health check. It has no orders to
//! give.
//!
//! ```text
//!  clients ──▶ server ──▶ request ──▶ answer ──▶ view ──▶ (the loop, at most four times a second)
//!            accepts at    who and     one of     the status that all share
//!            a pace        what for    four
//! ```
//! All of it runs on the work thread, at normal priority: heartbeats do not wait for it. What it may cost is bounded
//! at each step: connections, their time, their number in a second, the size of a request, questions to the loop.

mod answer;
mod metrics;
mod page;
pub(crate) mod request;
mod server;
mod view;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use crate::daemon::ask::Ask;
use crate::daemon::history::History;
use crate::daemon::report::{Report, Reports, Trouble};
use view::View;

/// The console, listening or not. Needs the runtime it was made in.
#[derive(Debug)]
pub struct Console {
    view: Arc<View>,
    reports: Reports,
    listen: Option<SocketAddr>,
    serving: Option<JoinHandle<()>>,
}

impl Console {
    /// One that is not open yet; it asks the loop through `asks` and shows the events of `history`.
    pub fn new(asks: Sender<Ask>, history: Arc<History>, reports: Reports) -> Console {
        Console { view: View::new(asks, history), reports, listen: None, serving: None }
    }

    /// Opens it at `listen`, moves it there, or closes it. When this comes back, nothing listens where it did before.
    pub async fn set(&mut self, listen: Option<SocketAddr>) {
        if listen == self.listen {
            return;
        }
        self.listen = listen;
        if let Some(old) = self.serving.take() {
            old.abort();
            // With its task, the listener and all its connections are gone.
            let _ = old.await;
            let _ = self.reports.send(Report::Trouble { about: Trouble::Console, sentence: None }).await;
        }
        let server = |at| server::serve(at, Arc::clone(&self.view), self.reports.clone());
        self.serving = listen.map(|at| tokio::spawn(server(at)));
    }
}
