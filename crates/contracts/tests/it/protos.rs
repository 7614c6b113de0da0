//! The descriptors that the services hand to reflection.

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// `package.Service/Method`, with `stream` before what is streamed.
fn methods(encoded: &[u8]) -> Vec<String> {
    let set = FileDescriptorSet::decode(encoded).unwrap();
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let stream = if method.server_streaming() {
                    "stream "
                } else {
                    ""
                };
                methods.push(format!(
                    "{}.{}/{} -> {stream}{}",
                    file.package(),
                    service.name(),
                    method.name(),
                    method.output_type()
                ));
            }
        }
    }
    methods
}

#[test]
fn descriptors_are_complete() {
    insta::assert_debug_snapshot!(methods(contracts::users::v1::FILE_DESCRIPTOR_SET), @r#"
[
    "agora.users.v1.UserService/GetUser -> .agora.users.v1.User",
    "agora.users.v1.UserService/GetUsers -> .agora.users.v1.GetUsersResponse",
    "agora.users.v1.UserService/CreateUser -> .agora.users.v1.User",
    "agora.users.v1.UserService/ListUsers -> stream .agora.users.v1.User",
    "agora.users.v1.UserService/GetUserOrders -> .agora.users.v1.GetUserOrdersResponse",
    "agora.users.v1.UserService/Authenticate -> .agora.users.v1.AuthenticateResponse",
    "agora.users.v1.UserService/GetKeys -> .agora.users.v1.GetKeysResponse",
]
"#);
    insta::assert_debug_snapshot!(methods(contracts::products::v1::FILE_DESCRIPTOR_SET), @r#"
[
    "agora.products.v1.CatalogService/Quote -> .agora.products.v1.QuoteResponse",
    "agora.products.v1.CatalogService/GetProducts -> .agora.products.v1.GetProductsResponse",
]
"#);

    // A client of reflection resolves imports from the same answer.
    let set = FileDescriptorSet::decode(contracts::users::v1::FILE_DESCRIPTOR_SET).unwrap();
    assert!(
        set.file
            .iter()
            .any(|file| file.name() == "google/protobuf/timestamp.proto")
    );
}
