//! The rows of the table in docs/performance.md.

use clap::ValueEnum;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Row {
    FirstStart,
    WarmStart,
    CpuIdle,
    MemoryIdle,
    MemoryPurchase,
    MemorySignIns,
    MemoryLoaded,
    Orders,
    OrdersBesidePgbench,
    OrdersHeld,
    HeldBesidePgbench,
    Pgbench,
    Cpu,
    Saturated,
    HalfLoad,
    Mails,
    Stream,
    Decided,
    Mailed,
}

impl Row {
    /// Its name on the command line.
    pub(super) fn id(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Its text, word for word as in the document.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::FirstStart => "first start to ready, the observatory in it",
            Self::WarmStart => "warm start to ready",
            Self::CpuIdle => "CPU, idle, all six services",
            Self::MemoryIdle => "resident memory of all six services, idle",
            Self::MemoryPurchase => "the same after one purchase",
            Self::MemorySignIns => "the same, with 200 sign-ins 16 at a time",
            Self::MemoryLoaded => "resident memory under load, 32 callers without a pause",
            Self::Orders => "orders accepted through the gateway, fsync on, 32 callers",
            Self::OrdersBesidePgbench => "the same beside pgbench",
            Self::OrdersHeld => "orders accepted with the relay held still",
            Self::HeldBesidePgbench => "orders with the relay held still, beside pgbench",
            Self::Pgbench => "pgbench, the same statement, same cluster, 32 clients",
            Self::Cpu => "CPU for one order until its mail is sent, ours + PostgreSQL",
            Self::Saturated => "statements, commits, WAL for one order, at saturation",
            Self::HalfLoad => "the same at half load",
            Self::Mails => "mails a second beside orders a second",
            Self::Stream => "commit to consumer at 1,000/s, two relays",
            Self::Decided => "click to confirmed, quiet shop",
            Self::Mailed => "click to mail, quiet shop",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../../docs/performance.md");

    /// The first cells of the rows of the section that one run prints.
    fn documented() -> Vec<&'static str> {
        let mut sections = DOCUMENT.split("\n## ");
        let section = sections.find(|section| section.starts_with("One process\n"));
        let rows = section.expect("the section").lines();
        let cells = rows.filter_map(|row| row.strip_prefix("| ")?.split(" | ").next());
        cells.collect()
    }

    #[test]
    fn the_document_has_every_row_once() {
        let documented = documented();
        for row in Row::value_variants() {
            let times = documented.iter().filter(|cell| **cell == row.what());
            assert_eq!(times.count(), 1, "{row:?}: {:?}", row.what());
        }
    }

    #[test]
    fn names_are_said_on_the_command_line() {
        assert_eq!(Row::HeldBesidePgbench.id(), "held-beside-pgbench");
        assert_eq!(Row::MemorySignIns.id(), "memory-sign-ins");
    }
}
