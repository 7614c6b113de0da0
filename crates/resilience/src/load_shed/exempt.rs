//! Who is never refused.

/// Says which requests are never refused and take no place: health checks, since a busy server that fails them is
/// taken out and leaves its load to the others, and the admin's, who wants to see why it is busy.
///
/// Any `Fn(&Request) -> bool` is one.
pub trait Exempt<R> {
    /// Whether `request` is let through.
    fn is_exempt(&self, request: &R) -> bool;
}

/// All requests may be refused.
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
