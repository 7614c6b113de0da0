//! What a marketplace that runs says of itself, for the commands that are done to it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::places;
use crate::failure::Failure;

/// What the marketplace in a data directory says of itself; `hint` says what else can be said.
pub(crate) fn running(data_dir: Option<&Path>, hint: &str) -> Result<Value, Failure> {
    let directory = data_dir.map_or_else(places::data, |path| Ok(path.to_owned()))?;
    let file = directory.join("endpoints.json");
    let text = fs::read(&file).map_err(|error| {
        let directory = directory.display();
        Failure::new(format!(
            "no marketplace runs in {directory} ({error}): start `agora up`, or {hint}"
        ))
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", file.display())))
}
