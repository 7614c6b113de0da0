//! Selections that `@skip` and `@include` leave without fields.
//!
//! The object of such a selection is `{}`, as the specification has it. The library makes it null, also where the type allows no
//! null, which says that there is no such object. So a selection that is left without fields gets one that costs nothing, under a
//! name that no client can write, and the answer loses it again.

use std::convert::Infallible;
use std::mem::discriminant;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType,
    Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned, Value, Variables};

/// Not a name by the grammar, so that no client has a field of it.
const MARK: &str = "emptied!";
/// A subscription has one field, and no other: not even one for its name.
const SUBSCRIPTION: &str = "Subscription";

/// Marks the selections that are left without fields, given all variables; whether there are any.
pub(super) fn mark(document: &mut ExecutableDocument, variables: &Variables) -> bool {
    let mut marks = Marks {
        variables,
        any: false,
    };
    match &mut document.operations {
        DocumentOperations::Single(operation) => marks.operation(&mut operation.node),
        DocumentOperations::Multiple(all) => {
            for operation in all.values_mut() {
                marks.operation(&mut operation.node);
            }
        }
    }
    for fragment in document.fragments.values_mut() {
        let is_top = fragment.node.type_condition.node.on.node == SUBSCRIPTION;
        let set = &mut fragment.node.selection_set.node;
        if is_top {
            marks.below(set);
        } else {
            marks.set(set);
        }
    }
    marks.any
}

/// Takes the marks out of an answer.
pub(super) fn unmark(data: &mut Value) {
    match data {
        Value::Object(members) => {
            members.shift_remove(MARK);
            members.values_mut().for_each(unmark);
        }
        Value::List(items) => items.iter_mut().for_each(unmark),
        _ => {}
    }
}

struct Marks<'a> {
    variables: &'a Variables,
    any: bool,
}

impl Marks<'_> {
    fn operation(&mut self, operation: &mut OperationDefinition) {
        let set = &mut operation.selection_set.node;
        if operation.ty == OperationType::Subscription {
            self.below(set);
        } else {
            self.set(set);
        }
    }

    /// The nesting of selections is bounded: the document was weighed.
    fn set(&mut self, set: &mut SelectionSet) {
        let is_left_out = |item: &Positioned<Selection>| is_left_out(&item.node, self.variables);
        if let Some(first) = set.items.first()
            && set.items.iter().all(is_left_out)
        {
            let at = first.pos;
            set.items.push(type_name(at));
            self.any = true;
        }
        for item in &mut set.items {
            match &mut item.node {
                Selection::Field(field) => self.set(&mut field.node.selection_set.node),
                Selection::InlineFragment(inline) => {
                    self.set(&mut inline.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    /// What is below the top of a subscription.
    fn below(&mut self, top: &mut SelectionSet) {
        for item in &mut top.items {
            match &mut item.node {
                Selection::Field(field) => self.set(&mut field.node.selection_set.node),
                Selection::InlineFragment(inline) => {
                    self.below(&mut inline.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}

/// Whether a directive leaves this selection out.
pub(super) fn is_left_out(selection: &Selection, variables: &Variables) -> bool {
    let directives = selection.directives().iter();
    let mut directives = directives.map(|directive| &directive.node);
    directives.any(|directive| match directive.name.node.as_str() {
        "skip" => condition(directive, variables) == Some(true),
        "include" => condition(directive, variables) == Some(false),
        _ => false,
    })
}

/// `if`; what is no condition is false, and refused by the validation. It is looked at wherever its fragment is spread, so nothing
/// that can be long is copied.
fn condition(directive: &Directive, variables: &Variables) -> Option<bool> {
    let condition = &directive.get_argument("if")?.node;
    let long = [
        Value::String(String::new()),
        Value::List(Vec::new()),
        Value::Object(IndexMap::new()),
    ];
    let is_same = |kind: Value| discriminant(&kind.into_value()) == discriminant(condition);
    if long.into_iter().any(is_same) {
        return Some(false);
    }
    let known = |name: Name| {
        let is_true = variables.get(&name) == Some(&Value::Boolean(true));
        Ok::<_, Infallible>(Value::Boolean(is_true))
    };
    Some(condition.clone().into_const_with(known) == Ok(Value::Boolean(true)))
}

/// The name of the type, as [`MARK`].
fn type_name(at: Pos) -> Positioned<Selection> {
    let named = |name: &str| Positioned::new(Name::new(name), at);
    let field = Field {
        alias: Some(named(MARK)),
        name: named("__typename"),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::new(SelectionSet::default(), at),
    };
    Positioned::new(Selection::Field(Positioned::new(field, at)), at)
}
