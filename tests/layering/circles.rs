//! Circles between the modules of a crate.
//!
//! A module and those below it are one thing to its siblings: they may use each other's parts, and a parent may hand on
//! what its children have. Siblings that need each other, directly or through others, can only be read all at once, and
//! none of them can be taken out; that is what is looked for, at every level.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{Module, child, modules};
use crate::repository::Files;
use crate::source::Path;

/// The siblings of a circle and what ties them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    pub(crate) siblings: Vec<String>,
    /// `user -> used`, as whole paths.
    pub(crate) ties: BTreeSet<String>,
}

/// For each pair of siblings, which modules tie the first to the second.
type Ties = BTreeMap<(String, String), BTreeSet<String>>;

/// How often a name is followed to where it comes from: a bound, so that names which import each other end.
const HANDED_ON_MAX: usize = 8;

/// The circles between the modules of a crate.
pub(crate) fn circles(files: &Files) -> Vec<Circle> {
    let modules = Modules(modules(files));
    let mut levels: BTreeMap<Path, Ties> = BTreeMap::new();
    for (from, to) in modules.uses() {
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        if let (Some(user), Some(used)) = (from.get(shared), to.get(shared)) {
            let ties = levels.entry(from[..shared].to_vec()).or_default();
            let tie = format!("{} -> {}", from.join("::"), to.join("::"));
            ties.entry((user.clone(), used.clone()))
                .or_default()
                .insert(tie);
        }
    }
    levels.values().flat_map(of_level).collect()
}

/// The imports of whatever a module of the crate has. What they are for is seen by no reader, nor by what is looked for here.
pub(crate) fn globs(files: &Files) -> Vec<String> {
    let modules = Modules(modules(files));
    let mut found = Vec::new();
    for (from, Module { file, source }) in &modules.0 {
        for import in source.imports.iter().filter(|import| import.name == "*") {
            let is_of_type = |name: &String| name.starts_with(char::is_uppercase);
            let above = &import.path[..import.path.len() - 1];
            let home = modules.home(from, above, 0);
            // The variants of an enum have one home, and an inline module is in its parent's file.
            if !above.last().is_some_and(is_of_type) && home.is_some_and(|home| home != *from) {
                found.push(format!("{file}: {}", import.path.join("::")));
            }
        }
    }
    found
}

/// The modules in files that are wanted, and those of the same crate that they use, directly or through others.
pub(crate) fn used(files: &Files, is_wanted: impl Fn(&str) -> bool) -> Vec<Module> {
    let mut modules = Modules(modules(files));
    let uses = modules.uses();
    let wanted = modules.0.iter().filter(|(_, it)| is_wanted(&it.file));
    let mut open: Vec<Path> = wanted.map(|(path, _)| path.clone()).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        // Taken out, so that each is found once.
        if let Some(module) = modules.0.remove(&path) {
            let below = uses.iter().filter(|(user, _)| *user == path);
            open.extend(below.map(|(_, used)| used.clone()));
            found.push(module);
        }
    }
    found
}

fn of_level(ties: &Ties) -> Vec<Circle> {
    let siblings: BTreeSet<&String> = ties.keys().map(|(user, _)| user).collect();
    let reach: BTreeMap<&String, BTreeSet<&String>> = siblings
        .iter()
        .map(|from| (*from, reached(from, ties)))
        .collect();
    let groups: BTreeSet<Vec<&String>> = siblings
        .iter()
        .filter(|from| reach[*from].contains(*from))
        .map(|from| {
            let and_back = |to: &&&String| reach.get(**to).is_some_and(|back| back.contains(from));
            reach[from].iter().filter(and_back).copied().collect()
        })
        .collect();
    groups
        .into_iter()
        .map(|group| Circle {
            ties: ties
                .iter()
                .filter(|((user, used), _)| group.contains(&user) && group.contains(&used))
                .flat_map(|(_, ties)| ties.clone())
                .collect(),
            siblings: group.into_iter().cloned().collect(),
        })
        .collect()
}

/// All that is used from here, directly or through others.
fn reached<'a>(from: &str, ties: &'a Ties) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(user) = open.pop() {
        for (_, used) in ties.keys().filter(|(of, _)| of == user) {
            if found.insert(used) {
                open.push(used);
            }
        }
    }
    found
}

/// The modules of a crate, by their paths.
struct Modules(BTreeMap<Path, Module>);

impl Modules {
    /// Which module uses which other one.
    fn uses(&self) -> BTreeSet<(Path, Path)> {
        let mut uses = BTreeSet::new();
        for (from, Module { source, .. }) in &self.0 {
            let imported = source.imports.iter().map(|import| &import.path);
            for path in imported.chain(&source.paths) {
                if let Some(to) = self.home(from, path, 0).filter(|to| to != from) {
                    uses.insert((from.clone(), to));
                }
            }
        }
        uses
    }

    /// The module in which stands what `path` means in the module `from`, if it is of this crate. What a module hands
    /// on (`pub use`) stands where it has it from.
    fn home(&self, from: &[String], path: &[String], handed_on: usize) -> Option<Path> {
        let ups = path
            .iter()
            .take_while(|segment| *segment == "super")
            .count();
        let (mut module, mut rest) = match path.first()?.as_str() {
            "crate" => (Path::new(), &path[1..]),
            "self" => (from.to_vec(), &path[1..]),
            "super" => (from[..from.len().checked_sub(ups)?].to_vec(), &path[ups..]),
            name if self.0.contains_key(&child(from, name)) => (from.to_vec(), path),
            _ => return self.imported(from, path, handed_on),
        };
        while let Some(deeper) = rest.first().map(|name| child(&module, name))
            && self.0.contains_key(&deeper)
        {
            (module, rest) = (deeper, &rest[1..]);
        }
        let origin = self.imported(&module, rest, handed_on);
        origin.or(Some(module))
    }

    /// The same for a path whose first segment the module `from` has from elsewhere, by whatever name.
    fn imported(&self, from: &[String], path: &[String], handed_on: usize) -> Option<Path> {
        if handed_on == HANDED_ON_MAX {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let imports = self.0.get(from)?.source.imports.iter();
        imports
            .filter(|import| import.name == *first)
            .find_map(|import| self.home(from, &[&import.path[..], rest].concat(), handed_on + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Files {
        let files = files.iter();
        files
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect()
    }

    fn found(of: &[(&str, &str)]) -> Vec<Circle> {
        circles(&files(of))
    }

    #[test]
    fn what_a_module_uses_is_found_through_others() {
        let files = files(&[
            ("lib.rs", "mod domain; mod store; mod text; mod world;"),
            ("domain.rs", "mod order;"),
            ("domain/order.rs", "fn f() { crate::text::cut() }"),
            ("store.rs", "use crate::domain::order;"),
            (
                "text.rs",
                "use crate::world; fn cut() { world::look() } #[cfg(test)] use crate::store;",
            ),
            ("world.rs", ""),
        ]);
        let used = used(&files, |file| file.starts_with("domain"));
        let mut used: Vec<_> = used.iter().map(|module| module.file.as_str()).collect();
        used.sort_unstable();
        let expected = ["domain.rs", "domain/order.rs", "text.rs", "world.rs"];
        assert_eq!(used, expected);
    }

    #[test]
    fn siblings_that_need_each_other_are_found() {
        let circle = found(&[
            (
                "lib.rs",
                "mod config; mod line; mod telemetry; pub use config::Format;",
            ),
            ("config.rs", "fn check() { crate::telemetry::filter() }"),
            ("telemetry/mod.rs", "mod file; use crate::line::Line;"),
            ("telemetry/file.rs", ""),
            // Through what the crate hands on.
            ("line.rs", "use crate::{Format, telemetry};"),
        ]);
        let ties = [
            "config -> telemetry",
            "line -> config",
            "line -> telemetry",
            "telemetry -> line",
        ];
        let expected = Circle {
            siblings: ["config", "line", "telemetry"].map(str::to_owned).to_vec(),
            ties: ties.map(str::to_owned).into(),
        };
        assert_eq!(circle, [expected]);
    }

    #[test]
    fn other_names_hide_no_circle() {
        let circle = found(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate as here; fn f() { here::b::deep::g() }"),
            ("b.rs", "pub mod deep;"),
            ("b/deep.rs", "use crate::c; fn g() { c::first::f() }"),
            ("c.rs", "pub use crate::a as first;"),
        ]);
        let ties = ["a -> b::deep", "b::deep -> a", "b::deep -> c", "c -> a"];
        assert_eq!(circle.len(), 1);
        assert_eq!(circle[0].ties, ties.map(str::to_owned).into());
    }

    #[test]
    fn what_is_used_is_found_below_an_imported_module() {
        let files = files(&[
            ("lib.rs", "mod domain; mod store;"),
            (
                "domain.rs",
                "use crate::store; fn f() { store::place::write() }",
            ),
            ("store.rs", "pub mod place;"),
            ("store/place.rs", ""),
        ]);
        let used = used(&files, |file| file.starts_with("domain"));
        let mut used: Vec<_> = used.iter().map(|module| module.file.as_str()).collect();
        used.sort_unstable();
        assert_eq!(used, ["domain.rs", "store.rs", "store/place.rs"]);
    }

    #[test]
    fn imports_of_everything_are_found() {
        let files = files(&[
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "use super::*; use std::fmt::*; use crate::b::Kind::*; mod inner { use super::*; } #[cfg(test)] use crate::b::*;",
            ),
            ("b.rs", "use crate::{a::*, b::Kind};"),
        ]);
        assert_eq!(globs(&files), ["a.rs: super::*", "b.rs: crate::a::*"]);
    }

    #[test]
    fn children_speak_for_their_parents() {
        let circle = found(&[
            ("main.rs", "mod error; mod limits;"),
            ("error.rs", "use crate::limits::quota;"),
            ("limits.rs", "pub mod quota;"),
            (
                "limits/quota.rs",
                "fn after() -> u32 { select! { _ = crate::error::AFTER => 1 } }",
            ),
        ]);
        assert_eq!(circle.len(), 1);
        let ties = ["error -> limits::quota", "limits::quota -> error"];
        assert_eq!(circle[0].ties, ties.map(str::to_owned).into());
    }

    #[test]
    fn families_and_tests_are_no_circles() {
        let none = found(&[
            (
                "lib.rs",
                "mod relay; mod health; pub const NAME: &str = \"x\";",
            ),
            (
                "health.rs",
                "use crate::NAME; #[cfg(test)] mod tests { use crate::relay::Relay; }",
            ),
            // A parent, its children and what they share.
            (
                "relay.rs",
                "mod pass; mod row; #[cfg(test)] mod tests; use crate::health; use pass::run; struct Shared;",
            ),
            ("relay/pass.rs", "use super::{Shared, row::Row};"),
            ("relay/row.rs", "use super::Shared;"),
            ("relay/tests.rs", "use super::pass; use crate::health;"),
        ]);
        assert_eq!(none, []);
    }
}
