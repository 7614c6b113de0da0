//! The identity of a service.

/// A service's identity in labels, log lines and error documents.
///
/// Set `problem_types` if the problems are documented elsewhere than under `/problems/` of the requested host:
///
/// ```
/// use chassis::ServiceInfo;
///
/// let service = ServiceInfo { problem_types: "https://example.com/problems/", ..ServiceInfo::from("hello") };
/// assert_eq!(service.name, "hello");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    /// The name in logs, metrics and spans.
    pub name: &'static str,
    /// The prefix of the `type` of each of its problem documents ([`crate::problem`]); ends with `/`.
    pub problem_types: &'static str,
    /// Whether the proxy of a service mesh stands beside it, and what connects from the loopback is that proxy, whose word for who calls
    /// is believed ([`crate::config::Service::sidecar`]).
    pub has_sidecar: bool,
}

impl From<&'static str> for ServiceInfo {
    fn from(name: &'static str) -> Self {
        Self {
            name,
            problem_types: crate::problem::RELATIVE_TYPES,
            has_sidecar: false,
        }
    }
}
