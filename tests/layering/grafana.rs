//! Grafana's files, held to what Grafana reads. It says nothing of a panel that it cannot draw: it leaves it empty.
//!
//! That a query returns something is asked of a Prometheus elsewhere (the scenario `every_panel_and_rule_has_data`); here is
//! what can be seen without one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::repository::package;

const DASHBOARDS: &str = "deploy/grafana/dashboards";
const PROVISIONING: &str = "deploy/grafana/provisioning";
/// Panels that Grafana has built in and that draw what a query of Prometheus returns. A row, which has panels of its own, is
/// none of them: its queries would be asked nowhere.
const PANELS: [&str; 6] = [
    "bargauge",
    "gauge",
    "heatmap",
    "stat",
    "table",
    "timeseries",
];
/// Units that are used, by Grafana's own names; another one would be shown as text behind the number.
const UNITS: [&str; 5] = ["ops", "percentunit", "reqps", "s", "short"];
/// How wide a dashboard is.
const COLUMNS: u64 = 24;

/// A source of data: its type, and where it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    of_type: String,
    url: String,
}

/// The sources that a provisioning file declares, by their uids. Read line by line: one key a line, a list of maps.
fn sources(yaml: &str) -> BTreeMap<String, Source> {
    let mut found = BTreeMap::new();
    for entry in yaml.split("\n  - ").skip(1) {
        let keys = entry
            .lines()
            .filter_map(|line| line.trim().split_once(": "));
        let keys: BTreeMap<&str, &str> = keys.collect();
        let text = |key: &str| (*keys.get(key).unwrap_or(&"")).to_owned();
        let source = Source {
            of_type: text("type"),
            url: text("url"),
        };
        found.insert(text("uid"), source);
    }
    found
}

/// What is wrong with a dashboard.
fn mistakes(dashboard: &Value, sources: &BTreeMap<String, Source>) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["uid", "title", "description"] {
        if !is_text(&dashboard[name]) {
            found.push(format!("no {name}"));
        }
    }
    if dashboard["schemaVersion"].as_u64().is_none() {
        found.push("no schemaVersion".to_owned());
    }
    let none = Vec::new();
    let panels = dashboard["panels"].as_array().unwrap_or(&none);
    if panels.is_empty() {
        found.push("no panels".to_owned());
    }
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let mut wrong = of_panel(panel, sources);
        if !panel["id"].as_u64().is_some_and(|id| ids.insert(id)) {
            wrong.push("its id is no number, or another's".to_owned());
        }
        if !has_its_place(&panel["gridPos"], &mut taken) {
            wrong.push("it stands outside, or on another".to_owned());
        }
        let title = &panel["title"];
        found.extend(wrong.into_iter().map(|what| format!("{title}: {what}")));
    }
    found
}

/// What is wrong with a panel by itself.
fn of_panel(panel: &Value, sources: &BTreeMap<String, Source>) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_one_of =
        |value: &Value, known: &[&str]| value.as_str().is_some_and(|it| known.contains(&it));
    for name in ["title", "description"] {
        if !is_text(&panel[name]) {
            wrong.push(format!("no {name}"));
        }
    }
    if !is_one_of(&panel["type"], &PANELS) {
        wrong.push(format!("{} is no panel that is drawn", panel["type"]));
    }
    let unit = &panel["fieldConfig"]["defaults"]["unit"];
    if !is_one_of(unit, &UNITS) {
        wrong.push(format!("{unit} is no unit that is known"));
    }
    let source = &panel["datasource"];
    let declared = source["uid"].as_str().and_then(|uid| sources.get(uid));
    if declared.is_none_or(|declared| source["type"] != declared.of_type.as_str()) {
        wrong.push(format!("{source} is not provisioned"));
    }
    let none = Vec::new();
    let targets = panel["targets"].as_array().unwrap_or(&none);
    let mut names = BTreeSet::new();
    if targets.is_empty() {
        wrong.push("it asks nothing".to_owned());
    }
    for target in targets {
        let name = target["refId"].as_str().filter(|name| !name.is_empty());
        if !name.is_some_and(|name| names.insert(name)) {
            wrong.push("a query without a name, or with another's".to_owned());
        }
        if !is_text(&target["expr"]) || !is_text(&target["legendFormat"]) {
            wrong.push("a query that asks nothing, or has no legend".to_owned());
        }
        // Prometheus is asked for each panel's own source; a variable would be asked as text.
        if target["expr"]
            .as_str()
            .is_some_and(|expr| expr.contains('$'))
        {
            wrong.push("a query with a variable".to_owned());
        }
    }
    wrong
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Takes the cells of a panel, if they are on the board and free.
fn has_its_place(at: &Value, taken: &mut BTreeSet<(u64, u64)>) -> bool {
    let [x, y, width, height] = ["x", "y", "w", "h"].map(|name| at[name].as_u64());
    let (Some(x), Some(y), Some(width), Some(height)) = (x, y, width, height) else {
        return false;
    };
    if width == 0 || height == 0 || x + width > COLUMNS {
        return false;
    }
    let cells = (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y)));
    let cells: Vec<_> = cells.collect();
    cells.into_iter().all(|cell| taken.insert(cell))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(package("deploy", "..").join(path)).expect(path)
}

/// What is provisioned is where it says.
#[test]
fn grafana_finds_what_it_is_given() {
    let compose = text("docker-compose.yml");
    let sources = sources(&text(&format!("{PROVISIONING}/datasources/prometheus.yml")));
    assert_eq!(sources["prometheus"].of_type, "prometheus");
    for (uid, source) in &sources {
        let host = source.url.strip_prefix("http://").expect("a URL");
        let (host, _) = host.split_once(':').expect("a port");
        assert!(compose.contains(&format!("\n  {host}:\n")), "{uid}: {host}");
    }
    let provider = text(&format!("{PROVISIONING}/dashboards/agora.yml"));
    let (_, path) = provider.split_once("path: ").expect("a path");
    let path = path.trim_end().trim_end_matches('}');
    for (folder, inside) in [
        (DASHBOARDS, path),
        (PROVISIONING, "/etc/grafana/provisioning"),
    ] {
        let mount = format!("- ./{folder}:{inside}:ro\n");
        assert!(compose.contains(&mount), "{mount}");
    }
}

#[test]
fn dashboards_are_what_grafana_draws() {
    let sources = sources(&text(&format!("{PROVISIONING}/datasources/prometheus.yml")));
    let folder = package("deploy", "..").join(DASHBOARDS);
    let (mut uids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(folder).expect(DASHBOARDS) {
        let path = entry.expect("a file").path();
        let name = path.display();
        let json = std::fs::read_to_string(&path).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&json).expect("JSON");
        let mistakes = mistakes(&dashboard, &sources);
        assert!(mistakes.is_empty(), "{name}: {mistakes:#?}");
        assert!(
            uids.insert(dashboard["uid"].to_string()),
            "{name}: its uid is another's"
        );
        assert!(
            titles.insert(dashboard["title"].to_string()),
            "{name}: its title is another's"
        );
    }
    assert_eq!(uids.len(), 5, "{uids:?}");
}

#[test]
fn mistakes_of_a_dashboard_are_seen() {
    let sources = sources(
        "datasources:\n  - name: P\n    uid: p\n    type: prometheus\n    url: http://p:1\n",
    );
    let panel = |id: u64, x: u64| {
        serde_json::json!({
            "id": id, "type": "stat", "title": "t", "description": "d",
            "datasource": {"type": "prometheus", "uid": "p"},
            "gridPos": {"x": x, "y": 0, "w": 12, "h": 8},
            "fieldConfig": {"defaults": {"unit": "s"}},
            "targets": [{"refId": "A", "expr": "up", "legendFormat": "l"}],
        })
    };
    let good = serde_json::json!({"uid": "u", "title": "t", "description": "d", "schemaVersion": 39,
        "panels": [panel(1, 0), panel(2, 12)]});
    assert_eq!(mistakes(&good, &sources), Vec::<String>::new());
    for (path, bad) in [
        ("/uid", Value::Null),
        ("/panels", serde_json::json!([])),
        ("/panels/1/id", 1.into()),
        ("/panels/1/type", "row".into()),
        ("/panels/1/datasource/uid", "q".into()),
        ("/panels/1/datasource/type", "jaeger".into()),
        ("/panels/1/fieldConfig/defaults/unit", "seconds".into()),
        ("/panels/1/gridPos/x", 11.into()),
        ("/panels/1/gridPos/w", 13.into()),
        ("/panels/1/targets", serde_json::json!([])),
        ("/panels/1/targets/0/expr", " ".into()),
        ("/panels/1/targets/0/expr", "up{job=\"$job\"}".into()),
        ("/panels/1/targets/0/refId", Value::Null),
    ] {
        let mut dashboard = good.clone();
        *dashboard.pointer_mut(path).expect(path) = bad;
        assert_eq!(mistakes(&dashboard, &sources).len(), 1, "{path}");
    }
}
