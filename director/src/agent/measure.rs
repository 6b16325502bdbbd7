//! How busy this machine is, from what the kernel says in `/proc` and who is logged in.

use super::utmp;

/// What was read at one moment. All functions here are of texts, so that they can be tried with any.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Time all processors spent, in ticks since the start: working, and altogether.
    pub ticks: Option<(u64, u64)>,
    /// How many there are.
    pub processors: u32,
    /// The load average over one minute.
    pub load: Option<f64>,
    /// Memory in KiB: what could be had without swapping, and all there is.
    pub memory: Option<(u64, u64)>,
    /// Sessions of users.
    pub sessions: Option<u32>,
}

impl Sample {
    /// Of this machine, now.
    pub fn take() -> Sample {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let (stat, load, memory) = (text("/proc/stat"), text("/proc/loadavg"), text("/proc/meminfo"));
        let sessions = std::fs::read(utmp::PATH).ok().map(|records| utmp::sessions(&records));
        Sample::of(&stat, &load, &memory, sessions)
    }

    /// Of the texts of `/proc/stat`, `/proc/loadavg` and `/proc/meminfo` (proc(5)).
    pub fn of(stat: &str, load: &str, memory: &str, sessions: Option<u32>) -> Sample {
        let processor = |line: &&str| {
            let number = line.strip_prefix("cpu").and_then(|rest| rest.split(' ').next());
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        };
        Sample {
            ticks: stat.lines().find_map(|line| line.strip_prefix("cpu ")).and_then(ticks),
            processors: u32::try_from(stat.lines().filter(processor).count()).unwrap_or(1).max(1),
            load: load
                .split(' ')
                .next()
                .and_then(|text| text.parse().ok())
                .filter(|load: &f64| load.is_finite()),
            memory: kib(memory, "MemAvailable:").zip(kib(memory, "MemTotal:")),
            sessions,
        }
    }
}

/// `user nice system idle iowait irq softirq steal guest guest_nice`; guest time is in user time already.
fn ticks(line: &str) -> Option<(u64, u64)> {
    let numbers: Vec<u64> = line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let all = numbers.iter().fold(0_u64, |sum, number| sum.saturating_add(*number));
    let idle = numbers.get(3)?.saturating_add(*numbers.get(4).unwrap_or(&0));
    Some((all.saturating_sub(idle), all))
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What counts as full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Processes that run or wait to, for each processor.
    pub queue: f64,
    /// Sessions; not looked at if `None`.
    pub sessions: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { queue: 2.0, sessions: None }
    }
}

/// How much of each thing is in use: 0 is nothing, 1 is full. `None`: it could not be read, or is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Busy {
    /// Processor time since the sample before.
    pub cpu: Option<f64>,
    /// The run queue.
    pub queue: Option<f64>,
    /// Memory. Half of it in use is no load at all, so only the other half counts.
    pub memory: Option<f64>,
    /// Sessions.
    pub sessions: Option<f64>,
}

impl Busy {
    /// Between two samples.
    pub fn between(before: &Sample, now: &Sample, limits: &Limits) -> Busy {
        let share = |part: f64, whole: f64| (whole > 0.0).then(|| (part / whole).clamp(0.0, 1.0));
        let cpu = before.ticks.zip(now.ticks).and_then(|((worked, all), (worked_now, all_now))| {
            share(worked_now.saturating_sub(worked) as f64, all_now.saturating_sub(all) as f64)
        });
        let used = now.memory.and_then(|(free, all)| share(all.saturating_sub(free) as f64, all as f64));
        Busy {
            cpu,
            queue: now.load.and_then(|load| share(load, limits.queue * f64::from(now.processors))),
            memory: used.map(|used| (used * 2.0 - 1.0).max(0.0)),
            sessions: limits
                .sessions
                .zip(now.sessions)
                .and_then(|(most, there)| share(there.into(), most.into())),
        }
    }

    /// What is left of the scarcest thing, in percent: the share of its weight this machine asks for. At least 1,
    /// since a busy machine is not a dead one; 100 if nothing could be read.
    pub fn percent(&self) -> u32 {
        let all = [self.cpu, self.queue, self.memory, self.sessions];
        let busiest = all.into_iter().flatten().fold(0.0, f64::max);
        ((100.0 * (1.0 - busiest)).round() as u32).clamp(1, 100)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &str = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0 0 0\ncpu1 50 0 25 400 25 0 0 0 0 0\nintr 1\n";
    const LATER: &str = "cpu  250 0 50 850 50 0 0 0 0 0\ncpu0 1\ncpu1 1\n";
    const MEMORY: &str = "MemTotal:        8000 kB\nMemFree:  1 kB\nMemAvailable:    2000 kB\n";

    #[test]
    fn this_machine_can_be_read() {
        let sample = Sample::take();
        assert!(sample.ticks.is_some() && sample.load.is_some() && sample.memory.is_some(), "{sample:?}");
        assert!(
            (1..=100).contains(&Busy::between(&Sample::default(), &sample, &Limits::default()).percent())
        );
    }

    #[test]
    fn the_scarcest_thing_decides() {
        let before = Sample::of(STAT, "1.00 1 1 1/1 1", MEMORY, Some(3));
        assert_eq!(
            (before.processors, before.ticks, before.memory),
            (2, Some((150, 1000)), Some((2000, 8000)))
        );
        let now = Sample::of(LATER, "1.00 1 1 1/1 1", MEMORY, Some(3));
        let busy = Busy::between(&before, &now, &Limits::default());
        // 150 of 200 ticks; 1 of 4; 75 % of the memory is half of its upper half.
        assert_eq!(busy, Busy { cpu: Some(0.75), queue: Some(0.25), memory: Some(0.5), sessions: None });
        assert_eq!(busy.percent(), 25);
        let full = Busy::between(&before, &now, &Limits { sessions: Some(3), ..Limits::default() });
        assert_eq!((full.sessions, full.percent()), (Some(1.0), 1));
        assert_eq!(Busy::default().percent(), 100);
    }

    proptest! {
        #[test]
        fn any_text_gives_a_percentage(stat in "(cpu[0-9 ]{0,40}\n){0,4}", load in ".{0,20}", memory in "(Mem[a-zA-Z]{0,9}: {0,3}[0-9]{0,25} kB\n){0,4}") {
            let sample = Sample::of(&stat, &load, &memory, Some(u32::MAX));
            let limits = Limits { queue: 0.0, sessions: Some(0) };
            let busy = Busy::between(&sample, &sample, &limits);
            prop_assert!((1..=100).contains(&busy.percent()));
        }
    }
}
