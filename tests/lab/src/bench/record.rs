//! Everything that was measured, one row per number.

use std::fmt::Write;

use super::many;
use super::sample::{BLIND_MS, Outage};
use crate::LabError;

/// One number.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which measure; the keys stand in [`super::table`].
    pub measure: String,
    /// Whose.
    pub product: &'static str,
    /// Which sample, from 1.
    pub run: u32,
    /// The number, in the measure's unit.
    pub value: f64,
    /// Gaps the client saw.
    pub gaps: usize,
    /// The prober's blind time when it mattered, ms.
    pub blind_ms: f64,
}

/// All rows, and what is to be said beside them.
#[derive(Debug, Default)]
pub struct Record {
    rows: Vec<Row>,
    notes: Vec<String>,
    repeats: std::collections::BTreeMap<&'static str, u32>,
}

impl Record {
    /// A sample of an outage.
    pub fn add(&mut self, measure: &str, product: &'static str, run: u32, value: f64, outage: &Outage) {
        let measure = measure.to_owned();
        self.rows.push(Row { measure, product, run, value, gaps: outage.gaps, blind_ms: outage.blind_ms });
    }

    /// A number without a probe.
    pub fn plain(&mut self, measure: &str, product: &'static str, value: f64) {
        self.sample(measure, product, 1, value);
    }

    /// One of several numbers without a probe.
    pub fn sample(&mut self, measure: &str, product: &'static str, run: u32, value: f64) {
        self.rows.push(Row { measure: measure.to_owned(), product, run, value, gaps: 0, blind_ms: 0.0 });
    }

    /// A sample was disturbed and is taken again.
    pub fn repeat(&mut self, product: &'static str) {
        *self.repeats.entry(product).or_insert(0) += 1;
    }

    /// A sentence for below the table; said once.
    pub fn note(&mut self, text: &str) {
        if !self.notes.iter().any(|n| n == text) {
            self.notes.push(text.to_owned());
        }
    }

    /// A part that could not be measured.
    pub fn fail(&mut self, part: &str, product: &str, error: &LabError) {
        let first = error.0.lines().next().unwrap_or_default();
        self.note(&format!("{product}: {part} could not be measured: {first}"));
    }

    /// The values of a measure, in order of their runs.
    pub fn values(&self, measure: &str, product: &str) -> Vec<f64> {
        self.rows_of(measure, product).map(|row| row.value).collect()
    }

    /// The rows of a measure.
    pub fn rows_of(&self, measure: &str, product: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.measure == measure && row.product == product)
    }

    /// All sentences.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        for (product, count) in &self.repeats {
            notes.push(format!("{product}: {count} disturbed samples taken again"));
        }
        let limit = |row: &Row| if row.measure == "many" { many::BLIND_MS } else { BLIND_MS };
        let kept = self.rows.iter().filter(|row| row.blind_ms > limit(row)).count();
        if kept > 0 {
            notes.push(format!("{kept} numbers are from samples still disturbed after the last repeat"));
        }
        notes
    }

    /// `measure,product,run,value,gaps,blind_ms` for plotting elsewhere.
    pub fn csv(&self) -> String {
        let mut text = "measure,product,run,value,gaps,blind_ms\n".to_owned();
        for row in &self.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{},{},{},{:.3},{},{:.3}",
                row.measure, row.product, row.run, row.value, row.gaps, row.blind_ms
            );
        }
        text
    }
}
