//! The plot: for each failover a panel, for each product a strip with a dot per sample and a bar at the median.

use std::fmt::Write;

use super::record::Record;
use super::table::{Sheet, median};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 30.0;
const STRIP: f64 = 26.0;
const TITLE: f64 = 30.0;
const AXIS: f64 = 34.0;

const OWN: (&str, &str) = ("hbd", "#1f6fb4");

/// The whole file; logarithmic, because the products are orders of magnitude apart.
pub fn render(sheet: &Sheet, record: &Record) -> String {
    let mut body = String::new();
    let mut y = 10.0;
    for key in sheet.panels {
        let Some(measure) = sheet.measures.iter().find(|m| m.key == *key) else { continue };
        let strips: Vec<_> = [OWN]
            .iter()
            .chain(&sheet.peers)
            .map(|(name, colour)| (*name, *colour, record.values(key, name)))
            .filter(|(_, _, values)| !values.is_empty())
            .collect();
        if strips.is_empty() {
            continue;
        }
        let title = format!("{} ({})", measure.title.trim(), measure.unit);
        y = panel(&mut body, y, &title, &strips);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// Draws one panel from `y` on; gives where the next may begin.
fn panel(body: &mut String, y: f64, title: &str, strips: &[(&str, &str, Vec<f64>)]) -> f64 {
    let all = || strips.iter().flat_map(|(_, _, values)| values.iter().copied());
    let scale = Scale::of(all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    // Writing to a String cannot fail.
    let _ = writeln!(body, "<text x=\"10\" y=\"{:.1}\" font-weight=\"bold\">{title}</text>", y + 18.0);
    let bottom = y + TITLE + STRIP * strips.len() as f64;
    for tick in scale.ticks() {
        let x = scale.x(tick);
        let _ = writeln!(
            body,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{tick}</text>",
            y + TITLE,
            bottom + 16.0
        );
    }
    for (index, (name, colour, values)) in strips.iter().enumerate() {
        let middle = y + TITLE + STRIP * (index as f64 + 0.5);
        let _ = writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 10.0,
            middle + 4.0
        );
        for (run, value) in values.iter().enumerate() {
            // Spread a little, so that equal samples can be told apart.
            let off = (run % 5) as f64 * 3.0 - 6.0;
            let _ = writeln!(
                body,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\" fill-opacity=\"0.55\"/>",
                scale.x(*value),
                middle + off
            );
        }
        if let Some(half) = median(values) {
            let x = scale.x(half);
            let _ = writeln!(
                body,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\" font-size=\"11\">{half:.1}</text>",
                middle - 10.0,
                middle + 10.0,
                x + 8.0,
                middle - 3.0
            );
        }
    }
    bottom + AXIS
}

/// A logarithmic axis over whole steps of 1, 2, 5. Below 1 ms, the probe's resolution, everything is at the left end.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(least: f64, most: f64) -> Scale {
        let low = steps().take_while(|s| *s <= least.max(1.0)).last().unwrap_or(1.0);
        let high = steps().find(|s| *s >= most.max(low * 2.0)).unwrap_or(most);
        Scale { low, high }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.clamp(self.low, self.high) / self.low).ln() / (self.high / self.low).ln();
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (low, high) = (self.low, self.high);
        steps().skip_while(move |s| *s < low).take_while(move |s| *s <= high)
    }
}

/// 1, 2, 5, 10, … up to what no failover takes.
fn steps() -> impl Iterator<Item = f64> {
    (0..9).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_holds_all_samples() {
        let scale = Scale::of(0.0, 160.0);
        assert_eq!((scale.low, scale.high), (1.0, 200.0));
        assert!((scale.x(0.0) - LEFT).abs() < 1e-9 && (scale.x(200.0) - (WIDTH - RIGHT)).abs() < 1e-9);
        assert_eq!(scale.ticks().count(), 8);
        let narrow = Scale::of(990.0, 990.0);
        assert_eq!((narrow.low, narrow.high), (500.0, 1000.0));
    }

    #[test]
    fn an_empty_record_is_an_empty_picture() {
        let text = render(&super::super::table::FAILOVER, &Record::default());
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n") && !text.contains("circle"));
    }
}
