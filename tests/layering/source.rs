//! What a source file names, without what it names in comments and for its tests.
//!
//! Read off the tokens and not off a syntax tree: half of an async function stands in `select!` and its kind, where a
//! parser sees only tokens as well.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Segments of a path, such as `crate`, `config`, `Kafka`.
pub(crate) type Path = Vec<String>;

/// What a source file names.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The modules that it declares and that are files of their own.
    pub(crate) modules: Vec<String>,
    /// Whether some of it is a file elsewhere than names of modules say, where nobody reads it here.
    pub(crate) is_elsewhere: bool,
    /// What it brings into scope.
    pub(crate) imports: Vec<Import>,
    /// Paths of two and more segments, outside of `use`.
    pub(crate) paths: Vec<Path>,
    /// Methods that it calls, and those that it names behind a type in angle brackets.
    pub(crate) methods: Vec<String>,
    /// All names, its own and those of others.
    pub(crate) identifiers: Vec<String>,
    /// Literals, as they are written.
    pub(crate) literals: Vec<String>,
}

/// One name that a `use` brings into scope.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) path: Path,
    /// The last segment, or what stands after `as`.
    pub(crate) name: String,
}

impl Source {
    /// Reads a file's text.
    pub(crate) fn read(text: &str) -> Self {
        let tokens: TokenStream = text.parse().expect("Rust");
        let mut source = Self::default();
        source.walk(tokens, 0);
        source
    }

    /// `depth` counts the modules between the file and these tokens.
    fn walk(&mut self, tokens: TokenStream, depth: usize) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            at += self.step(&trees[at..], depth);
        }
    }

    /// Takes in what begins here, and returns how many trees that was.
    fn step(&mut self, trees: &[TokenTree], depth: usize) -> usize {
        if let Some((length, attribute)) = attribute(trees) {
            if is_for_tests(attribute) {
                return length + item(&trees[length..]);
            }
            self.is_elsewhere |= is_path(attribute);
            // A comment for rustdoc is an attribute to the compiler.
            if !begins_with(attribute, "doc") {
                self.walk(attribute.stream(), depth);
            }
            return length;
        }
        match trees {
            // A range, and not a method of something.
            [dot, second, ..] if is(dot, '.') && is(second, '.') => 2,
            [dot, TokenTree::Ident(name), rest @ ..] if is(dot, '.') => {
                self.identifiers.push(name.to_string());
                if matches!(rest, [TokenTree::Group(_), ..]) || is_turbofish(rest) {
                    self.methods.push(name.to_string());
                }
                2
            }
            // `<dyn Type>::method`; the name itself is taken in by the next step.
            [close, colon, second, TokenTree::Ident(name), ..]
                if is(close, '>') && is(colon, ':') && is(second, ':') =>
            {
                self.methods.push(name.to_string());
                3
            }
            [TokenTree::Ident(word), TokenTree::Ident(name), last, ..] if word == "mod" => {
                match last {
                    TokenTree::Group(body) => self.walk(body.stream(), depth + 1),
                    _ => self.modules.push(name.to_string()),
                }
                3
            }
            // The other `use<'a>` stands in bounds.
            [TokenTree::Ident(word), rest @ ..]
                if word == "use" && !rest.first().is_some_and(|tree| is(tree, '<')) =>
            {
                1 + self.imports(rest, depth)
            }
            [TokenTree::Ident(word), TokenTree::Ident(last), rest @ ..]
                if word == "extern" && last == "crate" =>
            {
                2 + self.imports(rest, depth)
            }
            [TokenTree::Ident(_), ..] => self.path(trees, depth),
            [TokenTree::Group(group), ..] => {
                self.walk(group.stream(), depth);
                1
            }
            [TokenTree::Literal(literal), ..] => {
                self.literals.push(literal.to_string());
                1
            }
            _ => 1,
        }
    }

    fn path(&mut self, trees: &[TokenTree], depth: usize) -> usize {
        let mut path = vec![trees[0].to_string()];
        let mut length = 1;
        while let [colon, second, TokenTree::Ident(segment), ..] = &trees[length..]
            && is(colon, ':')
            && is(second, ':')
        {
            path.push(segment.to_string());
            length += 3;
        }
        self.identifiers.extend_from_slice(&path);
        // The text of another file, put here.
        self.is_elsewhere |= path.last().is_some_and(|name| name == "include")
            && matches!(&trees[length..], [bang, TokenTree::Group(_), ..] if is(bang, '!'));
        if path.len() > 1 {
            self.paths.push(from_file(path, depth));
        }
        length
    }

    /// Takes in the imports up to the semicolon, and returns how many trees they are.
    fn imports(&mut self, trees: &[TokenTree], depth: usize) -> usize {
        let end = trees.iter().position(|tree| is(tree, ';'));
        let end = end.unwrap_or(trees.len());
        self.import(&trees[..end], &[], depth);
        end
    }

    /// The leaves of a tree of imports below `prefix`.
    fn import(&mut self, trees: &[TokenTree], prefix: &[String], depth: usize) {
        if trees.is_empty() {
            return;
        }
        let mut path = prefix.to_vec();
        let mut alias = None;
        for tree in trees {
            match tree {
                TokenTree::Group(group) => {
                    let below: Vec<TokenTree> = group.stream().into_iter().collect();
                    for leaf in below.split(|tree| is(tree, ',')) {
                        self.import(leaf, &path, depth);
                    }
                    return;
                }
                TokenTree::Ident(word) if word == "as" => alias = path.last().cloned(),
                TokenTree::Ident(word) if alias.is_some() => alias = Some(word.to_string()),
                TokenTree::Ident(segment) => path.push(segment.to_string()),
                TokenTree::Punct(star) if star.as_char() == '*' => path.push("*".to_owned()),
                _ => {}
            }
        }
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        if let Some(name) = alias.or_else(|| path.last().cloned()) {
            self.identifiers.push(name.clone());
            let path = from_file(path, depth);
            self.imports.push(Import { path, name });
        }
    }
}

/// A path as the file's own module would write it that stands `depth` modules deeper.
fn from_file(mut path: Path, depth: usize) -> Path {
    let ups = path
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    if ups > 0 && depth > 0 {
        path.drain(..ups.min(depth));
        if ups <= depth {
            path.insert(0, "self".to_owned());
        }
    }
    path
}

fn attribute(trees: &[TokenTree]) -> Option<(usize, &Group)> {
    match trees {
        [hash, TokenTree::Group(group), ..] if is(hash, '#') => Some((2, group)),
        [hash, bang, TokenTree::Group(group), ..] if is(hash, '#') && is(bang, '!') => {
            Some((3, group))
        }
        _ => None,
    }
}

fn is_for_tests(attribute: &Group) -> bool {
    let condition = attribute.stream().to_string().replace(' ', "");
    condition == "cfg(test)" || condition.starts_with("cfg(all(test,")
}

/// `#[path = "…"]`, also under a condition.
fn is_path(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    text.starts_with("path=") || (text.starts_with("cfg_attr(") && text.contains(",path="))
}

fn begins_with(attribute: &Group, word: &str) -> bool {
    attribute
        .stream()
        .into_iter()
        .next()
        .is_some_and(|tree| tree.to_string() == word)
}

/// The length of the item or statement that begins here, its attributes with it.
fn item(trees: &[TokenTree]) -> usize {
    let mut start = 0;
    while let Some((length, _)) = attribute(&trees[start..]) {
        start += length;
    }
    let is_group = |tree: &TokenTree, kind| matches!(tree, TokenTree::Group(group) if group.delimiter() == kind);
    let keyword = trees[start..]
        .iter()
        .find(|tree| tree.to_string() != "pub" && !is_group(tree, Delimiter::Parenthesis));
    let is_import = keyword.is_some_and(|tree| tree.to_string() == "use");
    let ends = |tree: &TokenTree| is(tree, ';') || (is_group(tree, Delimiter::Brace) && !is_import);
    let end = trees[start..].iter().position(ends);
    end.map_or(trees.len(), |end| start + end + 1)
}

fn is_turbofish(trees: &[TokenTree]) -> bool {
    matches!(trees, [first, second, third, ..] if is(first, ':') && is(second, ':') && is(third, '<'))
}

fn is(tree: &TokenTree, punctuation: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == punctuation)
}

#[test]
fn what_is_named_is_found_and_what_is_only_talked_about_is_not() {
    let source = Source::read(
        "//! crate::not::here
         pub mod child;
         #[cfg(test)] #[path = \"elsewhere.rs\"] mod tests;
         #[cfg(test)] pub(crate) use super::{only, here};
         #[cfg(test)] mod inner { use super::{not, this}; }
         pub use child::{Thing as Other, deeper::{self, *},};
         #[derive(serde::Serialize)]
         struct Held<'a>(&'a str);
         mod inline { use super::super::up; fn f() { super::own::call() } }
         fn f() -> impl Sized + use<> { select! { x = crate::a::b::<u8>() => log!(\"crate::text\", x.go::<u8>(), ..y::Z::new()) } }",
    );
    assert_eq!(source.modules, ["child"]);
    assert!(!source.is_elsewhere, "only those of its tests are");
    let imports: Vec<_> = source
        .imports
        .iter()
        .map(|i| (i.path.join("::"), i.name.as_str()))
        .collect();
    let expected = [
        ("child::Thing", "Other"),
        ("child::deeper", "deeper"),
        ("child::deeper::*", "*"),
        ("super::up", "up"),
    ];
    assert_eq!(
        imports,
        expected.map(|(path, name)| (path.to_owned(), name))
    );
    let paths: Vec<_> = source.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        [
            "serde::Serialize",
            "self::own::call",
            "crate::a::b",
            "y::Z::new"
        ]
    );
    assert_eq!(source.methods, ["go"]);
    assert_eq!(source.literals, ["\"crate::text\""]);
}

#[test]
fn modules_elsewhere_are_found() {
    for planted in [
        "#[path = \"../hidden.rs\"] mod here;",
        "mod inner { #[cfg_attr(unix, path = \"unix.rs\")] mod here; }",
        "mod inner { include!(\"../hidden.rs\"); }",
        "fn f() { std::include!(\"hidden.rs\") }",
    ] {
        assert!(Source::read(planted).is_elsewhere, "{planted}");
    }
    for harmless in [
        "#[utoipa::path(get, path = \"/v1\")] fn f() {}",
        "const PAGE: &str = include_str!(\"page.html\"); fn f() { if include != other {} }",
    ] {
        assert!(!Source::read(harmless).is_elsewhere, "{harmless}");
    }
}
