//! The cost of a document, computed before any of it is executed.
//!
//! The library expands each fragment wherever it is spread. So a chain of fragments that each spread the next one twice costs
//! 2ⁿ before any of the library's limits applies, without an await at which a time-out could interrupt it. Here each fragment
//! is weighed once and its weight is used wherever it is spread: the time is linear in the document, and a document that
//! passes is small when it is expanded.

mod introspection;

use std::collections::HashMap;
use std::convert::Infallible;

use async_graphql::parser::types::{
    ExecutableDocument, Field, FragmentDefinition, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::{Name, Positioned, Value, Variables};

use self::introspection::{INTROSPECTION_MAX, LOOPS_MAX, SCHEMAS_MAX};
use super::refusal::Refusal;

/// The largest weight of a document: its fields, each multiplied by the lengths of the lists around it.
pub(super) const WEIGHT_MAX: u64 = 1_000;
/// The deepest nesting of fields, with fragments expanded. The introspection query of common tools has 15.
pub(super) const DEPTH_MAX: usize = 16;
/// The deepest nesting of selections, including fragments that add no field.
const LEVELS_MAX: usize = 32;
/// The most fields with an alias, with fragments expanded.
pub(super) const ALIASES_MAX: usize = 50;
/// The most arguments of a field. None takes half as many, and two fields of one name are compared by all of them.
const ARGUMENTS_MAX: usize = 16;
/// The most fragments, and the most operations.
pub(super) const DEFINITIONS_MAX: usize = 50;

/// The weight of a top-level field: most of them cause a call to a service.
const CALL: u64 = 10;
/// The weight of a mutation: it hashes a password, or writes an order.
const CHANGE: u64 = 100;

/// The list fields, with the expected number of items if there is no `first`.
pub(super) const LISTS: [(&str, u64); 4] = [
    ("users", FIRST),
    ("orders", FIRST),
    ("products", FIRST),
    // An order can have fifty lines, but usually has a few.
    ("items", 5),
];
/// The items of a connection without `first`; see [`super::page`].
const FIRST: u64 = chassis::page::DEFAULT_SIZE as u64;
const FIRST_MAX: u64 = chassis::page::MAX_SIZE as u64;

/// Refuses a document that is too heavy or too deep, or has fragments that form a cycle.
///
/// # Errors
/// Names the limit, and the position.
pub(super) fn check(
    document: &ExecutableDocument,
    variables: &Variables,
    introspection: bool,
) -> Result<(), Refusal> {
    let operations: Vec<_> = document.operations.iter().map(|(_, it)| &it.node).collect();
    if operations.len().max(document.fragments.len()) > DEFINITIONS_MAX {
        return Err(Refusal::limit(
            "operations, and as many fragments",
            DEFINITIONS_MAX,
        ));
    }
    let mut scales = Scales {
        document,
        variables,
        operations: &operations,
        introspection,
        fragments: HashMap::new(),
    };
    let mut all = Weight::default();
    for operation in &operations {
        let weight = scales.set(&operation.selection_set, Within::top(operation.ty), 0)?;
        // As the specification requires. Each field would be a separate stream, but the operation has one place.
        if weight.streams > 1 {
            let refusal = Refusal::new("a subscription has one field");
            return Err(refusal.at(operation.selection_set.pos));
        }
        all.add(weight);
    }
    // Unused fragments are checked as well, since the library validates them.
    for (name, fragment) in &document.fragments {
        scales.fragment(name, fragment, 0)?;
    }
    all.check().map_err(|refusal| refusal.at(first(document)))
}

fn first(document: &ExecutableDocument) -> async_graphql::Pos {
    let all = document.operations.iter().map(|(_, it)| it.pos);
    all.min().unwrap_or_default()
}

/// The weight of a selection, with fragments expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    /// Fields, multiplied by the lists around them. Those of introspection count once here.
    cost: u64,
    /// Fields of introspection, multiplied by the lists around them.
    introspection: u64,
    /// The nesting of fields.
    depth: usize,
    /// The nesting of selections: fields and fragments.
    levels: usize,
    aliases: usize,
    /// The nesting of introspection lists that lead back to types.
    loops: usize,
    /// Introspection fields at the top.
    schemas: usize,
    /// The top-level fields of a subscription.
    streams: usize,
}

impl Weight {
    /// Adds the weight of a sibling.
    fn add(&mut self, other: Self) {
        self.cost = self.cost.saturating_add(other.cost);
        self.introspection = self.introspection.saturating_add(other.introspection);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.schemas = self.schemas.saturating_add(other.schemas);
        self.streams = self.streams.saturating_add(other.streams);
        self.depth = self.depth.max(other.depth);
        self.levels = self.levels.max(other.levels);
        self.loops = self.loops.max(other.loops);
    }

    fn check(self) -> Result<(), Refusal> {
        if self.cost > WEIGHT_MAX {
            return Err(Refusal::new(format!(
                "the query weighs more than {WEIGHT_MAX}: fields count as often as the lists around them have items"
            )));
        }
        if self.introspection > INTROSPECTION_MAX {
            return Err(Refusal::new(format!(
                "the query weighs more than {INTROSPECTION_MAX} in its questions about the schema: fields count as often as the lists around them have items"
            )));
        }
        for (count, max, what) in [
            (self.depth, DEPTH_MAX, "fields in fields"),
            (self.levels, LEVELS_MAX, "selections in selections"),
            (self.aliases, ALIASES_MAX, "aliases"),
            (self.schemas, SCHEMAS_MAX, "questions about the schema"),
            (self.loops, LOOPS_MAX, "levels of fields of types"),
        ] {
            if count > max {
                return Err(Refusal::limit(what, max));
            }
        }
        Ok(())
    }
}

/// The kind of type that a selection is on, as far as it matters for the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Query,
    Mutation,
    Subscription,
    Introspection,
    Other,
}

impl Within {
    fn top(operation: OperationType) -> Self {
        match operation {
            OperationType::Query => Self::Query,
            OperationType::Mutation => Self::Mutation,
            OperationType::Subscription => Self::Subscription,
        }
    }

    /// From the name of a type. A fragment on an impossible type is refused later.
    fn named(name: &str) -> Self {
        match name {
            "Query" => Self::Query,
            "Mutation" => Self::Mutation,
            "Subscription" => Self::Subscription,
            name if name.starts_with("__") => Self::Introspection,
            _ => Self::Other,
        }
    }

    /// The kind of type of one of its fields.
    fn below(self, field: &str) -> Self {
        match self {
            Self::Introspection => Self::Introspection,
            Self::Query if field.starts_with("__") => Self::Introspection,
            _ => Self::Other,
        }
    }
}

enum Fragment {
    /// Being weighed: to meet it again means a cycle.
    Begun,
    Weighed(Weight),
}

struct Scales<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    operations: &'a [&'a OperationDefinition],
    introspection: bool,
    fragments: HashMap<&'a str, Fragment>,
}

impl<'a> Scales<'a> {
    fn set(
        &mut self,
        set: &'a Positioned<SelectionSet>,
        within: Within,
        level: usize,
    ) -> Result<Weight, Refusal> {
        if level > LEVELS_MAX {
            return Err(Refusal::limit("selections in selections", LEVELS_MAX).at(set.pos));
        }
        let mut all = Weight::default();
        for selection in &set.node.items {
            all.add(self.selection(&selection.node, within, level + 1)?);
        }
        all.levels += 1;
        Ok(all)
    }

    fn selection(
        &mut self,
        selection: &'a Selection,
        within: Within,
        level: usize,
    ) -> Result<Weight, Refusal> {
        match selection {
            Selection::Field(field) => self.field(field, within, level),
            Selection::InlineFragment(inline) => {
                let condition = inline.node.type_condition.as_ref();
                let named = condition.map(|on| Within::named(&on.node.on.node));
                let within = named.unwrap_or(within);
                self.set(&inline.node.selection_set, within, level)
            }
            Selection::FragmentSpread(spread) => {
                let name = spread.node.fragment_name.node.as_str();
                // Here and not by the validation: fragments that spread an unknown one weigh nothing, and the library expands
                // them before it validates.
                let Some(fragment) = self.document.fragments.get(name) else {
                    let detail = format!("there is no fragment {name}");
                    return Err(Refusal::new(detail).at(spread.pos));
                };
                self.fragment(name, fragment, level)
                    .map_err(|refusal| refusal.at(spread.pos))
            }
        }
    }

    // region: fragment
    fn fragment(
        &mut self,
        name: &'a str,
        fragment: &'a Positioned<FragmentDefinition>,
        level: usize,
    ) -> Result<Weight, Refusal> {
        match self.fragments.get(name) {
            Some(Fragment::Weighed(weight)) => return Ok(*weight),
            Some(Fragment::Begun) => {
                return Err(Refusal::new(format!("the fragment {name} contains itself")));
            }
            None => {}
        }
        self.fragments.insert(name, Fragment::Begun);
        let within = Within::named(&fragment.node.type_condition.node.on.node);
        let weight = self.set(&fragment.node.selection_set, within, level)?;
        self.fragments.insert(name, Fragment::Weighed(weight));
        Ok(weight)
    }
    // endregion: fragment

    fn field(
        &mut self,
        field: &'a Positioned<Field>,
        within: Within,
        level: usize,
    ) -> Result<Weight, Refusal> {
        let name = field.node.name.node.as_str();
        if field.node.arguments.len() > ARGUMENTS_MAX {
            return Err(Refusal::limit("arguments of a field", ARGUMENTS_MAX).at(field.pos));
        }
        let below = within.below(name);
        if below == Within::Introspection && name != "__typename" && !self.introspection {
            return Err(Refusal::from(
                chassis::problem::Problem::forbidden()
                    .with_detail("introspection is turned off here"),
            )
            .at(field.pos));
        }
        let mut weight = self.set(&field.node.selection_set, below, level)?;
        let own = match within {
            Within::Query | Within::Subscription if name != "__typename" => CALL,
            Within::Mutation => CHANGE,
            _ => 1,
        };
        if within == Within::Introspection {
            weight.introspection = introspection::weight(name, weight.introspection);
            weight.loops += usize::from(introspection::is_loop(name));
        } else {
            weight.cost = weight.cost.saturating_mul(self.items(&field.node));
        }
        weight.cost = weight.cost.saturating_add(own);
        weight.depth += 1;
        weight.streams = usize::from(within == Within::Subscription);
        weight.aliases = weight
            .aliases
            .saturating_add(usize::from(field.node.alias.is_some()));
        if within == Within::Query && below == Within::Introspection && name != "__typename" {
            weight.schemas += 1;
        }
        Ok(weight)
    }

    /// The number of items of the field if it is a list, else 1.
    fn items(&self, field: &Field) -> u64 {
        let name = field.name.node.as_str();
        let Some((_, expected)) = LISTS.iter().find(|(list, _)| *list == name) else {
            return 1;
        };
        let Some(first) = field.get_argument("first") else {
            return *expected;
        };
        let known = first
            .node
            .clone()
            .into_const_with(|name| self.variable(&name));
        match known {
            Ok(Value::Null) => *expected,
            Ok(Value::Number(number)) => of_number(number.as_u64()),
            // Anything but a number is refused later.
            _ => FIRST_MAX,
        }
    }

    /// The value of a variable; null if there is none. A fragment is weighed without knowing which operation will be executed, so
    /// this is the largest default of all operations.
    fn variable(&self, name: &Name) -> Result<Value, Infallible> {
        if let Some(value) = self.variables.get(name) {
            return Ok(counted(value));
        }
        let definitions = self
            .operations
            .iter()
            .flat_map(|it| &it.variable_definitions);
        let defaults = definitions
            .filter(|definition| definition.node.name.node == *name)
            .filter_map(|definition| definition.node.default_value());
        let largest = defaults.max_by_key(|value| match value {
            Value::Number(number) => of_number(number.as_u64()),
            _ => 0,
        });
        Ok(largest.map_or(Value::Null, counted))
    }
}

/// The value as far as it matters here. What is no number can be long, and is used in many places.
fn counted(value: &Value) -> Value {
    match value {
        Value::Null | Value::Number(_) => value.clone(),
        _ => Value::Boolean(false),
    }
}

/// A value that is out of range is refused by the field's resolver, before it costs anything.
fn of_number(number: Option<u64>) -> u64 {
    number.unwrap_or(FIRST_MAX).clamp(1, FIRST_MAX)
}

#[cfg(test)]
mod tests;
