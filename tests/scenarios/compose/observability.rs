//! What Prometheus and Grafana are told to show is there to be shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scenarios::compose::Compose;
use scenarios::{Marketplace, Shop, wait};
use serde_json::Value;

/// How long it may take until everything has been scraped twice, on a busy machine on which each purchase takes seconds.
const SCRAPED: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Every query of every panel and of every rule, asked of a Prometheus that has seen purchases; and the rules' own tests.
pub(crate) fn every_panel_and_rule_has_data(compose: &mut Compose) {
    compose.run(&["up", "--detach", "--no-build", "--no-deps", "prometheus"]);
    compose.until_healthy();
    let tool = |arguments: &[&str]| {
        let exec = ["exec", "-T", "prometheus", "promtool"];
        compose.run(&[&exec, arguments].concat())
    };
    tool(&["check", "config", "/etc/prometheus/prometheus.yml"]);
    tool(&["test", "rules", "/etc/prometheus/rules_test.yml"]);

    let prometheus = Shop::new(&compose.prometheus());
    let (rules, unwell) = rules(&prometheus);
    assert_eq!(unwell, Vec::<Value>::new());
    let mut open: BTreeSet<String> = panels().chain(rules).collect();
    assert!(open.len() > 30, "{open:?}");
    let since = Instant::now();
    while !open.is_empty() {
        assert!(since.elapsed() < SCRAPED, "no data: {open:#?}");
        purchase(compose);
        open.retain(|query| is_empty(&prometheus, query));
    }
    compose.run(&["rm", "--stop", "--force", "prometheus"]);
}

/// A mail, a reservation, a rejection and a dashboard: something of everything that is counted.
fn purchase(compose: &Compose) {
    let shop = compose.shop();
    let customer = shop.customer();
    let goods = shop.catalogue();
    let product = goods[0]["id"].as_str().expect("an id");
    for quantity in [1, 1_000] {
        let order = shop.order(&customer, product, quantity).expect(201).id();
        let _ = shop.settled(&customer, &order);
    }
    let dashboard = format!("/api/dashboard/{}", customer.id);
    let _ = shop.get(&dashboard, Some(&customer.token)).expect(200);
}

/// The queries of all dashboards.
fn panels() -> impl Iterator<Item = String> {
    dashboards().into_iter().flat_map(|path| {
        let text = std::fs::read_to_string(&path).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        let panels = dashboard["panels"].as_array().cloned().expect("panels");
        let targets = panels.into_iter().flat_map(|panel| {
            let targets = panel["targets"].as_array().cloned();
            targets.expect("targets")
        });
        let queries = targets.map(|target| target["expr"].as_str().expect("a query").to_owned());
        queries.collect::<Vec<_>>()
    })
}

fn dashboards() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/dashboards");
    let files = std::fs::read_dir(root).expect("the dashboards");
    files.map(|file| file.expect("a file").path()).collect()
}

/// What the rules ask, an alert without what it compares with; and the rules that Prometheus cannot evaluate.
fn rules(prometheus: &Shop) -> (Vec<String>, Vec<Value>) {
    let evaluated = |rule: &Value| rule["health"] != "unknown";
    let all = wait::until_every(LOOK_EVERY, SCRAPED, "all rules to be evaluated", || {
        let answer = prometheus.get("/api/v1/rules", None).expect(200).json;
        let groups = answer["data"]["groups"].as_array().cloned()?;
        let rules = groups.into_iter().flat_map(|group| {
            let rules = group["rules"].as_array().cloned();
            rules.unwrap_or_default()
        });
        let rules: Vec<_> = rules.collect();
        (!rules.is_empty() && rules.iter().all(evaluated)).then_some(rules)
    });
    let (well, unwell): (Vec<_>, Vec<_>) = all.into_iter().partition(|rule| rule["health"] == "ok");
    let queries = well.iter().flat_map(|rule| {
        let query = rule["query"].as_str().expect("a query");
        let is_alert = rule["type"] == "alerting";
        let parts = query.split(" and ").filter(move |_| is_alert);
        let compared = parts.filter_map(|part| {
            let end = part.rfind(['>', '<']).or_else(|| part.rfind("=="))?;
            Some(part[..end].trim().to_owned())
        });
        let whole = (!is_alert).then(|| query.to_owned());
        let asked: Vec<_> = compared.chain(whole).collect();
        assert!(!asked.is_empty(), "{query} compares nothing");
        asked
    });
    (queries.collect(), unwell)
}

fn is_empty(prometheus: &Shop, query: &str) -> bool {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = prometheus.get(&format!("/api/v1/query?query={encoded}"), None);
    let answer = answer.expect(200).json;
    let result = answer["data"]["result"].as_array();
    // NaN is what a quantile of nothing is.
    !result.is_some_and(|all| all.iter().any(|one| one["value"][1] != "NaN"))
}
