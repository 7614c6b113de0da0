//! What a page says that a command prints is what it prints.
//!
//! A line `<!-- printed by: cargo run -p PACKAGE --example NAME -- ARGUMENTS -->` stands before a fenced block; the block
//! holds the standard output of that command, and the page shows the command to its reader, too. `UPDATE_DOCS=1` writes
//! the blocks.

use std::path::Path;

use containers::example;

use crate::excerpts::{UPDATE, pages, read};

pub(crate) fn print_what_pages_show() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let (mut stale, mut commands) = (Vec::new(), 0);
    for page in pages(root.expect("the workspace")) {
        let text = read(&page);
        let (fresh, count) = refreshed(&text, &page.display().to_string());
        commands += count;
        if count == 0 || fresh == text {
            continue;
        }
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&page, fresh).expect("a page that can be written");
        } else {
            stale.push(format!("{}:\n{fresh}", page.display()));
        }
    }
    assert!(commands > 0, "commands are where they are looked for");
    assert!(
        stale.is_empty(),
        "the commands print something else; {UPDATE}=1 cargo test -p scenarios docs_show_what_commands_print writes it:\n{}",
        stale.join("\n")
    );
}

/// The page with what its commands print now, and how many there are.
fn refreshed(text: &str, page: &str) -> (String, usize) {
    let (mut fresh, mut count) = (Vec::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        fresh.push(line.to_owned());
        let Some(command) = printed_by(line) else {
            continue;
        };
        count += 1;
        let is_shown = text.lines().any(|line| line == command);
        assert!(is_shown, "{page} does not show its reader `{command}`");
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "{page}: {line}: no block follows");
        fresh.push(fence.to_owned());
        lines
            .by_ref()
            .take_while(|line| *line != "```")
            .for_each(drop);
        fresh.extend(printed(command).lines().map(str::to_owned));
        fresh.push("```".to_owned());
    }
    (fresh.join("\n") + "\n", count)
}

fn printed_by(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- printed by: ")?.strip_suffix(" -->")
}

/// Runs an example, and returns its standard output.
fn printed(command: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    let [
        "cargo",
        "run",
        "-p",
        package,
        "--example",
        name,
        arguments @ ..,
    ] = &words[..]
    else {
        panic!("`{command}` is not `cargo run -p PACKAGE --example NAME`");
    };
    let arguments = arguments.strip_prefix(&["--"]).unwrap_or(arguments);
    let output = example(package, name).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}
