//! The budgets of docs/performance.md, for the tests that hold the shop to them.

const DOCUMENT: &str = include_str!("../../../../docs/performance.md");
const SECTION: &str = "The budget\n";

/// One row of a table of the section: what is counted, and what it may cost, a number for each column.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What is counted.
    pub line: String,
    /// The budget of each column.
    pub budgets: Vec<f64>,
}

/// All budgets.
///
/// # Panics
/// When the document has no section of budgets.
pub fn rows() -> Vec<Row> {
    let mut sections = DOCUMENT.split("\n## ");
    let section = sections.find(|section| section.starts_with(SECTION));
    let lines = section.expect("a section of budgets").lines();
    lines.filter_map(row).collect()
}

/// The budgets of one line, one for each column.
///
/// # Panics
/// When there is no such line.
pub fn of(line: &str) -> Vec<f64> {
    let row = rows().into_iter().find(|row| row.line == line);
    let row = row.unwrap_or_else(|| panic!("docs/performance.md has no budget for {line}"));
    row.budgets
}

/// Holds a cost to the budget of its line.
///
/// # Panics
/// When it is more, or nothing: then nobody counted.
pub fn hold(line: &str, cost: f64) {
    let budget = of(line)[0];
    assert!(cost > 0.0, "{line}: nothing was counted");
    assert!(
        cost <= budget,
        "{line}: {cost}, and docs/performance.md allows {budget}"
    );
}

/// A row whose cells are numbers; those of headings are not.
fn row(line: &str) -> Option<Row> {
    let mut cells = line.strip_prefix("| ")?.trim_end_matches('|').split('|');
    let line = cells.next()?.trim().to_owned();
    let numbers = cells.map(|cell| cell.trim().replace(',', "").parse().ok());
    let budgets: Vec<f64> = numbers.collect::<Option<_>>()?;
    (!budgets.is_empty()).then_some(Row { line, budgets })
}
