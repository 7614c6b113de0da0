//! What gRPC clients were built against stays: each line of `docs/interfaces/grpc.txt` is a promise.
//!
//! The committed file lists every message, field, enum value and method of `proto/`, by what a client relies on. A line that is
//! gone or says something else is a break, and named; one more is an addition, which is written down by
//! `UPDATE_DOCS=1 cargo test -p contracts --test it breaking`. A break needs a package of its own (`agora.users.v2`) beside
//! the old one. The rules are those of buf's category FILE without what only concerns options of other languages.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto,
};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/interfaces/grpc.txt"
);
const UPDATE: &str = "UPDATE_DOCS";

/// What is promised, by whom it is about: `field agora.users.v1.User 1` is `string id`.
type Promises = BTreeMap<String, String>;

fn compiled() -> FileDescriptorSet {
    let sets = [
        contracts::users::v1::FILE_DESCRIPTOR_SET,
        contracts::products::v1::FILE_DESCRIPTOR_SET,
    ];
    let sets = sets.map(|encoded| FileDescriptorSet::decode(encoded).unwrap());
    FileDescriptorSet {
        file: sets.into_iter().flat_map(|set| set.file).collect(),
    }
}

fn promises(set: &FileDescriptorSet) -> Promises {
    let mut promises = Promises::new();
    // What they import is not ours to break.
    let ours = set
        .file
        .iter()
        .filter(|file| file.package().starts_with("agora."));
    for file in ours {
        let package = file.package();
        for message in &file.message_type {
            of_message(&mut promises, package, message);
        }
        for of in &file.enum_type {
            of_enum(&mut promises, package, of);
        }
        for service in &file.service {
            for method in &service.method {
                let name = format!("method {package}.{}/{}", service.name(), method.name());
                promises.insert(name, signature(method));
            }
        }
    }
    promises
}

fn of_message(promises: &mut Promises, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    promises.insert(format!("message {name}"), String::new());
    for field in &message.field {
        let key = format!("field {name} {}", field.number());
        promises.insert(key, shape(message, field));
    }
    for nested in &message.nested_type {
        of_message(promises, &name, nested);
    }
    for of in &message.enum_type {
        of_enum(promises, &name, of);
    }
}

fn of_enum(promises: &mut Promises, scope: &str, of: &EnumDescriptorProto) {
    for value in &of.value {
        let key = format!("value {scope}.{} {}", of.name(), value.number());
        promises.insert(key, value.name().to_owned());
    }
}

/// `repeated agora.users.v1.Order orders`.
fn shape(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let of = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => {
            field.type_name().trim_start_matches('.').to_owned()
        }
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    let oneof = field.oneof_index.filter(|_| !field.proto3_optional());
    let oneof = oneof.map(|index| message.oneof_decl[usize::try_from(index).unwrap()].name());
    let oneof = oneof.map(|name| format!(" in {name}")).unwrap_or_default();
    format!("{label}{of} {}{oneof}", field.name())
}

/// `agora.users.v1.ListUsersRequest -> stream agora.users.v1.User`.
fn signature(method: &MethodDescriptorProto) -> String {
    let stream = |streams| if streams { "stream " } else { "" };
    format!(
        "{}{} -> {}{}",
        stream(method.client_streaming()),
        method.input_type().trim_start_matches('.'),
        stream(method.server_streaming()),
        method.output_type().trim_start_matches('.')
    )
}

fn written(promises: &Promises) -> String {
    let lines = promises.iter().map(|(what, is)| match is.as_str() {
        "" => format!("{what}\n"),
        is => format!("{what}: {is}\n"),
    });
    lines.collect()
}

fn read(text: &str) -> Promises {
    let lines = text
        .lines()
        .map(|line| line.split_once(": ").unwrap_or((line, "")));
    lines
        .map(|(what, is)| (what.to_owned(), is.to_owned()))
        .collect()
}

/// What the file promises. One that is missing or empty would let anything pass, and be written anew without a word.
fn published(file: &str) -> Result<Promises, String> {
    let text = std::fs::read_to_string(file).map_err(|failed| format!("{file}: {failed}"))?;
    let promises = read(&text);
    if promises.is_empty() {
        return Err(format!("{file} promises nothing"));
    }
    Ok(promises)
}

/// Each promise that is not kept.
fn broken(promised: &Promises, now: &Promises) -> Vec<String> {
    let broken = promised
        .iter()
        .filter_map(|(what, was)| match now.get(what) {
            None if was.is_empty() => Some(format!("{what} is gone")),
            None => Some(format!("{what} is gone: it was {was}")),
            Some(is) if is == was => None,
            Some(is) => Some(format!("{what} was {was} and is {is}")),
        });
    broken.collect()
}

#[test]
fn nothing_that_is_published_breaks() {
    let now = promises(&compiled());
    assert!(now.len() > 40, "promises are where they are looked for");
    let promised = published(FILE).unwrap();
    let broken = broken(&promised, &now);
    assert!(
        broken.is_empty(),
        "a published version of gRPC breaks, which needs a package of the next version beside it:\n{}",
        broken.join("\n")
    );
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(FILE, written(&now)).unwrap();
    }
    let promised = std::fs::read_to_string(FILE).unwrap();
    assert_eq!(
        promised,
        written(&now),
        "additions are to be written down: {UPDATE}=1"
    );
}

/// What the breaking change says, made to the descriptors as they are.
fn breaks(change: impl FnOnce(&mut FileDescriptorSet)) -> Vec<String> {
    let mut changed = compiled();
    change(&mut changed);
    broken(&promises(&compiled()), &promises(&changed))
}

fn message<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut DescriptorProto {
    let mut messages = set.file.iter_mut().flat_map(|file| &mut file.message_type);
    messages.find(|message| message.name() == name).unwrap()
}

fn method<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut MethodDescriptorProto {
    let services = set.file.iter_mut().flat_map(|file| &mut file.service);
    let mut methods = services.flat_map(|service| &mut service.method);
    methods.find(|method| method.name() == name).unwrap()
}

#[test]
fn each_way_to_break_is_named() {
    const ID: &str = "field agora.users.v1.User 1";
    const LIST: &str = "method agora.users.v1.UserService/ListUsers";
    const STREAMS: &str = "agora.users.v1.ListUsersRequest -> stream agora.users.v1.User";
    assert_eq!(
        breaks(|set| drop(message(set, "User").field.remove(0))),
        [format!("{ID} is gone: it was string id")]
    );
    assert_eq!(
        breaks(|set| message(set, "User").field[0].number = Some(9)),
        [format!("{ID} is gone: it was string id")]
    );
    assert_eq!(
        breaks(|set| message(set, "User").field[0].name = Some("user_id".to_owned())),
        [format!("{ID} was string id and is string user_id")]
    );
    assert_eq!(
        breaks(|set| message(set, "User").field[0].set_type(Type::Bytes)),
        [format!("{ID} was string id and is bytes id")]
    );
    assert_eq!(
        breaks(|set| message(set, "User").field[0].set_label(Label::Repeated)),
        [format!("{ID} was string id and is repeated string id")]
    );
    assert_eq!(
        breaks(|set| message(set, "User").field[0].proto3_optional = Some(true)),
        [format!("{ID} was string id and is optional string id")]
    );
    assert_eq!(
        breaks(|set| {
            let products = set
                .file
                .iter_mut()
                .find(|file| file.package() == "agora.products.v1");
            products
                .unwrap()
                .message_type
                .retain(|message| message.name() != "Price");
        }),
        [
            "field agora.products.v1.Price 1 is gone: it was string product_id",
            "field agora.products.v1.Price 2 is gone: it was int64 unit_price",
            "field agora.products.v1.Price 3 is gone: it was string currency",
            "message agora.products.v1.Price is gone",
        ]
    );
    let unary = STREAMS.replace("stream ", "");
    assert_eq!(
        breaks(|set| method(set, "ListUsers").server_streaming = Some(false)),
        [format!("{LIST} was {STREAMS} and is {unary}")]
    );
    assert_eq!(
        breaks(|set| method(set, "ListUsers").client_streaming = Some(true)),
        [format!("{LIST} was {STREAMS} and is stream {STREAMS}")]
    );
    assert_eq!(
        breaks(|set| method(set, "ListUsers").name = Some("AllUsers".to_owned())),
        [format!("{LIST} is gone: it was {STREAMS}")]
    );
    assert_eq!(
        breaks(|set| {
            let users = set
                .file
                .iter_mut()
                .find(|file| file.package() == "agora.users.v1");
            users.unwrap().package = Some("agora.users.v2".to_owned());
        })
        .len(),
        promises(&compiled())
            .keys()
            .filter(|what| what.contains(" agora.users.v1."))
            .count()
    );
}

#[test]
fn a_file_that_is_missing_or_empty_is_an_error() {
    published(&format!("{FILE}.missing")).unwrap_err();
    published(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/nothing.txt"
    ))
    .unwrap_err();
    assert!(!published(FILE).unwrap().is_empty());
}

#[test]
fn additions_break_nothing_and_are_seen() {
    let mut grown = compiled();
    let mut field = message(&mut grown, "User").field[0].clone();
    (field.number, field.name) = (Some(100), Some("nickname".to_owned()));
    message(&mut grown, "User").field.push(field);
    let (now, grown) = (promises(&compiled()), promises(&grown));
    assert_eq!(broken(&now, &grown), [""; 0]);
    assert!(written(&grown).contains("field agora.users.v1.User 100: string nickname\n"));
    assert_ne!(written(&now), written(&grown));
    assert_eq!(read(&written(&grown)), grown);
}
