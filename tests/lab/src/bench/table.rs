//! The table: each measure with its goal and verdict, and how the peers compare.

use std::fmt::Write;

use super::many;
use super::record::Record;

/// What is wanted of hbd.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// Nothing in particular: the figure is for comparison.
    None,
    /// Every sample at most this.
    AtMost(f64),
    /// Every sample within these.
    Between(f64, f64),
}

/// A line of the table.
#[derive(Debug)]
pub struct Measure {
    /// Its key in the record and the CSV.
    pub key: &'static str,
    /// What a reader sees.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What is wanted of hbd.
    pub goal: Goal,
}

impl Measure {
    /// A figure for comparison, without a goal.
    pub const fn plain(key: &'static str, title: &'static str, unit: &'static str) -> Measure {
        Measure { key, title, unit, goal: Goal::None }
    }
}

/// What a bench's table and plot are made of.
#[derive(Debug)]
pub struct Sheet {
    /// Its name.
    pub name: &'static str,
    /// The lines, in this order.
    pub measures: &'static [Measure],
    /// Whom hbd is compared with, and their colours in the plot.
    pub peers: [(&'static str, &'static str); 2],
    /// The lines (milliseconds or microseconds) that are plotted too.
    pub panels: &'static [&'static str],
}

/// The failover bench's sheet.
pub const FAILOVER: Sheet = Sheet {
    name: "failover",
    measures: &MEASURES,
    peers: [("keepalived", "#c2571a"), ("heartbeat", "#6b6b6b")],
    panels: &[
        "power-1s-outage",
        "power-1s-after",
        "power-100ms-outage",
        "power-100ms-after",
        "standby",
        "standby-200",
        "many",
    ],
};

/// Detection is stamped to the millisecond, cut, so up to 1 ms is allowed for below.
const MEASURES: [Measure; 13] = [
    Measure {
        key: "power-1s-outage",
        title: "power loss, deadtime 1 s: client's outage",
        unit: "ms",
        goal: Goal::None,
    },
    Measure {
        key: "power-1s-detect",
        title: "   dead peer detected after",
        unit: "ms",
        goal: Goal::Between(899.0, 1002.0),
    },
    Measure {
        key: "power-1s-after",
        title: "   served again after detection",
        unit: "ms",
        goal: Goal::AtMost(5.0),
    },
    Measure {
        key: "power-100ms-outage",
        title: "power loss, deadtime 100 ms: client's outage",
        unit: "ms",
        goal: Goal::None,
    },
    Measure {
        key: "power-100ms-detect",
        title: "   dead peer detected after",
        unit: "ms",
        goal: Goal::Between(79.0, 102.0),
    },
    Measure {
        key: "power-100ms-after",
        title: "   served again after detection",
        unit: "ms",
        goal: Goal::AtMost(5.0),
    },
    Measure {
        key: "standby",
        title: "hand-over by order: client's gap",
        unit: "ms",
        goal: Goal::AtMost(5.0),
    },
    Measure {
        key: "standby-200",
        title: "   keepalived at priorities 200/199",
        unit: "ms",
        goal: Goal::None,
    },
    Measure {
        key: "many",
        title: "1,000 addresses: first to last answer",
        unit: "ms",
        goal: Goal::AtMost(100.0),
    },
    Measure { key: "pss", title: "steady state: memory (Pss)", unit: "MB", goal: Goal::AtMost(5.0) },
    Measure {
        key: "cpu",
        title: "steady state: CPU a minute, on one processor",
        unit: "ms",
        goal: Goal::AtMost(100.0),
    },
    Measure { key: "cpu-apart", title: "   nodes on two processors", unit: "ms", goal: Goal::None },
    Measure { key: "cpu-apart-own", title: "   without switch and receiver", unit: "ms", goal: Goal::None },
];

/// The middle of some numbers; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

impl Goal {
    fn text(self) -> String {
        match self {
            Goal::None => String::new(),
            Goal::AtMost(most) => format!("<= {most}"),
            Goal::Between(least, most) => format!("{}-{}", least + 1.0, most - 2.0),
        }
    }

    /// `ok`, `over`, or nothing where there is no goal or no number.
    fn verdict(self, values: &[f64]) -> &'static str {
        let good = |v: &f64| match self {
            Goal::None => true,
            Goal::AtMost(most) => *v <= most,
            Goal::Between(least, most) => (least..=most).contains(v),
        };
        match self {
            Goal::None => "",
            _ if values.is_empty() => "",
            _ if values.iter().all(good) => "ok",
            _ => "over",
        }
    }
}

/// The whole report as text, under a heading.
pub fn render(sheet: &Sheet, record: &Record, products: &[(&str, String)], heading: &str) -> String {
    let mut text = format!("\n{heading}\n\n");
    let width = sheet.measures.iter().map(|m| m.title.len()).max().unwrap_or(0).max(46);
    // Writing to a String cannot fail.
    for (name, version) in products {
        let _ = writeln!(text, "  {name} {version}");
    }
    let _ = write!(text, "\n{:<width$}{:>5}{:>18}{:>10} {:<5}", "", "", "hbd", "goal", "");
    for (peer, _) in sheet.peers {
        let _ = write!(text, "{peer:>20}{:>8}", "ratio");
    }
    text.push('\n');
    for measure in sheet.measures {
        let values = |product: &str| record.values(measure.key, product);
        let own = values("hbd");
        let peers = sheet.peers.map(|(peer, _)| values(peer));
        if own.is_empty() && peers.iter().all(Vec::is_empty) {
            continue;
        }
        let _ = write!(
            text,
            "{:<width$}{:>5}{:>18}{:>10} {:<5}",
            measure.title,
            measure.unit,
            figure(&own),
            measure.goal.text(),
            measure.goal.verdict(&own)
        );
        // The 200/199 line is compared with hbd's only way to hand over.
        let reference = if measure.key == "standby-200" { record.values("standby", "hbd") } else { own };
        for peer in &peers {
            let _ = write!(text, "{:>20}{:>8}", figure(peer), ratio(&reference, peer, resolution(measure)));
        }
        text = format!("{}\n", text.trim_end());
    }
    text += "\nratio: the peer's median by hbd's; less than the resolution (1 ms, 0.1 ms of processor time; 10 ms for 1,000 addresses) counts as that\n";
    for note in record.notes() {
        let _ = writeln!(text, "- {note}");
    }
    text
}

/// `12.3 (15.0)`; small numbers with more digits.
fn figure(values: &[f64]) -> String {
    let digits = |v: f64| {
        if v.abs() < 10.0 {
            format!("{v:.2}")
        } else if v.abs() < 1000.0 {
            format!("{v:.1}")
        } else {
            format!("{v:.0}")
        }
    };
    let worst = values.iter().copied().fold(f64::MIN, f64::max);
    match median(values) {
        None => "-".to_owned(),
        Some(only) if values.len() == 1 => digits(only),
        Some(middle) => format!("{} ({})", digits(middle), digits(worst)),
    }
}

/// Both count at least as `floor`, the resolution: what cannot be told apart is no ratio.
fn ratio(own: &[f64], peer: &[f64], floor: f64) -> String {
    match (median(own), median(peer)) {
        (Some(own), Some(peer)) => {
            let ratio = peer.max(floor) / own.max(floor);
            if ratio < 100.0 { format!("{ratio:.1}x") } else { format!("{ratio:.0}x") }
        }
        _ => String::new(),
    }
}

/// The least that can be measured.
fn resolution(measure: &Measure) -> f64 {
    match (measure.key, measure.unit) {
        ("many", _) => many::BLIND_MS,
        (_, "ms") => 1.0,
        // What is taken off is not exact.
        (_, "us") => 10.0,
        _ => f64::MIN_POSITIVE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_for_every_sample() {
        assert_eq!(Goal::AtMost(5.0).verdict(&[1.0, 5.0]), "ok");
        assert_eq!(Goal::AtMost(5.0).verdict(&[1.0, 5.1]), "over");
        assert_eq!(Goal::Between(899.0, 1002.0).verdict(&[898.0]), "over");
        assert_eq!(Goal::AtMost(5.0).verdict(&[]), "", "nothing measured is nothing reached");
    }

    #[test]
    fn figures_and_ratios() {
        assert_eq!(figure(&[3.0, 1.0, 2.0]), "2.00 (3.00)");
        assert_eq!(figure(&[1000.4]), "1000");
        assert_eq!(figure(&[]), "-");
        assert_eq!(ratio(&[0.0], &[6.0], 1.0), "6.0x");
        assert_eq!(ratio(&[0.3], &[0.4], 1.0), "1.0x");
        assert_eq!(ratio(&[], &[6.0], 1.0), "");
        assert_eq!(median(&[1.0, 2.0, 3.0, 4.0]), Some(2.5));
    }
}
