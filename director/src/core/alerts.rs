//! Whom to tell, how often.

use super::io::Time;
use crate::config::model::Alert;

/// What one alert's receiver was told of one real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// When it was told last that it is down.
    last: Option<Time>,
    /// It believes that the server is down.
    down: bool,
}

impl Told {
    /// The server is down and has failed `failures` checks in a row, whether this is to be told now.
    pub fn is_down(&mut self, now: Time, alert: &Alert, failures: u32) -> bool {
        let due = match self.last {
            None => true,
            Some(_) if self.down && alert.every.is_zero() => false,
            Some(last) => now >= last + alert.every,
        };
        if !due || failures < alert.after {
            return false;
        }
        self.last = Some(now);
        self.down = true;
        true
    }

    /// The server is up; whether this is to be told now: to those who believe it is down.
    pub fn is_up(&mut self) -> bool {
        std::mem::take(&mut self.down)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn alert(after: u32, minutes: u64) -> Alert {
        Alert { exec: "/bin/true".into(), after, every: Duration::from_secs(60 * minutes) }
    }

    #[test]
    fn told_after_so_many_failures_again_while_it_lasts_and_once_when_it_is_over() {
        let (mut told, alert) = (Told::default(), alert(3, 10));
        let at = Time::from_secs;
        assert!(!told.is_down(at(1), &alert, 2));
        assert!(told.is_down(at(2), &alert, 3));
        assert!(!told.is_down(at(601), &alert, 300));
        assert!(told.is_down(at(602), &alert, 301));
        assert!(told.is_up());
        assert!(!told.is_up());
    }

    #[test]
    fn one_that_flaps_is_told_of_no_more_often_than_every_so_often() {
        let (mut told, alert) = (Told::default(), alert(1, 10));
        let mut count = 0;
        for second in 0..3600 {
            if second % 10 >= 5 {
                told.is_up();
            } else if told.is_down(Time::from_secs(second), &alert, 1) {
                count += 1;
            }
        }
        assert_eq!(count, 6, "in an hour");
    }

    #[test]
    fn without_repetition_each_outage_is_told_once() {
        let (mut told, alert) = (Told::default(), alert(1, 0));
        assert!(told.is_down(Time::ZERO, &alert, 1));
        assert!(!told.is_down(Time::from_secs(9999), &alert, 2));
        assert!(told.is_up());
        assert!(told.is_down(Time::from_secs(10_000), &alert, 1));
    }
}
