//! Pages.

use chassis::page::{self, List, PageError, PageSize};
use chassis::problem::Problem;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cursor {
    created_at: String,
    id: Uuid,
}

#[test]
fn sizes() {
    assert_eq!(PageSize::parse(None).unwrap().get(), 20);
    for (text, size) in [("1", 1), ("100", 100)] {
        assert_eq!(PageSize::parse(Some(text)).unwrap().get(), size);
    }
    for text in ["0", "-1", "101", "", "ten", "1.5", "99999999999999999999"] {
        assert_eq!(PageSize::parse(Some(text)), Err(PageError::Size), "{text}");
    }
    assert_eq!(
        Problem::from(PageError::Size).detail(),
        Some("page_size must be a number from 1 to 100")
    );
}

const LIST: List<Cursor> = List::new("things.1");

fn cursor() -> Cursor {
    Cursor {
        created_at: "2026-01-02T03:04:05Z".to_owned(),
        id: Uuid::now_v7(),
    }
}

#[test]
fn tokens_come_back_and_nothing_else_does() {
    let cursor = cursor();
    let token = LIST.token(&cursor).unwrap();
    page::check(&token).unwrap();
    assert_eq!(LIST.position(Some(&token)).unwrap().unwrap(), cursor);
    // As clients pass it on that were given none.
    for first in [None, Some("")] {
        assert_eq!(LIST.position(first), Ok(None));
    }

    let long = "a".repeat(page::MAX_TOKEN_BYTES + 1);
    for bad in [
        "!",
        "e30",
        "null",
        "////",
        long.as_str(),
        &token[..token.len() - 4],
        &token[1..],
    ] {
        assert_eq!(LIST.position(Some(bad)), Err(PageError::Token), "{bad}");
    }
    let problem = Problem::from(PageError::Token);
    assert_eq!(problem.status().as_u16(), 400);
    assert!(problem.detail().unwrap().contains("page_token"));
}

#[test]
fn a_token_of_another_list_or_version_is_refused() {
    const OTHER: List<Cursor> = List::new("others.1");
    const NEXT: List<Cursor> = List::new("things.2");
    let token = LIST.token(&cursor()).unwrap();
    for list in [OTHER, NEXT] {
        assert_eq!(
            list.position(Some(&token)),
            Err(PageError::Token),
            "{list:?}"
        );
    }
    // A cursor without a name is nobody's.
    let bare = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        serde_json::to_vec(&cursor()).unwrap(),
    );
    assert_eq!(LIST.position(Some(&bare)), Err(PageError::Token));
}

#[test]
fn a_token_that_is_given_out_is_taken_back() {
    let mut long = cursor();
    long.created_at = "x".repeat(page::MAX_TOKEN_BYTES);
    assert_eq!(LIST.token(&long), Err(PageError::Cursor));
    assert_eq!(Problem::from(PageError::Cursor).status().as_u16(), 500);
}

#[test]
fn what_is_passed_on_can_be_carried() {
    let longest = "a".repeat(page::MAX_TOKEN_BYTES);
    assert_eq!(page::check(&longest), Ok(()));
    for bad in [&format!("{longest}a"), "'", "a b", "ü", "a=", "\0"] {
        assert_eq!(page::check(bad), Err(PageError::Token), "{bad}");
    }
}

/// Any single changed character is refused or gives another cursor of the right shape; never a panic.
#[test]
fn tampering_never_panics() {
    let token = LIST.token(&cursor()).unwrap();
    for place in 0..token.len() {
        for with in ["A", "_", "=", "é", "\0"] {
            let mut changed = token.clone();
            changed.replace_range(place..=place, with);
            let _: Result<Option<Cursor>, PageError> = LIST.position(Some(&changed));
        }
    }
}
