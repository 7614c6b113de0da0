//! Subscriptions whose field stands in a fragment.
//!
//! The library looks only at fields that stand in the subscription itself, and completes at once if there is none, as if nothing
//! could change any more. So the field gets a copy there. The fragment stays, for the validation.

use std::collections::HashMap;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, FragmentDefinition, OperationDefinition, OperationType,
    Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Variables};

use super::emptied::is_left_out;

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// Copies the field of each subscription out of its fragments, given all variables.
pub(super) fn lift(document: &mut ExecutableDocument, variables: &Variables) {
    let fragments = &document.fragments;
    match &mut document.operations {
        DocumentOperations::Single(operation) => {
            lift_in(&mut operation.node, fragments, variables);
        }
        DocumentOperations::Multiple(all) => {
            for operation in all.values_mut() {
                lift_in(&mut operation.node, fragments, variables);
            }
        }
    }
}

/// It has one field at most, wherever: the document was weighed.
fn lift_in(operation: &mut OperationDefinition, fragments: &Fragments, variables: &Variables) {
    let top = &mut operation.selection_set.node;
    let is_there = |item: &Positioned<Selection>| matches!(item.node, Selection::Field(_));
    if operation.ty != OperationType::Subscription || top.items.iter().any(is_there) {
        return;
    }
    let field = field(top, fragments, variables).cloned();
    top.items.extend(field);
}

fn field<'a>(
    set: &'a SelectionSet,
    fragments: &'a Fragments,
    variables: &Variables,
) -> Option<&'a Positioned<Selection>> {
    let items = set.items.iter();
    let mut wanted = items.filter(|item| !is_left_out(&item.node, variables));
    wanted.find_map(|item| match &item.node {
        Selection::Field(_) => Some(item),
        Selection::InlineFragment(inline) => {
            field(&inline.node.selection_set.node, fragments, variables)
        }
        Selection::FragmentSpread(spread) => {
            let fragment = fragments.get(&spread.node.fragment_name.node)?;
            field(&fragment.node.selection_set.node, fragments, variables)
        }
    })
}
