//! The topics: what services read is what is declared, by the script for brokers and by `agora` for the cluster in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::repository::{Files, names, package, rust_files};

/// The list of topics and rights for brokers.
const SCRIPT: &str = "deploy/compose/kafka-topics.sh";

/// Names of topics; with a group, `<group> <topic>`.
type Names = BTreeSet<String>;

/// The topics that the script makes.
fn made(script: &str) -> Names {
    let mut made = Names::new();
    for command in body(script, "topics() {", "}").split("printf ").skip(1) {
        let mut parts = command.splitn(3, '"');
        let format = parts.nth(1).expect("a format");
        let suffix = format.split(' ').next().and_then(|f| f.strip_prefix("%s"));
        let words = parts.next().expect("names").split_whitespace();
        // A line that goes on ends with a backslash; behind the names may stand a comment.
        let words = words.take_while(|word| !word.starts_with('#'));
        let names = words.filter(|word| *word != "\\");
        made.extend(names.map(|name| format!("{name}{}", suffix.expect("%s first"))));
    }
    made
}

/// Who has this right, each as `<account> <topic>`.
fn rights(script: &str, right: &str) -> Names {
    let lines = body(script, "<<'END'", "END").lines();
    let words = lines.filter_map(|line| line.split_once(&format!(" {right} ")));
    words.map(|(who, topic)| format!("{who} {topic}")).collect()
}

/// The text between a line that ends with `from` and the next line that is `to`.
fn body<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("{from}\n"))
        .unwrap_or_else(|| panic!("{from} is there"));
    rest.split(&format!("\n{to}\n")).next().expect("a part")
}

/// The constants `pub const NAME: &str = "value"` of a source.
fn constants(source: &str) -> BTreeMap<String, String> {
    let lines = source.lines().map(str::trim);
    let constants =
        lines.filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = "));
    let value = |text: &str| text.trim_matches([';', '"']).to_owned();
    constants
        .map(|(name, text)| (name.to_owned(), value(text)))
        .collect()
}

/// What the cluster in memory has: the entries `(NAME, …)` and `("name", …)` of a list.
fn in_memory(source: &str, constants: &BTreeMap<String, String>) -> Names {
    let list = body(source, "= [", "];");
    let entries = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix('('));
    let names = entries.filter_map(|entry| entry.split(',').next());
    names.map(|name| value_of(name, constants)).collect()
}

fn value_of(name: &str, constants: &BTreeMap<String, String>) -> String {
    let literal = name.trim_matches('"');
    let name = name.rsplit("::").next().unwrap_or(name);
    constants
        .get(name)
        .map_or(literal, String::as_str)
        .to_owned()
}

/// What a service reads: the lists that its consumers of groups get.
fn read_by(service: &str, files: &Files, constants: &BTreeMap<String, String>) -> Names {
    let mut read = Names::new();
    for source in files.values() {
        for call in source.split(".consumer(").skip(1) {
            let list = call.split_once('[').expect("a list of topics").1;
            let list = list.split(']').next().expect("its end").split(',');
            let topics = list.map(str::trim).filter(|name| !name.is_empty());
            read.extend(topics.map(|name| format!("{service} {}", value_of(name, constants))));
        }
    }
    read
}

/// Where the groups of these readers park, each as `<account> <topic>`.
fn parked(readers: &Names) -> Names {
    let pairs = readers.iter().filter_map(|reader| reader.split_once(' '));
    pairs
        .map(|(group, topic)| format!("{group} {topic}.{group}.dlq"))
        .collect()
}

/// Without what is for sending dead letters again.
fn facts_and_dead_letters(names: Names) -> Names {
    let wanted = |name: &String| !name.contains('.') || name.ends_with(".dlq");
    names.into_iter().filter(wanted).collect()
}

#[test]
fn topics_are_declared_as_they_are_used() {
    let root = package("deploy", "..");
    let text = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    let script = text(SCRIPT);
    let constants = constants(&text("crates/contracts/src/names.rs"));

    let mut read = Names::new();
    for service in names("services") {
        let files = rust_files(&package("services", &service));
        read.extend(read_by(&service, &files, &constants));
    }
    assert!(!read.is_empty(), "no service reads a topic");
    let facts_read = facts_and_dead_letters(rights(&script, "READ"));
    let dead = parked(&read);
    // Who parks counts what is parked.
    let reads: Names = read.union(&dead).cloned().collect();
    assert_eq!(facts_read, reads, "{SCRIPT} lets read what services read");

    let writers = facts_and_dead_letters(rights(&script, "WRITE"));
    assert!(
        dead.is_subset(&writers),
        "{dead:?} in {SCRIPT}: {writers:?}"
    );

    let made = facts_and_dead_letters(made(&script));
    let topic = |pair: &String| pair.split(' ').next_back().map(str::to_owned);
    let written: Names = writers.iter().filter_map(topic).collect();
    assert_eq!(made, written, "{SCRIPT} makes what somebody may write");

    let source = text("services/agora/src/engines/kafka.rs");
    let in_memory = facts_and_dead_letters(in_memory(&source, &constants));
    assert_eq!(in_memory, made, "agora makes the same topics as {SCRIPT}");
}

/// What functions of the script print, line by line.
fn printed(script: &str, call: &str) -> Vec<String> {
    // What follows asks a broker.
    let declared = script.split("\numask ").next().expect("a part");
    let output = Command::new("bash")
        .args(["-c", &format!("{declared}\n{call}")])
        .output()
        .expect("bash");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

/// What stands behind an option, each time that it is there.
fn given<'a>(line: &'a str, option: &str) -> Vec<&'a str> {
    let words: Vec<&str> = line.split(' ').collect();
    let pairs = words.windows(2).filter(|pair| pair[0] == option);
    pairs.map(|pair| pair[1]).collect()
}

/// Each line is a JVM, and nothing else in a start of all containers takes as long.
#[test]
fn all_that_an_account_lacks_of_a_right_is_one_line() {
    let script = std::fs::read_to_string(package("deploy", "..").join(SCRIPT)).expect(SCRIPT);
    let (mut granted, mut lines) = (Names::new(), Names::new());
    for line in printed(&script, "missing_rights ''") {
        let principals = given(&line, "--allow-principal");
        let account = principals[0].strip_prefix("User:").expect("an account");
        let is_consumer = line.contains(" --consumer ");
        let right = if is_consumer { "READ" } else { "WRITE" };
        let groups: Vec<&str> = is_consumer.then_some(account).into_iter().collect();
        assert_eq!(given(&line, "--group"), groups);
        let topics = given(&line, "--topic").into_iter();
        granted.extend(topics.map(|topic| format!("{account} {right} {topic}")));
        assert!(lines.insert(format!("{account} {right}")), "{line}");
    }
    let all: Names = printed(&script, "rights").into_iter().collect();
    assert_eq!(granted, all);

    let all_is_there = "missing_topics \"$(topics | cut -d' ' -f1)\"\nmissing_rights \"$(rights)\"";
    let missing = printed(&script, all_is_there);
    assert!(missing.is_empty(), "{missing:?}");
}

/// Kafka's program gives the two one after the other. What of them is there is told from what it lists.
#[test]
fn a_right_to_read_is_none_without_that_of_the_group() {
    const OF_TOPIC: &str = "Current ACLs for resource `ResourcePattern(resourceType=TOPIC, name=stock-events, patternType=LITERAL)`: \n \t\
        (principal=User:orders, host=*, operation=READ, permissionType=ALLOW)\n\t\
        (principal=User:orders, host=*, operation=DESCRIBE, permissionType=ALLOW)\n\t\
        (principal=User:products, host=*, operation=WRITE, permissionType=ALLOW) \n\n";
    const OF_GROUP: &str = "Current ACLs for resource `ResourcePattern(resourceType=GROUP, name=orders, patternType=LITERAL)`: \n \t\
        (principal=User:orders, host=*, operation=READ, permissionType=ALLOW) \n\n";
    let script = std::fs::read_to_string(package("deploy", "..").join(SCRIPT)).expect(SCRIPT);
    let existing = |listed: &str| {
        printed(
            &script,
            &format!("existing_rights <<'LIST'\n{listed}\nLIST"),
        )
    };
    assert_eq!(existing(OF_TOPIC), ["products WRITE stock-events"]);
    let both = existing(&format!("{OF_TOPIC}{OF_GROUP}"));
    let rights = ["orders READ stock-events", "products WRITE stock-events"];
    assert_eq!(both, rights);
    assert!(existing("").is_empty());
}

/// The image of Apache Kafka is made from Alpine. An image that has the programs of GNU takes more, and would not show it.
#[test]
fn the_script_asks_no_more_of_xargs_than_busybox_has() {
    const BUSYBOX: [&str; 6] = ["-0", "-I", "-P", "-n", "-r", "-t"];
    let script = std::fs::read_to_string(package("deploy", "..").join(SCRIPT)).expect(SCRIPT);
    let commands = script.lines().filter(|line| !line.starts_with('#'));
    let arguments: Vec<&str> = commands
        .filter_map(|line| Some(line.split_once("| xargs ")?.1))
        .collect();
    assert!(!arguments.is_empty(), "{SCRIPT} has none");
    for line in arguments {
        let own = line.split(" bash ").next().expect("a part");
        let options = own.split(' ').filter(|word| word.starts_with('-'));
        let unknown: Vec<&str> = options.filter(|word| !BUSYBOX.contains(word)).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {SCRIPT}: {line}");
    }
}

#[test]
fn lists_of_topics_are_read() {
    let script = "topics() {\n    # why\n    printf \"%s $n\\n\" a b\n    printf \"%s.dlq 1\\n\" a.x \\\n        b.y\n}\n\
        cat <<'END'\nx READ a\nx WRITE a.x.dlq\ny READ b\nEND\n";
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Names>()
    };
    assert_eq!(made(script), list(&["a", "a.x.dlq", "b", "b.y.dlq"]));
    assert_eq!(rights(script, "READ"), list(&["x a", "y b"]));
    assert_eq!(
        parked(&rights(script, "READ")),
        list(&["x a.x.dlq", "y b.y.dlq"])
    );
    let constants = constants("pub mod topics {\n    pub const A: &str = \"a\";\n}");
    let source = "const T: [(&str, i32); 2] = [\n    (A, 1),\n    (\"b\", 2),\n];\n";
    assert_eq!(in_memory(source, &constants), list(&["a", "b"]));
    let files = [(
        "lib.rs".to_owned(),
        "config.kafka.consumer(NAME, GROUP, [topics::A, B], &dead_letters)".to_owned(),
    )];
    assert_eq!(
        read_by("s", &files.into(), &constants),
        list(&["s B", "s a"])
    );
}
