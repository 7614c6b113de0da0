//! Queues within a process have limits: nothing makes one without.

use crate::source::{Path, Source};

/// What makes a queue without a limit, in tokio and in futures, and what its ends are called.
const UNLIMITED: [&str; 4] = [
    "unbounded",
    "unbounded_channel",
    "UnboundedReceiver",
    "UnboundedSender",
];
/// Where std has one without a limit, and the names of both. Elsewhere they are those of queues with a limit, which std calls
/// `sync_channel`.
const STD: [&str; 3] = ["std", "sync", "mpsc"];
const OF_STD: [&str; 2] = ["channel", "Sender"];

/// What a source names of them.
pub(crate) fn unlimited(source: &Source) -> Vec<String> {
    let names = source.identifiers.iter();
    let names = names.filter(|name| UNLIMITED.contains(&name.as_str()));
    let imported = source.imports.iter();
    let std_here: Vec<&String> = imported
        .filter(|import| import.path == STD)
        .map(|import| &import.name)
        .collect();
    let is_of_std = |path: &&Path| match path.as_slice() {
        [module, last] => std_here.contains(&module) && OF_STD.contains(&last.as_str()),
        [above @ .., last] => *above == STD && OF_STD.contains(&last.as_str()),
        [] => false,
    };
    let imported = source.imports.iter().map(|import| &import.path);
    let paths = imported.chain(&source.paths).filter(is_of_std);
    names
        .cloned()
        .chain(paths.map(|path| path.join("::")))
        .collect()
}

#[test]
fn a_queue_without_a_limit_is_found() {
    let planted = "use futures::channel::mpsc::UnboundedSender;
        fn run() { let (told, tell) = mpsc::unbounded_channel(); let ends = mpsc::channel(4); }
        /// As `unbounded` ones do.
        #[cfg(test)]
        mod tests { fn f() { mpsc::unbounded() } }";
    assert_eq!(
        unlimited(&Source::read(planted)),
        ["UnboundedSender", "unbounded_channel"]
    );
}

#[test]
fn a_queue_of_std_without_a_limit_is_found() {
    let found = |planted: &str| unlimited(&Source::read(planted));
    let by_module = "use std::sync::{Arc, mpsc};
        struct Told(mpsc::Sender<u8>, mpsc::Receiver<u8>);
        fn run() { mpsc::sync_channel(1); mpsc::channel::<u8>() }";
    assert_eq!(found(by_module), ["mpsc::Sender", "mpsc::channel"]);
    let by_name = "use std::sync::mpsc::channel; fn run() { std::sync::mpsc::channel() }";
    let twice = ["std::sync::mpsc::channel", "std::sync::mpsc::channel"];
    assert_eq!(found(by_name), twice);
    let of_tokio = "use tokio::sync::mpsc; fn run() { mpsc::channel(4); other::channel() }";
    assert!(found(of_tokio).is_empty());
}
