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
    let root = if has_library { "lib.rs" } else { "main.rs" };
    let mut all: BTreeMap<Path, &String> = files
        .keys()
        .map(|file| (module(file, root), file))
        .collect();
    let mut declared = BTreeMap::new();
    let mut open = vec![Path::new()];
    if has_library && files.contains_key("main.rs") {
        // The program beside the library, as if it were a module of it.
        open.push(vec!["main".to_owned()]);
    }
    while let Some(path) = open.pop() {
        // What is not read is not checked: a file elsewhere, one below an inline module, one that only the program has.
        let file = all
            .remove(&path)
            .unwrap_or_else(|| panic!("{}: no file of this name is below src", path.join("::")));
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
fn module(file: &str, root: &str) -> Path {
    let mut path: Path = file
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    let is_of_folder = path.last().is_some_and(|name| name == "mod");
    if is_of_folder || file == root {
        path.pop();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Vec<String> {
        let files = files
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
        let modules = modules(&files.collect()).into_values();
        modules.map(|module| module.file).collect()
    }

    #[test]
    fn the_program_beside_a_library_is_read() {
        let files = [
            ("lib.rs", "mod a; #[cfg(test)] mod tests;"),
            ("a/mod.rs", "mod b;"),
            ("a/b.rs", ""),
            ("main.rs", "fn main() {}"),
            ("tests.rs", ""),
        ];
        assert_eq!(read(&files), ["lib.rs", "a/mod.rs", "a/b.rs", "main.rs"]);
    }

    #[test]
    #[should_panic(expected = "hidden: no file of this name")]
    fn a_file_below_an_inline_module_is_not_passed_over() {
        read(&[
            ("lib.rs", "mod inline { mod hidden; }"),
            ("inline/hidden.rs", ""),
        ]);
    }
}
