//! One endpoint of a peer and the connections to it: the level below the balancer.

mod grpc;
mod http1;

pub(crate) use grpc::{GrpcEndpoint, GrpcEndpoints};
pub use http1::MAX_RESPONSE_BYTES;
pub(crate) use http1::{Answer, Http1Endpoint, Http1Endpoints, ReadWhole};
