//! Connections: lists as the Relay specification has them, forwards.

use async_graphql::{Result, SimpleObject};
use chassis::page::{List, MAX_SIZE, PageError, PageSize};
use chassis::problem::Problem;
use uuid::Uuid;

use super::refusal::error;

/// What the cursors of all lists hold: the id of the item that they stand for.
#[derive(Debug)]
pub(super) struct Cursors(List<Uuid>);

pub(super) const USERS: Cursors = Cursors(List::new("graphql.users.1"));
pub(super) const ORDERS: Cursors = Cursors(List::new("graphql.orders.1"));
pub(super) const PRODUCTS: Cursors = Cursors(List::new("graphql.products.1"));

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Page {
    /// Items, at least 1.
    pub(super) first: u32,
    /// The item before the first one.
    pub(super) after: Option<Uuid>,
}

impl Cursors {
    /// Reads the arguments of a connection. `first` has 64 bits, although an `Int` has 32: the library finds a number beyond
    /// them only while it executes, and then leaves the field out instead of making it null.
    ///
    /// # Errors
    /// `bad-request` for a size that no page has, and for a cursor of another list.
    pub(super) fn page(&self, first: Option<i64>, after: Option<&str>) -> Result<Page> {
        let size = first.map_or(Ok(PageSize::default()), |first| {
            let size = u32::try_from(first).ok().map(PageSize::new);
            size.unwrap_or(Err(PageError::Size)).map_err(|_| {
                let detail = format!("first must be a number from 1 to {MAX_SIZE}");
                error(&Problem::bad_request(detail))
            })
        })?;
        let after = self.0.position(after).map_err(|_| {
            let detail =
                "after is not a cursor of this list: leave it out to start at its beginning";
            error(&Problem::bad_request(detail))
        })?;
        let first = size.get();
        Ok(Page { first, after })
    }

    pub(super) fn cursor(&self, id: Uuid) -> Result<String> {
        let cursor = self.0.token(&id);
        cursor.map_err(|failed| error(&Problem::internal(&failed)))
    }

    /// The page's items with their cursors; `has_next`: whether there are more behind it.
    pub(super) fn connection<E, T>(
        &self,
        page: Page,
        has_next: bool,
        items: impl IntoIterator<Item = (Uuid, T)>,
        edge: impl Fn(String, T) -> E,
    ) -> Result<(Vec<E>, PageInfo)> {
        let (mut edges, mut cursors) = (Vec::new(), None);
        for (id, item) in items {
            let cursor = self.cursor(id)?;
            let (start, _) = cursors.take().unwrap_or((cursor.clone(), String::new()));
            cursors = Some((start, cursor.clone()));
            edges.push(edge(cursor, item));
        }
        let (start_cursor, end_cursor) = cursors.unzip();
        let info = PageInfo {
            has_next_page: has_next,
            // As the specification allows: nobody pages backwards.
            has_previous_page: page.after.is_some(),
            start_cursor,
            end_cursor,
        };
        Ok((edges, info))
    }
}

/// Where a page stands in its list.
#[derive(SimpleObject, Debug)]
pub(super) struct PageInfo {
    /// Whether there are items behind this page.
    has_next_page: bool,
    /// Whether the page begins behind an item.
    has_previous_page: bool,
    /// Of the first item of the page.
    start_cursor: Option<String>,
    /// Of the last item of the page; pass it as `after` for the next page.
    end_cursor: Option<String>,
}

/// Declares the connection of a type, and its edge.
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty, $cursors:expr) => {
        /// A page of a list.
        #[derive(async_graphql::SimpleObject)]
        pub(in crate::graphql) struct $connection {
            /// The items of the page.
            edges: Vec<$edge>,
            /// Where the page stands in the list.
            page_info: crate::graphql::page::PageInfo,
        }

        /// An item in its list.
        #[derive(async_graphql::SimpleObject)]
        pub(in crate::graphql) struct $edge {
            /// The item.
            node: $node,
            /// Where it stands: pass it as `after` for what is behind it.
            cursor: String,
        }

        impl $connection {
            /// The items of a page; `has_next`: whether there are more behind it.
            pub(in crate::graphql) fn new(
                page: crate::graphql::page::Page,
                has_next: bool,
                items: impl IntoIterator<Item = (uuid::Uuid, $node)>,
            ) -> async_graphql::Result<Self> {
                let edge = |cursor, node| $edge { node, cursor };
                let (edges, page_info) = $cursors.connection(page, has_next, items, edge)?;
                Ok(Self { edges, page_info })
            }
        }
    };
}
pub(super) use connection;
