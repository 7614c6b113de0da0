//! A collector of spans, as OpenTelemetry's own types read what is exported.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

type Spans = Arc<Mutex<Vec<Span>>>;

/// Takes spans over OTLP, on a port of its own, until it is dropped.
pub struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be.
    pub endpoint: String,
    spans: Spans,
    _runtime: Runtime,
}

impl Collector {
    /// Listens.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let spans = Spans::default();
        let service = TraceServiceServer::new(Kept(Arc::clone(&spans)));
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener));
        runtime.spawn(serving);
        Self {
            endpoint: format!("http://{address}"),
            spans,
            _runtime: runtime,
        }
    }

    /// The spans of a trace that have come so far.
    #[must_use]
    pub fn of_trace(&self, trace_id: &str) -> Vec<Span> {
        let is_of = |span: &&Span| hex(&span.trace_id) == trace_id;
        self.spans.lock().iter().filter(is_of).cloned().collect()
    }

    /// Everything that has come so far, as text to look for something in.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:?}", self.spans.lock())
    }
}

/// An attribute of a span that is text or a whole number, as text.
#[must_use]
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    match found?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether an attribute of a span is a whole number.
#[must_use]
pub fn is_number(span: &Span, key: &str) -> bool {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.as_ref());
    let value = value.and_then(|value| value.value.as_ref());
    matches!(value, Some(Value::IntValue(_)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps what it is given.
struct Kept(Spans);

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        self.0.lock().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
