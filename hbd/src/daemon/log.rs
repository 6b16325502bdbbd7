//! The log, and how the core's events stand in it.

pub use base::daemon::log::{Format, LogQueue, install};

/// Logs one of the core's events.
pub fn event(event: &cluster::Event) {
    let (kind, subject) = (event.kind.as_str(), event.subject.as_str());
    let (from, to) = (event.from.as_deref(), event.to.as_deref());
    let took_ms = event.took_ms;
    match event.level {
        cluster::Level::Info => tracing::info!(kind, subject, from, to, took_ms, "{}", event.why),
        cluster::Level::Warn => tracing::warn!(kind, subject, from, to, took_ms, "{}", event.why),
        cluster::Level::Error => tracing::error!(kind, subject, from, to, took_ms, "{}", event.why),
    }
}
