//! Words of the shop in crates that know no shop.
//!
//! In code, names and literals are searched for what a shop has and does; "order" in names only, also in those that a literal
//! holds (`order-events`), since it is a word of SQL and of everybody as well. One of a thing is found, and many. Comments may
//! show how a crate is used, with services of this shop as examples, but nobody who takes the crate elsewhere has customers or
//! baskets, or reads this shop's name. Examples, benchmarks and READMEs are held to what comments are, manifests and SQL to what
//! literals are. Tests need names for things and are not searched.

use crate::source::Source;

const IN_CODE: [&str; 13] = [
    "agora",
    "basket",
    "cart",
    "catalog",
    "catalogue",
    "checkout",
    "customer",
    "orders",
    "price",
    "product",
    "purchase",
    "shop",
    "stock",
];
const IN_NAMES: [&str; 1] = ["order"];
const IN_COMMENTS: [&str; 6] = [
    "basket", "cart", "checkout", "customer", "purchase", "stock",
];

/// The shop's own name is no example for anybody.
const IN_EXAMPLES: [&str; 1] = ["agora"];

/// A name or literal with a shop word in it, or the line of a comment.
#[derive(Debug)]
pub(crate) struct Found {
    file: String,
    #[expect(dead_code, reason = "shown when the word is not allowed")]
    written: String,
    word: String,
}

/// A word that a file may use, and why.
#[derive(Debug)]
pub(crate) struct Allowed {
    file: &'static str,
    word: &'static str,
    #[expect(
        dead_code,
        reason = "for the reader, and shown when nothing needs the exception"
    )]
    why: &'static str,
}

const fn allowed(file: &'static str, word: &'static str, why: &'static str) -> Allowed {
    Allowed { file, word, why }
}

const SEQUENCE: &str = "first come, first served: nobody buys anything";

pub(crate) const ALLOWED: [Allowed; 5] = [
    allowed("messaging/src/amqp/outlet.rs", "order", SEQUENCE),
    allowed("outbox/src/relay/pass.rs", "order", SEQUENCE),
    allowed("outbox/src/relay/publish.rs", "order", SEQUENCE),
    allowed(
        "embedded/src/postgres/initdb.rs",
        "agora",
        "the superuser of clusters that exist",
    ),
    allowed(
        "containers/src/docker.rs",
        "agora",
        "a variable that people's scripts set",
    ),
];

impl Allowed {
    pub(crate) fn covers(&self, found: &Found) -> bool {
        self.file == found.file && self.word == found.word
    }
}

/// Where a file speaks of the shop.
pub(crate) fn of_the_shop(file: &str, source: &Source, text: &str) -> Vec<Found> {
    let names = [&IN_CODE[..], &IN_NAMES].concat();
    let comments = text.lines().filter_map(comment);
    let mut found = Vec::new();
    let mut search = |written: &str, forbidden: &[&str]| {
        let words = words(written).into_iter();
        found.extend(
            words
                .filter(|word| is_among(forbidden, word))
                .map(|word| Found {
                    file: file.to_owned(),
                    written: written.to_owned(),
                    word,
                }),
        );
    };
    source
        .identifiers
        .iter()
        .for_each(|name| search(name, &names));
    for literal in &source.literals {
        search(literal, &IN_CODE);
        names_in(literal).for_each(|name| search(name, &IN_NAMES));
    }
    comments.for_each(|comment| search(comment, &IN_COMMENTS));
    found
}

/// Whether a word is one of these, or many of one.
fn is_among(forbidden: &[&str], word: &str) -> bool {
    let one = word.strip_suffix('s').unwrap_or(word);
    forbidden.contains(&word) || forbidden.contains(&one)
}

/// The names that stand in a text, of several words that are joined: `order-events`, but neither `ORDER BY` nor `in order.`.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let joins = |c: char| matches!(c, '-' | '.' | '_' | '/');
    let parts = text.split(move |c: char| !c.is_alphanumeric() && !joins(c));
    let parts = parts.map(move |part| part.trim_matches(joins));
    parts.filter(move |part| part.contains(joins))
}

/// What a line says in a comment, if it has one: of its own, or behind code.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with("//") {
        return Some(line);
    }
    let (_, comment) = line.split_once(" // ")?;
    Some(comment)
}

/// Where a file that is no source of the crate speaks of the shop.
pub(crate) fn of_the_shop_beside(file: &str, text: &str) -> Vec<Found> {
    let forbidden = if file.ends_with(".rs") {
        [&IN_COMMENTS[..], &IN_EXAMPLES].concat()
    } else if file.ends_with(".md") {
        IN_COMMENTS.to_vec()
    } else {
        IN_CODE.to_vec()
    };
    let is_example = file.ends_with(".rs") || file.ends_with(".md");
    let in_names: &[&str] = if is_example { &[] } else { &IN_NAMES };
    let in_line = |line: &str| {
        let names = names_in(line).flat_map(words);
        let names = names.filter(|word| is_among(in_names, word));
        let words = words(line).into_iter();
        let found = words.filter(|word| is_among(&forbidden, word)).chain(names);
        let found = found.map(|word| Found {
            file: file.to_owned(),
            written: line.trim().to_owned(),
            word,
        });
        found.collect::<Vec<_>>()
    };
    text.lines().flat_map(in_line).collect()
}

/// The words of a text, in lower case: `OrderPlaced`, `order_placed` and `ORDER PLACED` have the same two.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in text.chars() {
        let begins = !letter.is_alphabetic() || (letter.is_uppercase() && before.is_lowercase());
        if begins {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn words_of_the_shop_are_found() {
    assert_eq!(
        words("OrderPlaced order_placed HTTP2Order"),
        ["order", "placed", "order", "placed", "http", "order"]
    );
    let planted = "/// `Orders` is a service; prices are high; what a customer says
        fn keep(order_id: u64, in_border: Stock, carts: u8) -> &'static str {
            let topic = \"order-events, read in order. Or /order\";
            // the Cart
            let id = order_id; // at the checkout
            \"SELECT ids FROM orders ORDER BY id\"
        }
        #[cfg(test)]
        mod tests { fn customers() {} }";
    let found = of_the_shop("x.rs", &Source::read(planted), planted);
    let found: Vec<_> = found.iter().map(|found| found.word.as_str()).collect();
    assert_eq!(
        found,
        [
            "order", "stock", "carts", "order", "order", "orders", "customer", "cart", "checkout"
        ]
    );
}

#[test]
fn words_of_the_shop_are_found_beside_the_sources() {
    let found = |file, text| {
        let found = of_the_shop_beside(file, text).into_iter();
        found.map(|found| found.word).collect::<Vec<_>>()
    };
    let example = "fn main() { ask(\"orders\"); say(\"agora, for a customer\"); }";
    assert_eq!(found("x/examples/x.rs", example), ["agora", "customer"]);
    let manifest = "description = \"Events of the shop, in order\"";
    assert_eq!(found("x/Cargo.toml", manifest), ["shop"]);
    let readme = "What a product is, and what the customer says";
    assert_eq!(found("x/README.md", readme), ["customer"]);
    let sql = "SELECT id -- of a product, in order-events\nFROM orders ORDER BY id";
    assert_eq!(found("x/src/x.sql", sql), ["product", "order", "orders"]);
}
