//! The output: a table in Markdown, or JSON.

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::figures::Figures;
use super::row::Row;
use crate::failure::Failure;

/// The note of a debug build.
const DEBUG: &str = "This is a debug build: its figures say nothing about a release.\n\n";

/// The rows there are.
pub(super) fn list() -> String {
    let rows = Row::value_variants().iter();
    rows.map(|row| format!("{:<22} {}\n", row.id(), row.what()))
        .collect()
}

/// The table of what was measured.
pub(super) fn table(rows: &[Row], figures: &Figures) -> String {
    let mut table = String::new();
    if cfg!(debug_assertions) {
        table.push_str(DEBUG);
    }
    table.push_str("| what | measured |\n|---|---|\n");
    for row in rows {
        let text = figures
            .of(*row)
            .map_or("**not measured**", |figure| figure.text.as_str());
        // Writing to a string does not fail.
        let _ = writeln!(table, "| {} | {text} |", row.what());
    }
    table
}

/// The same for programs.
pub(super) fn json(rows: &[Row], figures: &Figures, took: Duration) -> String {
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let rows: Vec<Value> = rows.iter().map(|row| row_as_json(*row, figures)).collect();
    let all = json!({"build": build, "seconds": took.as_secs_f64(), "rows": rows});
    format!("{all:#}\n")
}

fn row_as_json(row: Row, figures: &Figures) -> Value {
    let (id, what) = (row.id(), row.what());
    match figures.of(row) {
        Ok(figure) => {
            json!({"row": id, "what": what, "measured": figure.text, "values": figure.values})
        }
        Err(why) => json!({"row": id, "what": what, "failed": why}),
    }
}

/// Which rows could not be measured, and why, in one line; none if all were.
pub(super) fn missing(rows: &[Row], figures: &Figures) -> Option<String> {
    let why = |row: &Row| Some(format!("{} ({})", row.id(), figures.of(*row).err()?));
    let missing: Vec<String> = rows.iter().filter_map(why).collect();
    (!missing.is_empty()).then(|| format!("not measured: {}", missing.join(", ")))
}

/// Prints it.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    Ok(chassis::output::print(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_reason() {
        let mut figures = Figures::default();
        figures.put(Row::Orders, "400 /s", json!({"per_second": 400.0}));
        let rows = [Row::Orders, Row::Mails];
        assert_eq!(missing(&rows[..1], &figures), None);
        figures.fail(&rows, "it went away");
        let missing = missing(&rows, &figures);
        assert_eq!(
            missing.as_deref(),
            Some("not measured: mails (it went away)")
        );
        let table = table(&rows, &figures);
        assert!(table.contains("32 callers | 400 /s |\n"), "{table}");
        assert!(table.ends_with("| **not measured** |\n"), "{table}");
        let json: Value =
            serde_json::from_str(&json(&rows, &figures, Duration::ZERO)).expect("JSON");
        assert_eq!(json["rows"][0]["values"]["per_second"], 400.0);
        assert_eq!(json["rows"][1]["failed"], "it went away");
    }
}
