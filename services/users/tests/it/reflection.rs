//! A client that knows nothing but the address: it asks the service what there is, and calls it.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::app::{ADMIN, App, PASSWORD};

const SERVICE: &str = "agora.users.v1.UserService";

/// Messages by their descriptors: JSON in, JSON out.
struct Dynamic(MethodDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = Self;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.output(), from)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

/// What the service says of itself.
struct Client {
    channel: Channel,
    pool: DescriptorPool,
}

impl Client {
    async fn connect(channel: Channel) -> Self {
        let mut pool = DescriptorPool::new();
        let ask = |request| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let mut reflection = ServerReflectionClient::new(channel.clone());
        let requests = tokio_stream::iter([
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol(SERVICE.to_owned())),
            ask(MessageRequest::FileByFilename(
                "google/protobuf/timestamp.proto".to_owned(),
            )),
        ]);
        let mut answers = reflection
            .server_reflection_info(requests)
            .await
            .unwrap()
            .into_inner();
        let mut files = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.unwrap().message_response.unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    let names: Vec<_> = list
                        .service
                        .into_iter()
                        .map(|service| service.name)
                        .collect();
                    assert!(names.iter().any(|name| name == SERVICE), "{names:?}");
                    assert!(
                        names.iter().any(|name| name == "grpc.health.v1.Health"),
                        "{names:?}"
                    );
                }
                MessageResponse::FileDescriptorResponse(response) => {
                    for file in response.file_descriptor_proto {
                        files.push(prost_types::FileDescriptorProto::decode(&file[..]).unwrap());
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        pool.add_file_descriptor_protos(files).unwrap();
        Self { channel, pool }
    }

    /// Calls a method with JSON; every message of the answer as JSON.
    async fn call(&self, method: &str, input: Value, token: &str) -> Result<Vec<Value>, Status> {
        let service = self.pool.get_service_by_name(SERVICE).unwrap();
        let method = service
            .methods()
            .find(|known| known.name() == method)
            .unwrap();
        let message = DynamicMessage::deserialize(method.input(), input).unwrap();
        let mut request = Request::new(message);
        if !token.is_empty() {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let path = format!("/{SERVICE}/{}", method.name()).parse().unwrap();
        // One answer is a stream of one.
        let answers = grpc
            .server_streaming(request, path, Dynamic(method))
            .await?
            .into_inner();
        let answers: Vec<_> = answers.collect().await;
        answers
            .into_iter()
            .map(|answer| Ok(to_json(&answer?)))
            .collect()
    }
}

fn to_json(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .unwrap()
}

#[tokio::test]
async fn a_client_that_knows_only_reflection() {
    let app = App::start().await;
    let client = Client::connect(app.channel.clone()).await;

    let sign_up = json!({ "email": "ada@example.com", "name": "Ada", "password": PASSWORD });
    let ada = client
        .call("CreateUser", sign_up.clone(), "")
        .await
        .unwrap()
        .remove(0);
    assert_eq!(ada["email"], "ada@example.com");
    assert!(ada["created_at"].as_str().unwrap().ends_with('Z'), "{ada}");

    let sign_in = json!({ "email": "ada@example.com", "password": PASSWORD });
    let session = client
        .call("Authenticate", sign_in, "")
        .await
        .unwrap()
        .remove(0);
    let token = session["access_token"].as_str().unwrap();

    let get = json!({ "user_id": ada["id"] });
    assert_eq!(
        client.call("GetUser", get.clone(), token).await.unwrap(),
        std::slice::from_ref(&ada)
    );

    let status = async |method: &str, input: Value, token: &str| {
        client.call(method, input, token).await.unwrap_err().code()
    };
    assert_eq!(status("CreateUser", sign_up, "").await, Code::AlreadyExists);
    assert_eq!(
        status("CreateUser", json!({}), "").await,
        Code::InvalidArgument
    );
    assert_eq!(
        status("GetUser", get.clone(), "").await,
        Code::Unauthenticated
    );
    let nobody = json!({ "user_id": "01900000-0000-7000-8000-000000000000" });
    assert_eq!(status("GetUser", nobody, token).await, Code::NotFound);
    assert_eq!(
        status("ListUsers", json!({}), token).await,
        Code::PermissionDenied
    );
    assert_eq!(status("GetUserOrders", get, token).await, Code::Unavailable);

    let admin = app.token(ADMIN).await;
    let everybody = client.call("ListUsers", json!({}), &admin).await.unwrap();
    assert_eq!(everybody.len(), 2);
    assert_eq!(everybody[1], ada);
    let keys = client
        .call("GetKeys", json!({}), "")
        .await
        .unwrap()
        .remove(0);
    assert_eq!(keys["keys"][0]["kty"], "OKP");
}

#[tokio::test]
async fn the_health_service_answers() {
    let app = App::start().await;
    for service in ["", SERVICE] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = HealthClient::new(app.channel.clone())
            .check(request)
            .await
            .unwrap();
        assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    }
}
