//! Queues within a process have limits: nothing makes one without.

use crate::source::Source;

/// What makes a queue without a limit, in tokio and in futures, and what its ends are called.
const UNLIMITED: [&str; 4] = [
    "unbounded",
    "unbounded_channel",
    "UnboundedReceiver",
    "UnboundedSender",
];

/// What a source names of them.
pub(crate) fn unlimited(source: &Source) -> Vec<&str> {
    let names = source.identifiers.iter().map(String::as_str);
    names.filter(|name| UNLIMITED.contains(name)).collect()
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
