//! What a document costs, found out before any of it is executed.
//!
//! The library expands each fragment wherever it is spread, so that fragments which spread the next one twice cost 2ⁿ
//! before any of its limits answers, in one go that no time-out can interrupt. Here a fragment is weighed once and its
//! weight is used wherever it is spread: the time is linear in the document, and whatever is handed on is small when
//! it is expanded.

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

/// Most that a document may weigh: fields, each as often as the lists around it may have items.
pub(super) const WEIGHT_MAX: u64 = 1_000;
/// Deepest fields in fields, fragments expanded. The introspection query of the usual tools has 15.
pub(super) const DEPTH_MAX: usize = 16;
/// Deepest selections, with fragments of fragments that add no field.
const LEVELS_MAX: usize = 32;
/// Most fields with an alias, fragments expanded.
pub(super) const ALIASES_MAX: usize = 50;
/// Most fragments, and most operations.
pub(super) const DEFINITIONS_MAX: usize = 50;

/// What a field at the top costs: most of them are a call to a service.
const CALL: u64 = 10;
/// What a change costs: a password is hashed, an order written.
const CHANGE: u64 = 100;

/// Fields that are a list, and how many items are expected unless `first` says it.
pub(super) const LISTS: [(&str, u64); 4] = [
    ("users", FIRST),
    ("orders", FIRST),
    ("products", FIRST),
    // An order can have fifty lines and has a few.
    ("items", 5),
];
/// Items of a connection where the caller does not say; see [`super::page`].
const FIRST: u64 = chassis::page::DEFAULT_SIZE as u64;
const FIRST_MAX: u64 = chassis::page::MAX_SIZE as u64;

/// Refuses a document that is too heavy, too deep, or goes round in circles.
///
/// # Errors
/// Says which limit, and where.
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
        // As the specification has it. Each would be a stream of its own, and the place is one.
        if weight.streams > 1 {
            let refusal = Refusal::new("a subscription has one field");
            return Err(refusal.at(operation.selection_set.pos));
        }
        all.add(weight);
    }
    // Those that nobody spreads are validated, too.
    for (name, fragment) in &document.fragments {
        scales.fragment(name, fragment, 0)?;
    }
    all.check().map_err(|refusal| refusal.at(first(document)))
}

fn first(document: &ExecutableDocument) -> async_graphql::Pos {
    let all = document.operations.iter().map(|(_, it)| it.pos);
    all.min().unwrap_or_default()
}

/// What a selection weighs, fragments expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    /// Fields, multiplied by the lists around them. Those of introspection count once here.
    cost: u64,
    /// Fields of introspection, multiplied by the lists around them.
    introspection: u64,
    /// Fields in fields.
    depth: usize,
    /// Selections in selections: fields and fragments.
    levels: usize,
    aliases: usize,
    /// Lists of introspection that lead back to types, in such lists.
    loops: usize,
    /// Questions about the schema.
    schemas: usize,
    /// Fields of a subscription.
    streams: usize,
}

impl Weight {
    /// What stands beside it.
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

/// What the fields of a selection are fields of, as far as it makes a difference.
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

    /// By the name of the type. A fragment on a type where it does not belong is refused later.
    fn named(name: &str) -> Self {
        match name {
            "Query" => Self::Query,
            "Mutation" => Self::Mutation,
            "Subscription" => Self::Subscription,
            name if name.starts_with("__") => Self::Introspection,
            _ => Self::Other,
        }
    }

    /// What is below one of its fields.
    fn below(self, field: &str) -> Self {
        match self {
            Self::Introspection => Self::Introspection,
            Self::Query if field.starts_with("__") => Self::Introspection,
            _ => Self::Other,
        }
    }
}

enum Fragment {
    /// On the way to it: whoever comes here again goes round in a circle.
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
                // One that is not there is refused later.
                let Some(fragment) = self.document.fragments.get(name) else {
                    return Ok(Weight::default());
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

    /// How many items the field has, if it is a list.
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
            // Refused later, as all that is no number.
            _ => FIRST_MAX,
        }
    }

    /// The value of a variable, null for none. Which operation will be executed is not known where a fragment is weighed:
    /// the largest default of all.
    fn variable(&self, name: &Name) -> Result<Value, Infallible> {
        if let Some(value) = self.variables.get(name) {
            return Ok(value.clone());
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
        Ok(largest.cloned().unwrap_or(Value::Null))
    }
}

/// What is out of bounds is refused by the field itself, before it costs anything.
fn of_number(number: Option<u64>) -> u64 {
    number.unwrap_or(FIRST_MAX).clamp(1, FIRST_MAX)
}

#[cfg(test)]
mod tests;
