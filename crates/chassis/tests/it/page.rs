//! Pages.

use chassis::page::{self, PageError, PageSize};
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
    assert_eq!(PageSize::from_proto(0).unwrap().get(), 20);
    assert_eq!(PageSize::from_proto(-1), Err(PageError::Size));
    assert_eq!(PageSize::from_proto(101), Err(PageError::Size));
    assert_eq!(
        Problem::from(PageError::Size).detail(),
        Some("page_size must be a number from 1 to 100")
    );
}

#[test]
fn tokens_come_back_and_nothing_else_does() {
    let cursor = Cursor {
        created_at: "2026-01-02T03:04:05Z".to_owned(),
        id: Uuid::now_v7(),
    };
    let token = page::encode(&cursor);
    assert!(
        token
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
        "safe in a URL: {token}"
    );
    assert_eq!(page::decode::<Cursor>(&token).unwrap(), cursor);

    let other = page::encode(&vec![1, 2, 3]);
    let long = "a".repeat(page::MAX_TOKEN_BYTES + 1);
    for bad in [
        "",
        "!",
        "e30",
        "null",
        "////",
        other.as_str(),
        long.as_str(),
        &token[..token.len() - 4],
        &token[1..],
    ] {
        assert_eq!(page::decode::<Cursor>(bad), Err(PageError::Token), "{bad}");
    }
    let problem = Problem::from(PageError::Token);
    assert_eq!(problem.status().as_u16(), 400);
    assert!(problem.detail().unwrap().contains("page_token"));
}

/// Any single changed character is refused or gives another cursor of the right shape; never a panic.
#[test]
fn tampering_never_panics() {
    let token = page::encode(&Cursor {
        created_at: "x".to_owned(),
        id: Uuid::nil(),
    });
    for place in 0..token.len() {
        for with in ["A", "_", "=", "é", "\0"] {
            let mut changed = token.clone();
            changed.replace_range(place..=place, with);
            let _: Result<Cursor, PageError> = page::decode(&changed);
        }
    }
}
