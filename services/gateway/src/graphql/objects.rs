//! Arguments that take input objects.
//!
//! The library's validation takes anything for an input object, a text or a list as well. It finds out only while it executes, when
//! the changes before that one are made, and leaves the field out of the answer. So what is none is refused here.

use std::convert::Infallible;

use async_graphql::parser::types::Field;
use async_graphql::{Value, Variables};

use super::refusal::Refusal;

/// How many objects an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Takes {
    One,
    /// A list of them, or one in place of a list, as the specification allows.
    Several,
}

/// The arguments, each with its field. Objects have no objects in them.
const ARGUMENTS: [(&str, &str, Takes); 2] = [
    ("placeOrder", "items", Takes::Several),
    ("placeOrder", "shippingAddress", Takes::One),
];

/// Refuses a field that is given something else where it takes input objects, given all variables.
///
/// # Errors
/// Names the argument.
pub(super) fn check(field: &Field, variables: &Variables) -> Result<(), Refusal> {
    let of_field = ARGUMENTS.iter().filter(|(of, ..)| field.name.node == *of);
    for (_, argument, takes) in of_field {
        let Some(given) = field.get_argument(argument) else {
            continue;
        };
        let known = given.node.clone().into_const_with(|name| {
            let value = variables.get(&name).cloned();
            Ok::<_, Infallible>(value.unwrap_or_default())
        });
        if !known.is_ok_and(|value| takes.all_of(&value)) {
            let detail = match takes {
                Takes::One => format!("{argument} must be an object"),
                Takes::Several => format!("{argument} must be a list of objects"),
            };
            return Err(Refusal::new(detail).at(given.pos));
        }
    }
    Ok(())
}

impl Takes {
    fn all_of(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Several, Value::List(items)) => items.iter().all(is_object),
            _ => is_object(value),
        }
    }
}

/// Whether null is allowed there the library knows.
fn is_object(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Null)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use async_graphql::parser::parse_schema;
    use async_graphql::parser::types::{
        BaseType, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
    };

    use super::*;
    use crate::graphql::sdl;

    /// The named type, and whether it stands in a list.
    fn of(ty: &Type) -> (&str, Takes) {
        match &ty.base {
            BaseType::Named(name) => (name.as_str(), Takes::One),
            BaseType::List(item) => (of(item).0, Takes::Several),
        }
    }

    #[test]
    fn all_input_objects_of_the_schema_are_looked_at() {
        let schema = parse_schema(sdl()).unwrap();
        let mut inputs = BTreeSet::new();
        let (mut arguments, mut members) = (Vec::new(), Vec::new());
        let input = |definition: &InputValueDefinition| {
            let (ty, takes) = of(&definition.ty.node);
            (definition.name.node.to_string(), ty.to_owned(), takes)
        };
        for definition in schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            match definition.node.kind {
                TypeKind::Object(object) => {
                    for field in object.fields {
                        let name = field.node.name.node.to_string();
                        let all = field.node.arguments.iter();
                        arguments.extend(all.map(|given| (name.clone(), input(&given.node))));
                    }
                }
                TypeKind::InputObject(object) => {
                    inputs.insert(definition.node.name.node.to_string());
                    members.extend(object.fields.iter().map(|member| input(&member.node)));
                }
                _ => {}
            }
        }
        let found: BTreeSet<_> = arguments
            .iter()
            .filter(|(_, (_, ty, _))| inputs.contains(ty))
            .map(|(field, (argument, _, takes))| (field.as_str(), argument.as_str(), *takes))
            .collect();
        assert_eq!(found, BTreeSet::from(ARGUMENTS));
        for (member, ty, _) in members {
            assert!(!inputs.contains(&ty), "{member} is not looked at");
        }
    }
}
