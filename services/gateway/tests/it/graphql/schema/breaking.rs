//! What of a change of the schema breaks the clients of the one before it.
//!
//! Of what a client gets, nothing may be missing or less strict; of what it sends, nothing stricter, and nothing new
//! required. A default that changes means something else to all who left the argument out.

use std::collections::BTreeMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
};

/// What a client relies on.
enum Promise {
    /// There is such a type, of this kind.
    Kind(&'static str),
    /// There is such a value, or such a member.
    Name,
    /// A client gets this.
    Output(Type),
    /// A client sends this.
    Input {
        ty: Type,
        /// What is taken where it does not.
        default: Option<String>,
        /// What it is an input of.
        to: String,
    },
}

/// By whom they are about: `field Order.id`, `argument Query.order(id)`.
type Promises = BTreeMap<String, Promise>;

/// Each promise of the published schema that the schema as it is now does not keep.
pub(super) fn broken(published: &str, now: &str) -> Vec<String> {
    let (published, now) = (promises(published), promises(now));
    let kept = published.iter().filter_map(|(what, was)| {
        let Some(is) = now.get(what) else {
            return Some(format!("{what} is gone"));
        };
        is.difference_to(was)
            .map(|difference| format!("{what}{difference}"))
    });
    let required = now.iter().filter_map(|(what, is)| match is {
        Promise::Input { ty, default, to }
            if !ty.nullable
                && default.is_none()
                && published.contains_key(to)
                && !published.contains_key(what) =>
        {
            Some(format!("{what} is required now"))
        }
        _ => None,
    });
    kept.chain(required).collect()
}

impl Promise {
    fn input(input: &InputValueDefinition, to: &str) -> Self {
        Self::Input {
            ty: input.ty.node.clone(),
            default: input.default_value.as_ref().map(|it| it.node.to_string()),
            to: to.to_owned(),
        }
    }

    /// What breaks those who rely on what it was.
    fn difference_to(&self, was: &Self) -> Option<String> {
        match (was, self) {
            (Self::Kind(was), Self::Kind(is)) if was != is => {
                Some(format!(" was {was} and is {is}"))
            }
            (Self::Output(was), Self::Output(is)) if !is_a(is, was) => {
                Some(format!(" was {was} and is {is}"))
            }
            (Self::Input { ty: was, .. }, Self::Input { ty: is, .. }) if !is_a(was, is) => {
                Some(format!(" was {was} and is {is}"))
            }
            (
                Self::Input {
                    default: Some(was), ..
                },
                Self::Input { default: is, .. },
            ) if is.as_ref() != Some(was) => {
                let is = is.as_deref().unwrap_or("none");
                Some(format!(": the default was {was} and is {is}"))
            }
            _ => None,
        }
    }
}

/// Whether all values of the one type are values of the other: those of `String!` are of `String`.
fn is_a(one: &Type, other: &Type) -> bool {
    let base = match (&one.base, &other.base) {
        (BaseType::Named(one), BaseType::Named(other)) => one == other,
        (BaseType::List(one), BaseType::List(other)) => is_a(one, other),
        _ => false,
    };
    base && (other.nullable || !one.nullable)
}

fn promises(sdl: &str) -> Promises {
    let mut promises = Promises::new();
    for definition in parse_schema(sdl).expect("a schema").definitions {
        if let TypeSystemDefinition::Type(definition) = definition {
            let name = definition.node.name.node.as_str();
            of_type(&mut promises, name, &definition.node.kind);
        }
    }
    promises
}

fn of_type(promises: &mut Promises, name: &str, kind: &TypeKind) {
    let mut names = |what: &str, names: Vec<&str>| {
        let names = names.into_iter().map(|it| format!("{what} {name}.{it}"));
        promises.extend(names.map(|key| (key, Promise::Name)));
    };
    let kind = match kind {
        TypeKind::Scalar => "scalar",
        TypeKind::Object(object) => {
            let all = object.implements.iter().map(|it| it.node.as_str());
            names("interface", all.collect());
            of_fields(promises, name, object.fields.iter().map(|it| &it.node));
            "type"
        }
        TypeKind::Interface(interface) => {
            of_fields(promises, name, interface.fields.iter().map(|it| &it.node));
            "interface"
        }
        TypeKind::Union(union) => {
            let all = union.members.iter().map(|it| it.node.as_str());
            names("member", all.collect());
            "union"
        }
        TypeKind::Enum(of) => {
            let all = of.values.iter().map(|it| it.node.value.node.as_str());
            names("value", all.collect());
            "enum"
        }
        TypeKind::InputObject(input) => {
            for field in &input.fields {
                let key = format!("input {name}.{}", field.node.name.node);
                let promise = Promise::input(&field.node, &format!("type {name}"));
                promises.insert(key, promise);
            }
            "input"
        }
    };
    promises.insert(format!("type {name}"), Promise::Kind(kind));
}

fn of_fields<'a>(
    promises: &mut Promises,
    name: &str,
    fields: impl Iterator<Item = &'a FieldDefinition>,
) {
    for field in fields {
        let (of, ty) = (&field.name.node, &field.ty.node);
        let key = format!("field {name}.{of}");
        for argument in &field.arguments {
            let argument = &argument.node;
            let promise = Promise::input(argument, &key);
            promises.insert(
                format!("argument {name}.{of}({})", argument.name.node),
                promise,
            );
        }
        promises.insert(key, Promise::Output(ty.clone()));
    }
}

const SCHEMA: &str = "
    type Query { order(id: ID!, first: Int = 20): Order }
    type Order { id: ID! reason: String tags: [String!] }
    input Line { quantity: Int note: String }
    enum Status { NEW DONE }";

/// What breaks when this place of the schema is another.
#[track_caller]
fn breaks(from: &str, to: &str) -> Vec<String> {
    assert_eq!(SCHEMA.matches(from).count(), 1, "{from}");
    broken(SCHEMA, &SCHEMA.replace(from, to))
}

#[test]
fn each_way_to_break_is_named() {
    const FIRST: &str = "argument Query.order(first)";
    for (from, to, expected) in [
        (
            "reason: String",
            "",
            "field Order.reason is gone".to_owned(),
        ),
        (
            "reason: String",
            "why: String",
            "field Order.reason is gone".to_owned(),
        ),
        (
            "id: ID! reason",
            "id: ID reason",
            "field Order.id was ID! and is ID".to_owned(),
        ),
        (
            "reason: String",
            "reason: Int",
            "field Order.reason was String and is Int".to_owned(),
        ),
        (
            "[String!]",
            "[String]",
            "field Order.tags was [String!] and is [String]".to_owned(),
        ),
        (
            "[String!]",
            "String",
            "field Order.tags was [String!] and is String".to_owned(),
        ),
        (
            "): Order",
            "): Status",
            "field Query.order was Order and is Status".to_owned(),
        ),
        ("first: Int = 20", "", format!("{FIRST} is gone")),
        (
            "first: Int = 20",
            "first: ID = 20",
            format!("{FIRST} was Int and is ID"),
        ),
        (
            "first: Int = 20",
            "first: Int! = 20",
            format!("{FIRST} was Int and is Int!"),
        ),
        (
            "= 20",
            "= 30",
            format!("{FIRST}: the default was 20 and is 30"),
        ),
        (
            " = 20",
            "",
            format!("{FIRST}: the default was 20 and is none"),
        ),
        (
            "id: ID!,",
            "id: ID!, of: ID!,",
            "argument Query.order(of) is required now".to_owned(),
        ),
        (
            "quantity: Int",
            "",
            "input Line.quantity is gone".to_owned(),
        ),
        (
            "quantity: Int",
            "quantity: Int!",
            "input Line.quantity was Int and is Int!".to_owned(),
        ),
        (
            "note: String",
            "note: String pieces: Int!",
            "input Line.pieces is required now".to_owned(),
        ),
        (" DONE", "", "value Status.DONE is gone".to_owned()),
        (
            "type Order",
            "interface Order",
            "type Order was type and is interface".to_owned(),
        ),
    ] {
        assert_eq!(breaks(from, to), [expected], "{from} is {to:?}");
    }
    assert_eq!(
        breaks("enum Status { NEW DONE }", ""),
        [
            "type Status is gone",
            "value Status.DONE is gone",
            "value Status.NEW is gone"
        ]
    );
}

#[test]
fn additions_and_promises_that_are_better_kept_break_nothing() {
    for (from, to) in [
        ("reason: String", "reason: String name: String"),
        ("reason: String", "reason: String!"),
        ("tags: [String!]", "tags: [String!]!"),
        ("first: Int = 20", "first: Int = 20, of: ID"),
        ("first: Int = 20", "first: Int = 20, of: ID! = 1"),
        ("id: ID!,", "id: ID,"),
        ("note: String", "note: String pieces: Int! = 1"),
        (" DONE", " DONE GONE"),
        ("enum", "type New { field(of: ID!): ID } enum"),
    ] {
        assert_eq!(breaks(from, to), [""; 0], "{from} is {to:?}");
    }
}
