//! Opens a page in the desktop's browser.

use std::process::Stdio;

use tokio::process::Command;

/// The desktop's own program for that.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else {
    "xdg-open"
};

/// Opens it. Some openers return at once, some when the browser is closed, so this does not wait for them.
///
/// # Errors
/// One line for a person, with the address to open by hand.
pub(crate) async fn open(page: &str) -> Result<(), String> {
    let by_hand =
        |why: String| format!("No browser was opened ({OPENER}: {why}). The page: {page}");
    // Not our terminal, where its output would mix with ours.
    let opened = Command::new(OPENER)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match opened.await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(by_hand(status.to_string())),
        Err(error) => Err(by_hand(error.to_string())),
    }
}
