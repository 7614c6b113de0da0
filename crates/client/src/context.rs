//! Data that a call carries on behalf of its caller.

/// Data that a call carries on behalf of its caller. The trace context is not part of it: it is taken from the current
/// span.
#[derive(Clone, Default)]
pub struct CallContext {
    /// The caller's token, without `Bearer`. Each service checks it again.
    pub bearer: Option<String>,
    /// Makes a `POST` safe to repeat.
    pub idempotency_key: Option<String>,
}

impl CallContext {
    /// On behalf of the caller with this token.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        Self {
            bearer: Some(token.into()),
            idempotency_key: None,
        }
    }

    /// With an `Idempotency-Key`.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }
}

/// Written by hand, so that a token never ends up in a log.
impl std::fmt::Debug for CallContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallContext")
            .field("bearer", &self.bearer.as_ref().map(|_| "***"))
            .field("idempotency_key", &self.idempotency_key)
            .finish()
    }
}
