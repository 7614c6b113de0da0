//! The kinds of problems: what each `type` means and what a client does about it. A problem is always of a kind that is
//! described, so that every `type` can be looked up.

use axum::http::StatusCode;

/// What is the same in every occurrence of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Of the answer.
    pub status: StatusCode,
    /// The last part of `type`: lower case, with hyphens.
    pub slug: &'static str,
    /// `title`.
    pub title: &'static str,
    /// What has happened, in a sentence or two.
    pub meaning: &'static str,
    /// What the client does about it.
    pub remedy: &'static str,
}

/// Declares kinds as constants, and a slice of all of them, so that none is declared and not listed.
///
/// ```
/// chassis::kinds! {
///     /// Every kind of this service.
///     ALL;
///     /// The shelf is full.
///     SHELF_FULL = CONFLICT, "shelf-full", "The shelf is full",
///         "There is no room for another book.",
///         "Take one away first.";
/// }
/// assert_eq!(ALL, [SHELF_FULL]);
/// ```
#[macro_export]
macro_rules! kinds {
    (
        $(#[$all_doc:meta])* $all:ident;
        $($(#[$doc:meta])* $name:ident = $status:ident, $slug:literal, $title:literal, $meaning:literal, $remedy:literal;)+
    ) => {
        $(
            $(#[$doc])*
            pub const $name: $crate::problem::Kind = $crate::problem::Kind {
                status: $crate::problem::StatusCode::$status,
                slug: $slug,
                title: $title,
                meaning: $meaning,
                remedy: $remedy,
            };
        )+
        $(#[$all_doc])*
        pub const $all: &[$crate::problem::Kind] = &[$($name),+];
    };
}
