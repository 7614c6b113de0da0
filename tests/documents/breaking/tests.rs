use serde_json::json;

use super::*;

fn published() -> Value {
    json!({
        "paths": {"/v1/orders": {"post": {
            "operationId": "placeOrder",
            "tags": ["orders"],
            "parameters": [{"name": "q", "in": "query", "required": false,
                "schema": {"type": "string", "maxLength": 10}}],
            "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewOrder"}}}},
            "responses": {
                "201": {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
                "409": {"description": ""},
            },
        }}, "/v1/mine": {"get": {
            "security": [{"bearer": []}],
            "responses": {},
        }}},
        "components": {"schemas": {
            "NewOrder": {"type": "object", "required": ["items"], "additionalProperties": true, "properties": {
                "items": {"type": "array", "items": {"type": "integer", "minimum": 1}},
                "note": {"type": ["string", "null"]},
            }},
            "Order": {"type": "object", "required": ["id", "status"], "additionalProperties": {"type": "integer"}, "properties": {
                "id": {"type": "string", "format": "uuid"},
                "status": {"type": "string", "enum": ["pending", "confirmed"]},
            }},
        }},
    })
}

const ORDER: &str = "/components/schemas/Order";
const NEW_ORDER: &str = "/components/schemas/NewOrder";
const POST: &str = "/paths/~1v1~1orders/post";

/// What is said of a change at one place.
fn changed(pointer: &str, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut new = published();
    change(new.pointer_mut(pointer).expect(pointer));
    of_openapi(&published(), &new)
}

fn remove(name: &str) -> impl FnOnce(&mut Value) {
    |value| drop(value.as_object_mut().unwrap().remove(name).expect(name))
}

fn set(to: Value) -> impl FnOnce(&mut Value) {
    |value| *value = to
}

#[test]
fn every_breaking_change_is_named() {
    let at = |place: &str, rest: &str| format!("{place}{rest}");
    for (said, part) in [
        (
            changed("/paths", remove("/v1/orders")),
            "POST /v1/orders is gone",
        ),
        (
            changed("/paths/~1v1~1orders", remove("post")),
            "POST /v1/orders is gone",
        ),
        (
            changed(&at(POST, "/responses"), remove("409")),
            "409 is gone",
        ),
        (
            changed(
                &at(POST, "/responses/201/content"),
                remove("application/json"),
            ),
            "application/json is gone",
        ),
        (
            changed(&at(ORDER, "/properties"), remove("status")),
            "/status is gone",
        ),
        (
            changed(&at(ORDER, "/required"), set(json!(["id"]))),
            "/status can be missing now",
        ),
        (
            changed(
                &at(ORDER, "/properties/id/type"),
                set(json!(["string", "null"])),
            ),
            "/id: the type was",
        ),
        (
            changed(&at(ORDER, "/properties/id/format"), set(json!("uri"))),
            "/id: format was",
        ),
        (
            changed(
                &at(ORDER, "/properties/status/enum"),
                set(json!(["pending", "lost"])),
            ),
            "/status: the values",
        ),
        (
            changed(&at(NEW_ORDER, "/required"), set(json!(["items", "note"]))),
            "/note is required now",
        ),
        (
            changed(&at(NEW_ORDER, "/properties"), remove("note")),
            "/note is gone",
        ),
        (
            changed(
                &at(NEW_ORDER, "/properties/note/type"),
                set(json!("string")),
            ),
            "/note: the type was",
        ),
        (
            changed(
                &at(NEW_ORDER, "/properties/items/items/minimum"),
                set(json!(2)),
            ),
            "/items/*: minimum was",
        ),
        (
            changed(&at(POST, "/parameters/0/required"), set(json!(true))),
            "parameter q is required now",
        ),
        (
            changed(&at(POST, "/parameters"), set(json!([]))),
            "parameter \"q\" is gone",
        ),
        (
            changed(&at(POST, "/parameters/0/schema/maxLength"), set(json!(5))),
            "parameter q: maxLength was",
        ),
        (
            changed(&at(POST, "/operationId"), set(json!("createOrder"))),
            "operationId was \"placeOrder\" and is \"createOrder\"",
        ),
        (
            changed(POST, remove("operationId")),
            "operationId was \"placeOrder\" and is null",
        ),
        (
            changed(&at(POST, "/tags/0"), set(json!("shop"))),
            "tags was [\"orders\"] and is [\"shop\"]",
        ),
        (
            changed(POST, |post| post["security"] = json!([{"bearer": []}])),
            "needs a token now",
        ),
        (
            changed(NEW_ORDER, |body| {
                body["additionalProperties"] = json!(false)
            }),
            "body: members that are not known are refused now",
        ),
        (
            {
                let mut old = published();
                let required = at(POST, "/requestBody/required");
                set(json!(false))(old.pointer_mut(&required).expect("a body"));
                of_openapi(&old, &published())
            },
            "body is required now",
        ),
        (
            changed("/paths/~1v1~1mine/get/security/0", set(json!({"key": []}))),
            "GET /v1/mine: security was",
        ),
        (
            changed(
                &at(ORDER, "/additionalProperties/type"),
                set(json!("string")),
            ),
            "/{any}: the type was",
        ),
    ] {
        assert_eq!(said.len(), 1, "{part}: {said:?}");
        assert!(said[0].contains(part), "{part}: {said:?}");
    }
}

#[test]
fn a_message_stays_readable_both_ways() {
    let published = || {
        json!({
            "channels": {"events": {"messages": {"a.v1": {}}}},
            "operations": {"b.receive.events": {"action": "receive", "channel": {"$ref": "#/channels/events"}}},
            "components": {
                "messages": {"a.v1": {
                    "payload": {"$ref": "#/components/schemas/A"},
                    "headers": {"allOf": [
                        {"type": "object", "required": ["ce_id"], "properties": {"ce_id": {"type": "string"}}},
                        {"properties": {"ce_source": {"const": "/a"}}},
                    ]},
                    "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}}},
                }},
                "schemas": {"A": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}},
            },
        })
    };
    let changed = |pointer: &str, change: fn(&mut Value)| {
        let mut new = published();
        change(new.pointer_mut(pointer).expect(pointer));
        of_asyncapi(&published(), &new)
    };
    let of_a = |change| changed("/components/schemas/A", change);
    for (said, part) in [
        (
            changed("/channels", |all| *all = json!({})),
            "events is gone",
        ),
        (
            changed("/channels/events/messages", |all| *all = json!({})),
            "events: a.v1 is gone",
        ),
        (
            changed("/operations", |all| *all = json!({})),
            "the operation b.receive.events is gone",
        ),
        (
            changed("/operations/b.receive.events/channel/$ref", |to| {
                *to = json!("#/channels/others")
            }),
            "b.receive.events: channel was",
        ),
        (
            changed(
                "/components/messages/a.v1/headers/allOf/0/properties",
                |all| *all = json!({}),
            ),
            "a.v1, headers/allOf/0/ce_id is gone",
        ),
        (
            changed(
                "/components/messages/a.v1/headers/allOf/1/properties/ce_source/const",
                |source| *source = json!("/b"),
            ),
            "a.v1, headers/allOf/1/ce_source: const was \"/a\" and is \"/b\"",
        ),
        (
            changed(
                "/components/messages/a.v1/bindings/kafka/key/format",
                |of| *of = json!("ulid"),
            ),
            "a.v1, key: format was \"uuid\" and is \"ulid\"",
        ),
        (of_a(|a| a["properties"] = json!({})), "a.v1/id is gone"),
        (
            of_a(|a| a["required"] = json!([])),
            "a.v1/id can be missing now",
        ),
        (
            of_a(|a| a["required"] = json!(["id", "more"])),
            "a.v1/more is required now",
        ),
        (
            of_a(|a| a["additionalProperties"] = json!(false)),
            "a.v1: members that are not known are refused now",
        ),
    ] {
        assert_eq!(said.len(), 1, "{part}: {said:?}");
        assert!(said[0].contains(part), "{part}: {said:?}");
    }
    let more = of_a(|a| a["properties"]["more"] = json!({"type": "string"}));
    assert_eq!(
        more,
        Vec::<String>::new(),
        "a member that may be missing is no new version"
    );
}

#[test]
fn what_clients_need_not_know_breaks_nothing() {
    let more = |value: &mut Value| value["more"] = json!({"type": "string"});
    for said in [
        changed("/paths", |paths| {
            paths["/v1/more"] = json!({"get": {"responses": {}}})
        }),
        changed("/paths/~1v1~1orders/post/responses", |all| {
            all["429"] = json!({"description": ""})
        }),
        changed("/components/schemas/Order/properties", more),
        changed("/components/schemas/NewOrder/properties", more),
        changed("/components/schemas/NewOrder/required", set(json!([]))),
        changed(
            "/components/schemas/NewOrder/properties/items/items/minimum",
            set(json!(0)),
        ),
        changed(
            "/components/schemas/Order/properties/status/enum",
            set(json!(["pending"])),
        ),
    ] {
        assert_eq!(said, Vec::<String>::new());
    }
}
