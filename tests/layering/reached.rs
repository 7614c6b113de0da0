//! Each source is part of what is compiled. A file that no `mod` names is of nothing: its tests are played by nobody, and
//! nobody hears of it.

use std::collections::BTreeSet;

use crate::repository::Files;

/// The files that are reached from none of the roots.
pub(crate) fn left_out(roots: Vec<String>, files: &Files) -> Vec<&String> {
    // With each file, whether those of its modules are beside it.
    let mut open: Vec<(String, bool)> = roots.into_iter().map(|root| (root, true)).collect();
    let mut read = BTreeSet::new();
    while let Some((file, is_beside)) = open.pop() {
        let text = files.get(&file);
        let Some(text) = text.filter(|_| !read.contains(&(file.clone(), is_beside))) else {
            continue;
        };
        let folder = file.rsplit_once('/').expect("a folder").0;
        let below = if is_beside {
            folder
        } else {
            file.trim_end_matches(".rs")
        };
        for (name, path) in declared(text) {
            if let Some(path) = path {
                open.push((joined(folder, path), true));
            } else {
                open.push((format!("{below}/{name}.rs"), false));
                open.push((format!("{below}/{name}/mod.rs"), true));
            }
        }
        read.insert((file, is_beside));
    }
    let read: BTreeSet<String> = read.into_iter().map(|(file, _)| file).collect();
    files.keys().filter(|file| !read.contains(*file)).collect()
}

/// The modules that a source declares as files, and where one is if its name does not say it. rustfmt has put each on a line.
fn declared(text: &str) -> Vec<(&str, Option<&str>)> {
    let (mut found, mut path) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(named) = line.strip_prefix("#[path = \"") {
            path = named.split('"').next();
        } else if let Some(name) = module(line) {
            found.push((name, path.take()));
        }
    }
    found
}

fn module(line: &str) -> Option<&str> {
    let (before, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
    let is_declared = before.is_empty() || before.starts_with("pub");
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_declared && is_name).then_some(name)
}

/// A path that begins in a folder.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[test]
fn a_file_that_no_module_names_is_found() {
    let files = [
        (
            "x/src/lib.rs",
            "pub(crate) mod a;\n#[cfg(test)]\nmod tests;\n// mod gone;\n",
        ),
        ("x/src/a.rs", "mod b;"),
        ("x/src/a/b.rs", ""),
        ("x/src/tests.rs", ""),
        ("x/src/gone.rs", ""),
        ("x/tests/it/main.rs", "mod c;"),
        ("x/tests/it/c/mod.rs", "mod d;"),
        ("x/tests/it/c/d.rs", ""),
        (
            "x/tests/more/main.rs",
            "#[path = \"../it/e.rs\"]\n#[expect(dead_code)]\nmod e;\nmod f;",
        ),
        ("x/tests/it/e.rs", "#[path = \"e/g.rs\"]\nmod g;"),
        ("x/tests/it/e/g.rs", ""),
        ("x/tests/it/f.rs", "#[test]\nfn is_played_by_nobody() {}"),
    ];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let roots = ["x/src/lib.rs", "x/tests/it/main.rs", "x/tests/more/main.rs"];
    let files = Files::from(files);
    let found = left_out(roots.map(str::to_owned).to_vec(), &files);
    assert_eq!(found, ["x/src/gone.rs", "x/tests/it/f.rs"]);
}
