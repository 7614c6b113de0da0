//! The engines of operators, beside those of compose.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::render::{Rendered, list, name, repository, yaml};

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

pub(crate) fn rights_at_rabbitmq_are_those_of_compose(rendered: &Rendered) {
    let compose = std::fs::read_to_string(repository("docker-compose.yml")).unwrap();
    let compose = yaml(&compose).remove(0);
    let definitions = compose["x-rabbitmq-definitions"].as_str().unwrap();
    // Compose takes a single dollar for a variable of its own.
    let of_compose = granted(&definitions.replace("$$", "$"));
    let dev = repository("deploy/kubernetes/overlays/dev/definitions.json");
    let dev = std::fs::read_to_string(dev).unwrap();
    assert_eq!(granted(&dev), of_compose, "the overlay dev");
    let by_operator = rendered.of_kind("Permission").map(|permission| {
        let (spec, may) = (&permission["spec"], &permission["spec"]["permissions"]);
        [
            &spec["userReference"]["name"],
            &spec["vhost"],
            &may["configure"],
            &may["write"],
            &may["read"],
        ]
        .map(text)
    });
    // In a cluster nobody needs the account of whoever looks after the containers.
    let of_services = of_compose.into_iter().filter(|it| it[0] != "operator");
    assert_eq!(
        by_operator.collect::<BTreeSet<_>>(),
        of_services.collect::<BTreeSet<_>>()
    );
}

/// What RabbitMQ's definitions let each account do: the account, its virtual host, and what it may configure, write and read.
fn granted(definitions: &str) -> BTreeSet<[String; 5]> {
    let definitions: Value = serde_json::from_str(definitions).unwrap();
    let permissions = list(&definitions["permissions"]);
    let fields = ["user", "vhost", "configure", "write", "read"];
    permissions
        .map(|permission| fields.map(|field| text(&permission[field])))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
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
