//! What of a process's time is not its own: the kernel's work for packets that come in elsewhere.
//!
//! The lab's machines share one kernel. When one of them sends, the kernel leads the packet through the switch and into the
//! receiver, in the sender's time, before the system call returns (`NET_RX` softirq on the way out of `sendto`). Between
//! two machines that work is the switch's and the receiver's. ftrace tells when it begins and ends
//! (Documentation/trace/events.rst, `irq:softirq_entry` and `irq:softirq_exit`).

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MsFlags, mount, umount};

use crate::error::Context;
use crate::{LabError, Result};

/// Events that fit for each processor, in KiB; of a minute's heartbeats there are some hundred.
const BUFFER: &str = "4096";

/// A watch over some threads, in a trace instance of its own; ends when dropped.
#[derive(Debug)]
pub struct Watch {
    instance: PathBuf,
    /// The tracefs mounted for it.
    mounted: Option<tempfile::TempDir>,
}

impl Watch {
    /// Watches these threads and what they start.
    ///
    /// # Errors
    /// The kernel has no tracing, or does not let us.
    pub fn over(threads: &[u32]) -> Result<Watch> {
        let (root, mounted) = tracefs()?;
        let instance = root.join("instances").join(format!("hbd-bench-{}", std::process::id()));
        fs::create_dir(&instance).context(|| format!("cannot make {}", instance.display()))?;
        let watch = Watch { instance, mounted };
        let pids: Vec<String> = threads.iter().map(ToString::to_string).collect();
        for (file, text) in [
            ("tracing_on", "0"),
            ("buffer_size_kb", BUFFER),
            ("trace_clock", "mono"),
            ("set_event_pid", &pids.join(" ")),
            ("options/event-fork", "1"),
            ("events/irq/softirq_entry/enable", "1"),
            ("events/irq/softirq_exit/enable", "1"),
            ("tracing_on", "1"),
        ] {
            watch.write(file, text)?;
        }
        Ok(watch)
    }

    /// The time the threads spent on packets coming in, since the watch began.
    ///
    /// # Errors
    /// More happened than was kept, or the kernel's words are not understood.
    pub fn receiving(self) -> Result<Duration> {
        self.write("tracing_on", "0")?;
        let read =
            |file: &Path| fs::read_to_string(file).context(|| format!("cannot read {}", file.display()));
        let each =
            fs::read_dir(self.instance.join("per_cpu")).context(|| "no per_cpu of a trace".to_owned())?;
        for processor in each.flatten() {
            let stats = read(&processor.path().join("stats"))?;
            if stats.lines().any(|line| line.starts_with("overrun:") && !line.ends_with(": 0")) {
                return Err(LabError::new("more softirqs than the trace buffer holds"));
            }
        }
        sum(&read(&self.instance.join("trace"))?)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.instance.join(file);
        fs::write(&path, text).context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for event in ["softirq_entry", "softirq_exit"] {
            let _ = self.write(&format!("events/irq/{event}/enable"), "0");
        }
        let _ = fs::remove_dir(&self.instance);
        if let Some(folder) = &self.mounted {
            let _ = umount(folder.path());
        }
    }
}

/// Where tracefs is mounted; mounted for us if it is nowhere.
fn tracefs() -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    let usual = Path::new("/sys/kernel/tracing");
    if usual.join("instances").is_dir() {
        return Ok((usual.to_owned(), None));
    }
    let folder = tempfile::tempdir().context(|| "cannot make a folder for tracefs".to_owned())?;
    mount(Some("tracefs"), folder.path(), Some("tracefs"), MsFlags::empty(), None::<&str>)
        .context(|| "cannot mount tracefs".to_owned())?;
    Ok((folder.path().to_owned(), Some(folder)))
}

/// `  hbd-123   [001] ..s1.  4711.123456: softirq_entry: vec=3 [action=NET_RX]`: from each entry to its exit. They do not
/// nest, and a thread stays where it is meanwhile.
fn sum(trace: &str) -> Result<Duration> {
    let mut begun: HashMap<&str, f64> = HashMap::new();
    let mut total = 0.0;
    for line in trace.lines().filter(|line| !line.starts_with('#') && line.contains("[action=NET_RX]")) {
        let strange = || LabError(format!("a trace line that is not understood: {line}"));
        let (head, _) = line.split_once(": softirq_").ok_or_else(strange)?;
        let at: f64 =
            head.split_whitespace().last().and_then(|word| word.parse().ok()).ok_or_else(strange)?;
        let processor =
            head.split_once('[').and_then(|(_, rest)| rest.split_once(']')).ok_or_else(strange)?.0;
        if line.contains("softirq_entry") {
            begun.insert(processor, at);
        } else if let Some(began) = begun.remove(processor) {
            total += at - began;
        }
    }
    Ok(Duration::from_secs_f64(total.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_and_ends_is_added_up() {
        let trace = "# tracer: nop\n\
             \x20            hbd-11  [001] ..s1.   100.000100: softirq_entry: vec=3 [action=NET_RX]\n\
             \x20            hbd-12  [000] ..s1.   100.000110: softirq_entry: vec=9 [action=RCU]\n\
             \x20   a strange-1-11  [001] ..s1.   100.000150: softirq_exit: vec=3 [action=NET_RX]\n\
             \x20            hbd-11  [000] ..s1.   100.000200: softirq_exit: vec=3 [action=NET_RX]\n\
             \x20            hbd-11  [000] ..s1.   100.000300: softirq_entry: vec=3 [action=NET_RX]\n";
        assert_eq!(sum(trace).unwrap().as_micros(), 50);
        assert!(sum("what [action=NET_RX]").is_err());
    }
}
