//! The measured values, and the reasons for missing ones.

use std::collections::BTreeMap;

use serde_json::Value;

use super::row::Row;

/// One row for people and for programs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) text: String,
    pub(super) values: Value,
}

/// The figure of each row, or why there is none.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<Row, Result<Figure, String>>);

impl Figures {
    pub(super) fn put(&mut self, row: Row, text: impl Into<String>, values: Value) {
        let text = text.into();
        self.0.insert(row, Ok(Figure { text, values }));
    }

    /// Records why these rows could not be measured; those that were measured before the failure are kept.
    pub(super) fn fail(&mut self, rows: &[Row], why: &str) {
        for row in rows {
            let figure = self.0.entry(*row);
            figure.or_insert_with(|| Err(why.to_owned()));
        }
    }

    /// The result of a row.
    pub(super) fn of(&self, row: Row) -> Result<&Figure, &str> {
        match self.0.get(&row) {
            Some(Ok(figure)) => Ok(figure),
            Some(Err(why)) => Err(why),
            None => Err("what it is made of was not measured"),
        }
    }

    /// A number of a measured row.
    pub(super) fn number(&self, row: Row, name: &str) -> Option<f64> {
        self.of(row).ok()?.values[name].as_f64()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_measured_before_a_failure_stays() {
        let mut figures = Figures::default();
        figures.put(Row::Orders, "400 /s", json!({"per_second": 400.0}));
        figures.fail(&[Row::Orders, Row::Mails], "the machine went away");
        assert_eq!(figures.number(Row::Orders, "per_second"), Some(400.0));
        assert_eq!(figures.of(Row::Mails), Err("the machine went away"));
        assert!(figures.of(Row::Stream).is_err());
        assert_eq!(figures.number(Row::Mails, "ratio"), None);
    }
}
