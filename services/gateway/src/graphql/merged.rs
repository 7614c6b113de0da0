//! Fields of one name in the answer.
//!
//! To the specification they are one field: it has one name, one set of arguments, and its selections are merged. The library
//! compares them only where they stand in one selection, resolves each, and merges whatever they answer: the members of two
//! objects would be told as those of one. So fields that are not the same are refused. That the answers of those that are the same
//! can be merged follows from the schema, in which each object has one type.

use std::collections::BTreeMap;

use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Positioned, Variables};

use super::emptied::is_left_out;
use super::refusal::Refusal;

/// Refuses an operation in which one name of the answer stands for two fields, given all variables.
///
/// # Errors
/// Names it.
pub(super) fn check(
    operation: &OperationDefinition,
    document: &ExecutableDocument,
    variables: &Variables,
) -> Result<(), Refusal> {
    let merging = Merging {
        document,
        variables,
    };
    merging.object(&[&operation.selection_set.node])
}

/// The fields of an object by their names in the answer.
type Named<'a> = BTreeMap<&'a str, Vec<&'a Positioned<Field>>>;

struct Merging<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
}

impl<'a> Merging<'a> {
    /// The object that all of these selections are of. What is looked at in all, and how deep, is bounded: the document was weighed
    /// with its fragments expanded.
    fn object(&self, sets: &[&'a SelectionSet]) -> Result<(), Refusal> {
        let mut named = Named::new();
        for set in sets {
            self.collect(set, &mut named);
        }
        for (name, fields) in named {
            let differs = fields.iter().find(|field| !is_same(fields[0], field));
            if let Some(other) = differs {
                let detail = format!(
                    "{name} stands for two different fields: give one of them another name"
                );
                return Err(Refusal::new(detail).at(other.pos));
            }
            let below = fields.iter().map(|field| &field.node.selection_set.node);
            let below: Vec<_> = below.collect();
            self.object(&below)?;
        }
        Ok(())
    }

    /// Adds the fields of a selection, those of its fragments among them.
    fn collect(&self, set: &'a SelectionSet, named: &mut Named<'a>) {
        let variables = self.variables;
        let wanted = set.items.iter();
        for item in wanted.filter(|item| !is_left_out(&item.node, variables)) {
            match &item.node {
                Selection::Field(field) => {
                    let name = field.node.response_key().node.as_str();
                    named.entry(name).or_default().push(field);
                }
                Selection::InlineFragment(inline) => {
                    self.collect(&inline.node.selection_set.node, named);
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    // There is none that is unknown: the document was weighed.
                    if let Some(fragment) = self.document.fragments.get(name) {
                        self.collect(&fragment.node.selection_set.node, named);
                    }
                }
            }
        }
    }
}

/// Whether two fields are the same with the same arguments, in whatever order. A fragment that is spread twice brings one and the
/// same, which needs no look at its arguments.
fn is_same(one: &Positioned<Field>, other: &Positioned<Field>) -> bool {
    if std::ptr::eq(one, other) {
        return true;
    }
    let (one, other) = (&one.node, &other.node);
    one.name.node == other.name.node
        && one.arguments.len() == other.arguments.len()
        && one.arguments.iter().all(|(name, value)| {
            let given = other.get_argument(name.node.as_str());
            given.is_some_and(|given| given.node == value.node)
        })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_schema;
    use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};

    use crate::graphql::sdl;

    /// With interfaces or unions, fields of one name can be of objects of two types, and may differ.
    #[test]
    fn each_object_of_the_schema_has_one_type() {
        for definition in parse_schema(sdl()).unwrap().definitions {
            if let TypeSystemDefinition::Type(definition) = definition {
                let kind = &definition.node.kind;
                assert!(
                    !matches!(kind, TypeKind::Interface(_) | TypeKind::Union(_)),
                    "{kind:?}"
                );
            }
        }
    }
}
