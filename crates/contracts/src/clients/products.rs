//! The products service, as people browse it (REST). Open: no token.

use client::{CallContext, CallError, HttpPool, Monitor, Peer, RestClient};
use uuid::Uuid;

use super::query::with_query;
use crate::rest::{Product, ProductPage, v2};

/// A client of the products service's `/v1`.
#[derive(Clone)]
pub struct Products {
    rest: RestClient,
}

impl Products {
    /// A client for `peer`; nothing is connected yet.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self::over(HttpPool::new(peer))
    }

    /// A client over a pool that others use, too.
    #[must_use]
    pub fn over(pool: HttpPool) -> Self {
        Self {
            rest: RestClient::over(pool),
        }
    }

    /// What can be seen and forced from outside.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.rest.monitor()
    }

    /// One page of what is for sale, of what matches `q` if given. Without a size: the service's default.
    ///
    /// # Errors
    /// See [`CallError`]; 400 for a bad page token.
    pub async fn list(
        &self,
        page_size: Option<u32>,
        page_token: Option<&str>,
        q: Option<&str>,
    ) -> Result<ProductPage, CallError> {
        let path = page("v1", page_size, page_token, q);
        self.rest.get(&path, &CallContext::default()).await
    }

    /// What is for sale, by ascending id, behind the product `after` if given; of what matches `q` if given.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn list_after(
        &self,
        page_size: u32,
        after: Option<Uuid>,
        q: Option<&str>,
    ) -> Result<ProductPage, CallError> {
        let (size, after) = (page_size.to_string(), after.map(|id| id.to_string()));
        let path = with_query(
            "/v1/products",
            &[
                ("page_size", Some(&size)),
                ("after", after.as_deref()),
                ("q", q),
            ],
        );
        self.rest.get(&path, &CallContext::default()).await
    }

    /// One product.
    ///
    /// # Errors
    /// See [`CallError`]; 404.
    pub async fn get(&self, product_id: Uuid) -> Result<Product, CallError> {
        let path = format!("/v1/products/{product_id}");
        self.rest.get(&path, &CallContext::default()).await
    }
}

impl Products {
    /// The same service's `/v2`.
    #[must_use]
    pub fn v2(&self) -> ProductsV2 {
        ProductsV2 {
            rest: self.rest.clone(),
        }
    }
}

/// A client of the products service's `/v2`.
#[derive(Clone)]
pub struct ProductsV2 {
    rest: RestClient,
}

impl ProductsV2 {
    /// One page of what is for sale, of what matches `q` if given. Without a size: the service's default.
    ///
    /// # Errors
    /// See [`CallError`]; 400 for a bad page token.
    pub async fn list(
        &self,
        page_size: Option<u32>,
        page_token: Option<&str>,
        q: Option<&str>,
    ) -> Result<v2::ProductPage, CallError> {
        let path = page("v2", page_size, page_token, q);
        self.rest.get(&path, &CallContext::default()).await
    }
}

/// The path of a page of products. The versions differ in what they answer, not in how they are asked.
fn page(
    version: &str,
    page_size: Option<u32>,
    page_token: Option<&str>,
    q: Option<&str>,
) -> String {
    let size = page_size.map(|size| size.to_string());
    with_query(
        &format!("/{version}/products"),
        &[
            ("page_size", size.as_deref()),
            ("page_token", page_token),
            ("q", q),
        ],
    )
}

impl std::fmt::Debug for ProductsV2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProductsV2")
            .field("peer", self.rest.peer())
            .finish()
    }
}

impl std::fmt::Debug for Products {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Products")
            .field("peer", self.rest.peer())
            .finish()
    }
}
