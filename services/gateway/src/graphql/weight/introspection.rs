//! What a question about the schema costs.
//!
//! The library resolves each field of introspection by itself and in one go, which no deadline interrupts: what a document
//! may cost is the product of the lists around its fields, as it is elsewhere. How long these lists are is known, so
//! the sizes here are those of the schema; a test compares them.

/// Most that the questions about the schema weigh together. The query of the usual tools, with all that the specification
/// has, weighs about 5,500.
pub(super) const INTROSPECTION_MAX: u64 = 6_000;

/// Most of `__schema` and `__type`, each of which can show the whole schema.
pub(super) const SCHEMAS_MAX: usize = 2;

/// Lists that lead back to types, so that they can be nested without end: at most one of them below the other.
const LOOPS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];
pub(super) const LOOPS_MAX: usize = 1;

/// The lists, and how many items they have at most: on average over all that have such a list, rounded up.
pub(super) const SIZES: [(&str, u64); 9] = [
    ("types", 40),
    ("fields", 4),
    ("args", 1),
    ("inputFields", 1),
    ("interfaces", 1),
    ("possibleTypes", 1),
    ("enumValues", 1),
    ("directives", 5),
    ("locations", 3),
];

pub(super) fn is_loop(field: &str) -> bool {
    LOOPS.contains(&field)
}

/// What a field weighs, `below` of which is in its selection.
pub(super) fn weight(field: &str, below: u64) -> u64 {
    let size = SIZES.iter().find(|(list, _)| *list == field);
    let below = match size {
        // An item costs something even if nothing of it can be selected.
        Some((_, size)) => size.saturating_mul(below.max(1)),
        // About every second type is made of another one, by `!` or `[]`, so that a chain of these soon ends.
        None if field == "ofType" => below.div_ceil(2),
        None => below,
    };
    below.saturating_add(1)
}
