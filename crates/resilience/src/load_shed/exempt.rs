//! Requests that are never refused.

/// Decides which requests are never refused and take no place: health checks, since a busy server that fails them would
/// be taken out of rotation and leave its load to the others, and an administrator's requests, which are needed to find
/// out why it is busy.
///
/// Implemented by any `Fn(&Request) -> bool`.
pub trait Exempt<R> {
    /// Whether `request` is exempt.
    fn is_exempt(&self, request: &R) -> bool;
}

/// No request is exempt.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoneExempt;

impl<R> Exempt<R> for NoneExempt {
    fn is_exempt(&self, _: &R) -> bool {
        false
    }
}

impl<R, F: Fn(&R) -> bool> Exempt<R> for F {
    fn is_exempt(&self, request: &R) -> bool {
        self(request)
    }
}
