//! The engines of operators, beside those of compose.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::render::{Rendered, list, name, repository};

/// What a function of the script for brokers prints, line by line.
fn printed(function: &str) -> BTreeSet<String> {
    let script = std::fs::read_to_string(repository("deploy/compose/kafka-topics.sh")).unwrap();
    // What follows asks a broker.
    let declared = script.split("\numask ").next().unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("{declared}\n{function}")])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn topics_are_those_of_compose(rendered: &Rendered) {
    let topics = rendered.of_kind("KafkaTopic").map(|topic| {
        let spec = &topic["spec"];
        assert_eq!(spec["replicas"], 3, "{}", name(topic));
        let retention = &spec["config"]["retention.ms"];
        format!("{} {} {retention}", name(topic), spec["partitions"])
    });
    assert_eq!(topics.collect::<BTreeSet<_>>(), printed("topics"));
}

pub(crate) fn rights_are_those_of_compose(rendered: &Rendered) {
    let mut rights = BTreeSet::new();
    for user in rendered.of_kind("KafkaUser") {
        let mut groups =
            list(&user["spec"]["authorization"]["acls"]).filter(|acl| kind(acl) == "group");
        assert!(groups.all(|acl| acl["resource"]["name"] == name(user)));
        let topics =
            list(&user["spec"]["authorization"]["acls"]).filter(|acl| kind(acl) == "topic");
        for acl in topics {
            let topic = acl["resource"]["name"].as_str().unwrap();
            let may = |operation: &str| list(&acl["operations"]).any(|may| may == operation);
            assert!(may("Describe") && acl["resource"]["patternType"] == "literal");
            for (operation, right) in [("Read", "READ"), ("Write", "WRITE")] {
                if may(operation) {
                    rights.insert(format!("{} {right} {topic}", name(user)));
                }
            }
        }
    }
    assert_eq!(rights, printed("rights"));
}

/// As deploy/compose/postgres.sh revokes what everybody may by default.
pub(crate) fn a_service_connects_to_its_own_database_only(rendered: &Rendered) {
    let cluster = rendered.of_kind("Cluster").next().unwrap();
    let roles = list(&cluster["spec"]["managed"]["roles"]);
    let roles: Vec<&str> = roles.map(|role| role["name"].as_str().unwrap()).collect();
    for database in rendered.of_kind("Database") {
        assert_eq!(database["spec"]["owner"], database["spec"]["name"]);
        assert!(roles.contains(&name(database)), "{}", name(database));
    }
    let all = roles.join(",");
    let rules = [
        "hostnossl all all all reject".to_owned(),
        format!("hostssl sameuser {all} all scram-sha-256"),
        // The first rule that fits is the one that holds.
        format!("hostssl all {all} all reject"),
    ];
    assert_eq!(cluster["spec"]["postgresql"]["pg_hba"], json!(rules));
}

fn kind(acl: &Value) -> &str {
    acl["resource"]["type"].as_str().unwrap()
}
