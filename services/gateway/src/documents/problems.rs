//! A page for each kind of problem, at the address in its `type`.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;
use chassis::extract::Path;
use chassis::problem::{Kind, Problem};
use contracts::problems;

/// Allows only the style sheet within the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router {
    Router::new().route("/problems/{type}", get(page))
}

async fn page(Path(slug): Path<String>) -> Result<impl IntoResponse, Problem> {
    let kind = problems::find(&slug).ok_or_else(Problem::not_found)?;
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    Ok((headers, html(kind)))
}

fn html(kind: &Kind) -> String {
    format!(
        include_str!("problem.html"),
        title = marked(kind.title),
        status = kind.status,
        slug = kind.slug,
        meaning = marked(kind.meaning),
        remedy = marked(kind.remedy),
    )
}

/// The text as HTML; text between backquotes becomes code.
fn marked(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut html = String::with_capacity(escaped.len() + 32);
    for (n, part) in escaped.split('`').enumerate() {
        if n > 0 {
            html.push_str(if n % 2 == 1 { "<code>" } else { "</code>" });
        }
        html.push_str(part);
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_whole_page() {
        for kind in problems::all() {
            let page = html(kind);
            assert!(
                page.contains(&marked(kind.meaning)) && page.contains(&marked(kind.remedy)),
                "{page}"
            );
            assert_eq!(
                page.matches("<code>").count(),
                page.matches("</code>").count(),
                "{page}"
            );
        }
    }

    #[test]
    fn text_is_text() {
        assert_eq!(
            marked("a < b & `c > d`"),
            "a &lt; b &amp; <code>c &gt; d</code>"
        );
    }
}
