//! `agora.products.v1.CatalogService`, with a client generated from the proto.

use client::Peer;
use client::{GrpcChannel, authorized};
use contracts::products::v1::catalog_service_client::CatalogServiceClient;
use contracts::products::v1::{GetProductsRequest, QuoteRequest};
use contracts::testing::{claims, customer, forge};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::app::TestApp;
use crate::broker::PATIENCE;
use crate::goods::{KETTLE, PAN, RADIO};

pub(crate) fn catalog(app: &TestApp) -> CatalogServiceClient<GrpcChannel> {
    let patient = format!("deadline={0}s,attempt={0}s", PATIENCE.as_secs());
    let peer = Peer::new("products", app.grpc, patient.parse().unwrap());
    CatalogServiceClient::new(GrpcChannel::new(peer, |_| true))
}

fn quote(ids: &[String]) -> tonic::Request<QuoteRequest> {
    authorized(
        QuoteRequest {
            product_ids: ids.to_vec(),
        },
        &customer().token,
    )
}

/// Names and descriptions of the field violations.
fn violations(status: &tonic::Status) -> Vec<(String, String)> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("field violations");
    details
        .field_violations
        .into_iter()
        .map(|v| (v.field, v.description))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_names_prices_and_what_is_unknown() {
    let app = TestApp::start().await;
    let unknown = Uuid::now_v7().to_string();
    let ids = [
        PAN.to_string(),
        unknown.clone(),
        KETTLE.to_string(),
        PAN.to_string(),
    ];
    let answer = catalog(&app).quote(quote(&ids)).await.unwrap().into_inner();
    let prices: Vec<_> = answer
        .prices
        .iter()
        .map(|p| (p.product_id.as_str(), p.unit_price, p.currency.as_str()))
        .collect();
    // In the order asked for; what is asked for twice is answered once.
    assert_eq!(
        prices,
        [
            (PAN.to_string().as_str(), 6250, "EUR"),
            (KETTLE.to_string().as_str(), 8900, "EUR")
        ]
    );
    assert_eq!(answer.unknown_product_ids, [unknown]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_for_callers_with_a_token() {
    let app = TestApp::start().await;
    let request = QuoteRequest {
        product_ids: vec![KETTLE.to_string()],
    };
    let nobody = catalog(&app).quote(request.clone()).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    let forged = authorized(request.clone(), &forge(&claims(Uuid::now_v7(), "customer")));
    assert_eq!(
        catalog(&app).quote(forged).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert!(
        catalog(&app)
            .quote(quote(&request.product_ids))
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_ids_are_named() {
    let app = TestApp::start().await;
    let ask = |ids: Vec<String>| {
        let app = &app;
        async move { violations(&catalog(app).quote(quote(&ids)).await.unwrap_err()) }
    };
    assert_eq!(ask(vec![]).await[0].0, "product_ids");
    let many: Vec<_> = (0..101).map(|_| Uuid::now_v7().to_string()).collect();
    assert_eq!(ask(many.clone()).await[0].0, "product_ids");
    let bad = ask(vec![
        KETTLE.to_string(),
        "x".to_owned(),
        PAN.to_string(),
        String::new(),
    ])
    .await;
    let fields: Vec<_> = bad.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(
        fields,
        ["product_ids[1]", "product_ids[3]"],
        "all of them, not the first"
    );
    // At the limit it works.
    assert!(catalog(&app).quote(quote(&many[..100])).await.is_ok());

    let nothing = catalog(&app)
        .get_products(GetProductsRequest { ids: vec![] })
        .await
        .unwrap_err();
    assert_eq!(violations(&nothing)[0].0, "ids");
}

#[tokio::test(flavor = "multi_thread")]
async fn products_by_id_are_open_to_anyone() {
    let app = TestApp::start().await;
    let ids = vec![
        RADIO.to_string(),
        Uuid::now_v7().to_string(),
        KETTLE.to_string(),
    ];
    let answer = catalog(&app)
        .get_products(GetProductsRequest { ids })
        .await
        .unwrap()
        .into_inner();
    let found: Vec<_> = answer
        .products
        .iter()
        .map(|p| (p.name.as_str(), p.available))
        .collect();
    assert_eq!(found, [("Restored Valve Radio", 3), ("Copper Kettle", 240)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_answer() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    const SERVICE: &str = "agora.products.v1.CatalogService";
    let app = TestApp::start().await;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", app.grpc)).unwrap();
    let channel = endpoint.connect().await.unwrap();

    for service in ["", SERVICE] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        // It tells what is the case, and each change: the service was ready a moment ago.
        let mut told = HealthClient::new(channel.clone())
            .watch(request)
            .await
            .unwrap()
            .into_inner();
        let serving = async {
            while told.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
        };
        tokio::time::timeout(PATIENCE, serving).await.unwrap();
    }
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::iter([ask]))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services");
    };
    assert!(list.service.iter().any(|s| s.name == SERVICE), "{list:?}");
}
