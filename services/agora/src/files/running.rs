//! Reads the `endpoints.json` of a running marketplace, for the other commands.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::places;
use crate::failure::Failure;

/// The content of `endpoints.json` in a data directory; `hint` names the alternative arguments in the error.
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
