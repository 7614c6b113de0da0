//! The layer.

use tower::Layer;

use super::{LoadShed, LoadShedService, NoneExempt};

/// Refuses calls of the wrapped service when the server is overloaded. Services wrapped by the same layer, or by layers
/// with the same [`LoadShed`], share its places.
#[derive(Debug, Clone)]
pub struct LoadShedLayer<X = NoneExempt> {
    load_shed: LoadShed,
    exempt: X,
}

impl LoadShedLayer {
    /// A layer in which every call needs a place in `load_shed`.
    #[must_use]
    pub fn new(load_shed: LoadShed) -> Self {
        Self {
            load_shed,
            exempt: NoneExempt,
        }
    }
}

impl<X> LoadShedLayer<X> {
    /// Exempts the requests that `exempt` selects, an [`Exempt`](super::Exempt) such as `|request: &Request<_>| …`.
    #[must_use]
    pub fn exempt<Y>(self, exempt: Y) -> LoadShedLayer<Y> {
        LoadShedLayer {
            load_shed: self.load_shed,
            exempt,
        }
    }
}

impl<S, X: Clone> Layer<S> for LoadShedLayer<X> {
    type Service = LoadShedService<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        LoadShedService::new(inner, self.load_shed.clone(), self.exempt.clone())
    }
}
