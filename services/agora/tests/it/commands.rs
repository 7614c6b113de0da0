//! The screen, the help, and the commands that are printed to be pasted.

use std::process::Command;

use serde_json::Value;

use crate::support::{
    Market, Place, agora, assert_line, read_json, run, run_into, status, unread, until,
};

#[test]
fn help_tells_what_there_is() {
    let (code, help, _) = run(agora(&["--help"]));
    assert_eq!(code, 0);
    for part in [
        "--data-dir",
        "--any-port",
        "GATEWAY_PORT",
        "DATABASE_URL",
        "endpoints.json",
        "Examples:",
    ] {
        assert!(help.contains(part), "no {part} in {help}");
    }
    let (code, up, _) = run(agora(&["up", "--help"]));
    assert_eq!(code, 0);
    assert!(up.contains("--orders-admin-port"), "{up}");
}

/// What only prints: by itself, and by the library that reads the command line.
const PRINTED: [&[&str]; 4] = [
    &["tour", "--list"],
    &["bench", "--list"],
    &["--help"],
    &["trace", "--help"],
];

/// `agora … | head -1`: whoever has what they wanted has closed the pipe, and is told nothing.
#[test]
fn an_output_that_nobody_reads_ends_a_command_without_a_word() {
    for arguments in PRINTED {
        let (code, _, why) = run_into(agora(arguments), unread());
        assert_eq!((code, why.as_str()), (141, ""), "{arguments:?}");
    }
}

#[test]
fn a_disk_that_is_full_is_one_line() {
    if !cfg!(target_os = "linux") {
        return;
    }
    for arguments in PRINTED {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let (code, _, why) = run_into(agora(arguments), full.expect("/dev/full").into());
        assert_eq!(code, 1, "{arguments:?}: {why}");
        assert_line(&why, &["nothing can be printed", "space"]);
    }
}

#[test]
fn what_is_printed_works_as_pasted() {
    let place = Place::new();
    let mut market = Market::start(&place);
    let output = market.output();
    // The page comes before everything that is for programs.
    let first = output.lines().next().unwrap_or_default();
    let page = format!("{}/", market.endpoint("gateway"));
    assert!(first.ends_with(&page), "{output}");
    assert_eq!(status(&page), 200);
    let pasted: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("TOKEN=") || line.starts_with("curl "))
        .collect();
    assert_eq!(pasted.len(), 3, "{output}");
    let shell = Command::new("sh")
        .arg("-c")
        .arg(pasted.join("\necho\n"))
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&shell.stdout);
    assert!(said.contains(r#""status":"pending""#), "the order: {said}");
    assert!(said.contains("demo@agora.example"), "the dashboard: {said}");
    market.stop();
}

/// Nobody is warned of a start that went well: services wait for each other then, and do not complain. That a statement took a
/// second says something of a busy machine.
#[track_caller]
fn assert_nothing_is_wrong(place: &Place) {
    let log = std::fs::read_to_string(place.data().join("agora.log")).expect("agora.log");
    let level = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let lines = log.lines().filter(|line| !line.contains("slow statement"));
    let levels: Vec<_> = lines.filter_map(level).collect();
    assert!(levels.iter().any(|level| level == "INFO"), "no log: {log}");
    let is_loud = |level: &String| matches!(level.as_str(), "WARN" | "ERROR");
    assert!(!levels.iter().any(is_loud), "{log}");
}

#[test]
fn everything_is_where_endpoints_json_says() {
    let place = Place::new();
    let mut market = Market::start(&place);
    // What it prints names the page first.
    let page = format!("{}/", market.endpoint("gateway"));
    until("a first line", || {
        let output = market.output();
        let (first, _) = output.split_once('\n')?;
        assert!(first.ends_with(&page), "{output}");
        Some(())
    });
    assert_eq!(
        status(&format!("{}/api/products", market.endpoint("gateway"))),
        200
    );
    for service in ["gateway", "users", "orders", "products", "notifications"] {
        let admin = market.endpoints["admin"][service].as_str().expect(service);
        assert_eq!(status(&format!("{admin}/readyz")), 200, "{service}");
        assert_eq!(status(&format!("{admin}/metrics")), 200, "{service}");
        assert_eq!(status(&format!("{admin}/clients")), 200, "{service}");
        // It is there to be broken.
        assert_eq!(status(&format!("{admin}/faults")), 200, "{service}");
    }
    assert_nothing_is_wrong(&place);
    for name in ["users", "orders", "products", "products_grpc"] {
        let address = market.endpoint(name).trim_start_matches("http://");
        std::net::TcpStream::connect(address).expect(name);
    }
    std::net::TcpStream::connect(market.endpoint("kafka")).expect("kafka");
    assert!(market.endpoint("database").starts_with("postgres://"));
    assert_eq!(
        market.endpoint("mail"),
        place.data().join("mail").to_str().expect("text")
    );
    market.stop();
}

#[test]
fn secrets_are_closed_and_the_administrator_stays() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let mut market = Market::start(&place);
    for file in ["endpoints.json", "admin.json", "agora.log", "agora.lock"] {
        let mode = std::fs::metadata(place.data().join(file))
            .expect(file)
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let mail = std::fs::metadata(place.data().join("mail"))
        .expect("mail")
        .permissions()
        .mode();
    assert_eq!(mail & 0o777, 0o700);
    let first = read_json(&place.data().join("admin.json")).expect("admin.json");
    assert!(can_sign_in(&market, &first));
    market.stop();
    let mut market = Market::start(&place);
    let second = read_json(&place.data().join("admin.json")).expect("admin.json");
    assert_eq!(first, second);
    assert!(can_sign_in(&market, &second));
    market.stop();
}

/// What each service was told about its admin port; what the port makes of it is tested in the chassis.
#[test]
fn admin_ports_answer_to_their_names_and_want_their_token() {
    const TOKEN: &str = "a-token-of-24-characters";
    let place = Place::new();
    let mut command = place.agora(&["up", "--admin-bind-host", "0.0.0.0"]);
    command
        .env("ADMIN_HOSTS", "agora.internal")
        .env("ADMIN_TOKEN", TOKEN);
    let mut market = Market::start_with(&place, command);
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent();
    for service in ["gateway", "users", "orders", "products", "notifications"] {
        let admin = market.endpoints["admin"][service].as_str().expect(service);
        let asked = |host: &str| {
            let answer = agent
                .get(&format!("{admin}/metrics"))
                .header("host", host)
                .call();
            answer.expect("an answer").status().as_u16()
        };
        assert_eq!(asked("evil.example"), 403, "{service}");
        assert_eq!(asked("agora.internal:1234"), 200, "{service}");
        let clear = |bearer: &str| {
            let clear = agent
                .delete(&format!("{admin}/faults"))
                .header("authorization", bearer);
            clear.call().expect("an answer").status().as_u16()
        };
        assert_eq!(clear("Bearer another"), 401, "{service}");
        assert_eq!(clear(&format!("Bearer {TOKEN}")), 204, "{service}");
    }
    assert!(!market.output().contains(TOKEN));
    market.stop();
}

/// Without a subcommand, with the environment's settings, and with a log on the terminal.
#[test]
fn up_is_the_default() {
    let place = Place::new();
    let mut command = place.agora(&["--verbose"]);
    command
        .env("OUTBOX_POLL", "100ms")
        .env("LOG_FORMAT", "json");
    let mut market = Market::start_with(&place, command);
    assert!(
        market.output().lines().any(|line| line.starts_with('{')),
        "a log line: {}",
        market.output()
    );
    assert!(!place.data().join("agora.log").exists());
    market.stop();
}

/// A setting may come from a variable when the subcommand is spelled out, also one that is otherwise chosen here.
#[test]
fn the_subcommand_up_reads_variables_too() {
    let place = Place::new();
    let mut command = agora(&["up", "--any-port"]);
    command
        .env("AGORA_DATA_DIR", place.data())
        .env("LOG_FORMAT", "json")
        .env("OBSERVED", "elsewhere=http://127.0.0.1:1");
    let mut market = Market::start_with(&place, command);
    let state = format!("{}/v1/state", market.endpoint("observatory"));
    let mut answer = ureq::get(&state).call().expect("a state");
    let state: Value = answer.body_mut().read_json().expect("JSON");
    let names: Vec<_> = state["services"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|service| &service["name"])
        .collect();
    assert_eq!(names, ["elsewhere"], "{state}");
    market.stop();
}

/// A desktop's opener that writes down what it is asked for, and ends like this.
fn opener(place: &Place, code: i32) -> std::ffi::OsString {
    use std::os::unix::fs::PermissionsExt;
    let directory = place.path("bin");
    std::fs::create_dir_all(&directory).expect("a directory");
    for name in ["xdg-open", "open"] {
        let program = directory.join(name);
        let opened = place.path("opened");
        let script = format!(
            "#!/bin/sh\necho \"$1\" > {}\nexit {code}\n",
            opened.display()
        );
        std::fs::write(&program, script).expect("a script");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("its mode");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(directory).chain(std::env::split_paths(&path));
    std::env::join_paths(all).expect("a path")
}

#[test]
fn the_page_is_opened_when_it_is_asked_for() {
    for code in [0, 3] {
        let place = Place::new();
        let mut command = place.agora(&["up", "--open"]);
        command.env("PATH", opener(&place, code));
        let mut market = Market::start_with(&place, command);
        let page = format!("{}/", market.endpoint("gateway"));
        until("the page to be opened", || {
            let opened = std::fs::read_to_string(place.path("opened")).ok()?;
            (opened.trim() == page).then_some(())
        });
        if code != 0 {
            // Somebody has to do it by hand, and is told so.
            until("a line that says so", || {
                let output = market.output();
                let line = output
                    .lines()
                    .find(|line| line.contains("No browser was opened"))?;
                assert!(line.contains(&page) && line.contains('3'), "{line}");
                Some(())
            });
        }
        market.stop();
    }
}

fn can_sign_in(market: &Market, credentials: &serde_json::Value) -> bool {
    let url = format!("{}/api/sessions", market.endpoint("gateway"));
    ureq::post(&url)
        .send_json(credentials)
        .is_ok_and(|answer| answer.status().as_u16() == 201)
}
