//! The modules of a crate that are files, without those of its tests.

use std::collections::BTreeMap;

use crate::repository::Files;
use crate::source::{Path, Source};

/// A module that is a file.
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) source: Source,
}

/// The modules that are declared from the crate's root on and not only for tests, by their paths; the root's is empty.
pub(crate) fn modules(files: &Files) -> BTreeMap<Path, Module> {
    let has_library = files.contains_key("lib.rs");
    let mut all: BTreeMap<Path, &String> = files
        .keys()
        .filter(|file| !(has_library && *file == "main.rs"))
        .map(|file| (module(file), file))
        .collect();
    let mut declared = BTreeMap::new();
    let mut open = vec![Path::new()];
    while let Some(path) = open.pop() {
        // Not here: an attribute says where.
        let Some(file) = all.remove(&path) else {
            continue;
        };
        let source = Source::read(&files[file]);
        open.extend(source.modules.iter().map(|name| child(&path, name)));
        let file = file.clone();
        declared.insert(path, Module { file, source });
    }
    declared
}

/// The path of a module's child.
pub(crate) fn child(module: &[String], name: &str) -> Path {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

/// The module that a file below `src` is.
fn module(file: &str) -> Path {
    let mut path: Path = file
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    let is_of_folder = path.last().is_some_and(|name| name == "mod");
    if is_of_folder || ["lib.rs", "main.rs"].contains(&file) {
        path.pop();
    }
    path
}
