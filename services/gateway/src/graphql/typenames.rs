//! Fields `__typename` with something on them.
//!
//! The library's validation passes over a field of that name with all that stands on it: a condition that is none is false, and a
//! variable that is used only there is told as unused. So its directives get an inline fragment around it, which means the same and
//! is validated.

use async_graphql::Positioned;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, InlineFragment, Selection, SelectionSet,
};

use super::refusal::Refusal;

const NAME: &str = "__typename";

/// Gives the directives of each `__typename` to a fragment around it.
///
/// # Errors
/// If one has arguments or fields.
pub(super) fn wrap(document: &mut ExecutableDocument) -> Result<(), Refusal> {
    match &mut document.operations {
        DocumentOperations::Single(operation) => wrap_in(&mut operation.node.selection_set.node)?,
        DocumentOperations::Multiple(all) => {
            for operation in all.values_mut() {
                wrap_in(&mut operation.node.selection_set.node)?;
            }
        }
    }
    for fragment in document.fragments.values_mut() {
        wrap_in(&mut fragment.node.selection_set.node)?;
    }
    Ok(())
}

/// The nesting of selections is bounded: the document was weighed.
fn wrap_in(set: &mut SelectionSet) -> Result<(), Refusal> {
    for item in &mut set.items {
        match &mut item.node {
            Selection::Field(field) if field.node.name.node == NAME => {
                check(field)?;
                if !field.node.directives.is_empty() {
                    item.node = wrapped(field);
                }
            }
            Selection::Field(field) => wrap_in(&mut field.node.selection_set.node)?,
            Selection::InlineFragment(inline) => wrap_in(&mut inline.node.selection_set.node)?,
            Selection::FragmentSpread(_) => {}
        }
    }
    Ok(())
}

fn check(field: &Positioned<Field>) -> Result<(), Refusal> {
    let has = match &field.node {
        Field { arguments, .. } if !arguments.is_empty() => "arguments",
        Field { selection_set, .. } if !selection_set.node.items.is_empty() => "fields",
        _ => return Ok(()),
    };
    Err(Refusal::new(format!("{NAME} has no {has}")).at(field.pos))
}

fn wrapped(field: &mut Positioned<Field>) -> Selection {
    let directives = std::mem::take(&mut field.node.directives);
    let bare = Positioned::new(Selection::Field(field.clone()), field.pos);
    let inline = InlineFragment {
        type_condition: None,
        directives,
        selection_set: Positioned::new(SelectionSet { items: vec![bare] }, field.pos),
    };
    Selection::InlineFragment(Positioned::new(inline, field.pos))
}
