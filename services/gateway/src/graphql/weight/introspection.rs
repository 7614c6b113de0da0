//! The cost of introspection.
//!
//! The library resolves introspection synchronously, so no deadline can interrupt it. Its cost is the product of the lengths of
//! the lists around the fields, as elsewhere. These lengths are known: the sizes here are those of the schema, which a test
//! compares.

/// The largest weight of introspection in a document. The query of common tools, with everything in the specification, weighs
/// about 5,500.
pub(super) const INTROSPECTION_MAX: u64 = 6_000;

/// The most fields `__schema` and `__type`, each of which can return the whole schema.
pub(super) const SCHEMAS_MAX: usize = 2;

/// Lists that lead back to types and could be nested without end. At most one of them may be below another.
const LOOPS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];
pub(super) const LOOPS_MAX: usize = 1;

/// The lists with their average length over all types that have such a list, rounded up.
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

/// The weight of a field whose selection weighs `below`.
pub(super) fn weight(field: &str, below: u64) -> u64 {
    let size = SIZES.iter().find(|(list, _)| *list == field);
    let below = match size {
        // An item costs something even if it has no selection.
        Some((_, size)) => size.saturating_mul(below.max(1)),
        // About half of the types wrap another one (`!` or `[]`), so a chain of `ofType` soon ends.
        None if field == "ofType" => below.div_ceil(2),
        None => below,
    };
    below.saturating_add(1)
}
