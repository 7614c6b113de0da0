//! Budgets go down only: each of docs/performance.md beside the least that it ever was.

use contracts::testing::budget::Row;
use serde_json::Value;

/// For each line the `least` that its budgets ever were, and where one is above that what it was `raised` to, and why.
const LEAST: &str = include_str!("../fixtures/budgets.json");

/// What is against the rule.
pub(crate) fn broken(rows: &[Row]) -> Vec<String> {
    broken_beside(rows, &serde_json::from_str(LEAST).expect("JSON"))
}

fn broken_beside(rows: &[Row], known: &Value) -> Vec<String> {
    let lines = known.as_object().expect("lines").keys();
    let gone = lines.filter(|line| rows.iter().all(|row| row.line != **line));
    let gone = gone.map(|line| format!("{line}: no budget any more"));
    let wrong = rows.iter().filter_map(|row| {
        let why = complaint(&row.budgets, &known[&row.line])?;
        Some(format!("{}: {:?}, {why}", row.line, row.budgets))
    });
    gone.chain(wrong).collect()
}

fn complaint(budgets: &[f64], known: &Value) -> Option<&'static str> {
    let Some(least) = numbers(&known["least"]) else {
        return Some("which tests/fixtures/budgets.json does not know");
    };
    if least.len() != budgets.len() {
        return Some("another number of columns than there was");
    }
    let mut pairs = budgets.iter().zip(&least);
    if pairs.clone().any(|(budget, least)| budget < least) {
        return Some("the least so far: write it down as that");
    }
    let is_raised = pairs.any(|(budget, least)| budget > least);
    let raised = &known["raised"];
    let has_reason = raised["why"].as_str().is_some_and(|why| !why.is_empty());
    match (is_raised, raised.is_null()) {
        (false, true) => None,
        (false, false) => Some("which is the least, and is said to be raised"),
        (true, _) if has_reason && numbers(&raised["to"]).as_deref() == Some(budgets) => None,
        (true, _) => Some("more than the least, and no reason is given for this value"),
    }
}

fn numbers(list: &Value) -> Option<Vec<f64>> {
    list.as_array()?.iter().map(Value::as_f64).collect()
}

#[test]
fn budgets_that_rise_without_a_reason_are_found() {
    let known = serde_json::json!({
        "kept": {"least": [2.0, 1.0]},
        "explained": {"least": [2, 1], "raised": {"to": [2, 1.5], "why": "more is done"}},
        "more than was explained": {"least": [2], "raised": {"to": [3], "why": "more is done"}},
        "lower": {"least": [2]},
        "gone": {"least": [1]},
        "back": {"least": [2], "raised": {"to": [3], "why": "more is done"}},
    });
    let row = |line: &str, budgets: &[f64]| Row {
        line: line.to_owned(),
        budgets: budgets.to_vec(),
    };
    let rows = [
        row("kept", &[2.0, 1.0]),
        row("explained", &[2.0, 1.5]),
        row("more than was explained", &[4.0]),
        row("lower", &[1.0]),
        row("back", &[2.0]),
        row("new", &[1.0]),
    ];
    let found = broken_beside(&rows, &known);
    let lines: Vec<_> = found
        .iter()
        .filter_map(|line| line.split(": ").next())
        .collect();
    let expected = ["gone", "more than was explained", "lower", "back", "new"];
    assert_eq!(lines, expected, "{found:#?}");
}
