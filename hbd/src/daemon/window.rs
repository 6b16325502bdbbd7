//! The failback window: a span of the local day, e.g. 02:00 to 04:00.
//!
//! The one place where the wall clock has a say, because the operator asked for it; it decides when
//! a move that is due anyway may happen, never who is dead.

use std::time::Duration;

use super::report::{Report, Reports};

/// Whether minute `now` of the day is inside a window that may span midnight. The end is outside.
pub fn inside((opens, closes): (u16, u16), now: u16) -> bool {
    if opens <= closes { (opens..closes).contains(&now) } else { now >= opens || now < closes }
}

/// Reports the window's state now and at each change; ends when the loop is gone.
pub async fn watch(window: (u16, u16), reports: Reports) {
    let mut said = None;
    loop {
        let local = jiff::Zoned::now();
        let minute =
            u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or_default();
        let open = inside(window, minute);
        if said != Some(open) {
            said = Some(open);
            if reports.send(Report::Window { open }).await.is_err() {
                return;
            }
        }
        // Once a minute, just after it turned, so that a clock that was set is noticed too.
        let rest = 60 - u64::try_from(local.second()).unwrap_or_default().min(59);
        tokio::time::sleep(Duration::from_secs(rest)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_span_midnight() {
        let night = (120, 240);
        assert!(!inside(night, 119) && inside(night, 120) && inside(night, 239) && !inside(night, 240));
        let late = (23 * 60, 60);
        assert!(
            inside(late, 23 * 60)
                && inside(late, 0)
                && inside(late, 59)
                && !inside(late, 60)
                && !inside(late, 720)
        );
    }

    #[tokio::test]
    async fn the_state_is_reported_at_once() {
        let (reports, mut heard) = tokio::sync::mpsc::channel(4);
        let watching = tokio::spawn(watch((0, 1440), reports));
        assert!(matches!(heard.recv().await, Some(Report::Window { open: true })));
        watching.abort();
    }
}
