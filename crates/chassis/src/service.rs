//! Which service this is.

/// A service, as others see it: in labels, log lines and error documents.
///
/// A service whose problems are documented elsewhere than under `/problems/` of the host that was asked says where:
///
/// ```
/// use chassis::ServiceInfo;
///
/// let service = ServiceInfo { problem_types: "https://example.com/problems/", ..ServiceInfo::from("hello") };
/// assert_eq!(service.name, "hello");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Its name in logs, metrics and spans.
    pub name: &'static str,
    /// What the `type` of each of its problem documents starts with ([`crate::problem`]); ends with `/`.
    pub problem_types: &'static str,
}

impl From<&'static str> for ServiceInfo {
    fn from(name: &'static str) -> Self {
        Self {
            name,
            problem_types: crate::problem::RELATIVE_TYPES,
        }
    }
}
