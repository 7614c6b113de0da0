//! The list of the page's files. Other files are not served; a test compares the list with the directory.

use bytes::Bytes;

/// The page itself.
pub(super) const INDEX: &str = "index.html";

/// A file of the page.
pub(super) struct File {
    /// Its path below `web/`, and below `/page/`.
    pub(super) name: &'static str,
    /// Its bytes, as compiled in.
    pub(super) embedded: &'static [u8],
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Every one of them.
        pub(super) const ALL: &[File] = &[$(File {
            name: $name,
            embedded: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/", $name)),
        }),*];
    };
}

files![
    "app.js",
    "break/banner.js",
    "break/edge.js",
    "break/rules.js",
    "break/switch.js",
    "break/switches.js",
    "break/view.js",
    "icon.svg",
    "index.html",
    "journey/calls.js",
    "journey/detail.js",
    "journey/diagram.js",
    "journey/layout.js",
    "journey/list.js",
    "journey/mermaid.js",
    "journey/player.js",
    "journey/traces.js",
    "journey/view.js",
    "lib/absent.js",
    "lib/api.js",
    "lib/dom.js",
    "lib/format.js",
    "lib/kept.js",
    "lib/known.js",
    "lib/lamp.js",
    "lib/observatory.js",
    "lib/part.js",
    "lib/problem.js",
    "lib/spark.js",
    "lib/sse.js",
    "lib/watcher.js",
    "map/engine.js",
    "map/place.js",
    "map/view.js",
    "page.css",
    "shop/basket.js",
    "shop/good.js",
    "shop/mail.js",
    "shop/newest.js",
    "shop/order.js",
    "shop/orders.js",
    "shop/picture.js",
    "shop/placed.js",
    "shop/session.js",
    "shop/shelf.js",
    "shop/view.js",
    "tour/actions.js",
    "tour/broken.js",
    "tour/steps.js",
    "tour/load.js",
    "tour/tour.json",
    "tour/view.js",
];

impl File {
    pub(super) fn media_type(&self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("json") => "application/json",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }

    /// The present source, in a debug build if the source exists.
    pub(super) fn on_disk(&self) -> Option<Bytes> {
        if !cfg!(debug_assertions) {
            return None;
        }
        let web = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
        let path = std::path::Path::new(web).join(self.name);
        std::fs::read(path).ok().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The largest total size of the page's files, in bytes.
    const BUDGET_BYTES: usize = 150_000;

    fn below(directory: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                below(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn the_list_is_what_is_there() {
        let mut there = BTreeSet::new();
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        below(&web, "", &mut there);
        // The console's files, which are in the same directory.
        there.retain(|name| !name.starts_with("graphql."));
        let listed: BTreeSet<_> = ALL.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(listed, there);
    }

    #[test]
    fn the_page_keeps_to_its_budget() {
        let bytes: usize = ALL.iter().map(|file| file.embedded.len()).sum();
        assert!(bytes <= BUDGET_BYTES, "{bytes} bytes");
    }

    /// So that edit and reload works, without a build.
    #[test]
    fn a_debug_build_serves_what_is_on_the_disk() {
        for file in ALL.iter().filter(|_| cfg!(debug_assertions)) {
            let source = file.on_disk();
            assert_eq!(source.as_deref(), Some(file.embedded), "{}", file.name);
        }
    }

    #[test]
    fn every_file_has_a_media_type() {
        for file in ALL {
            assert_ne!(
                file.media_type(),
                "application/octet-stream",
                "{}",
                file.name
            );
        }
    }
}
