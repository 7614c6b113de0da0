//! `agora up`: a start, a run, a stop.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chassis::Shutdown;
use chassis::output;
use chassis::telemetry::{self, RotatingFile, Telemetry, Writer};

use messaging::args::KafkaArgs;
use tokio::net::TcpListener;

use crate::browser;
use crate::cli::Up;
use crate::demo::{self, Demo};
use crate::endpoints::Endpoints;
use crate::engines::Engines;
use crate::failure::Failure;
use crate::files::{Admin, DataDir};
use crate::load;
use crate::screen;
use crate::services::{self, Addresses, Listeners, Services, Wiring};
use crate::signals::Signals;
use crate::switches;

/// How long PostgreSQL gets to stop cleanly; after that it is told to stop at once, and recovers at the
/// next start.
const DATABASE_PATIENCE: Duration = Duration::from_millis(600);
/// The interval at which it is checked that PostgreSQL still runs.
const DATABASE_CHECK: Duration = Duration::from_millis(250);
/// The longest duration of a stop: the services, then the engines.
const STOP_MAX: Duration = Duration::from_secs(5);
/// The exit code of a stop that a second signal has aborted: 128 + SIGINT, as in shells.
const CUT_OFF: i32 = 130;

/// The directory of mails in the data directory.
const MAIL: &str = "mail";

/// The running marketplace.
struct Marketplace {
    data: DataDir,
    addresses: Addresses,
    engines: Engines,
    services: Services,
    /// Ends the port of the switches.
    switches: Shutdown,
    demo: Demo,
    mail: Option<PathBuf>,
}

/// Runs until a signal or a failure.
pub(crate) async fn run(up: Up) -> Result<(), Failure> {
    services::check(&up)?;
    let data = DataDir::open(up.data_dir.as_deref(), up.engines.database_url.is_none())?;
    let _telemetry = log(&up, &data)?;
    chassis::descriptors::raise();
    let mut signals = Signals::listen()?;
    Endpoints::clear(&data.file("endpoints.json"))?;
    let listeners = Listeners::bind(&up).await?;

    let (verbose, open) = (up.verbose, up.open);
    let mut start = tokio::spawn(start(up, data, listeners));
    let mut market = tokio::select! {
        started = &mut start => started.map_err(|panic| Failure::new(panic.to_string()))??,
        // No request was accepted yet, so nothing has to be drained. The services end with the process, and PostgreSQL is
        // stopped by its watchdog.
        signal = signals.next() => {
            tracing::info!(signal, "stopped while starting");
            say(&format!("Stopped while starting ({signal})."));
            start.abort();
            return Ok(());
        }
    };
    let endpoints = Endpoints::publish(
        market.data.file("endpoints.json"),
        &market.addresses,
        &market.engines.databases,
        &market.engines.kafka,
        market.mail.as_deref(),
    )?;
    show(&market, verbose);
    if open {
        open_page(&market.addresses);
    }

    let outcome = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, deadline_s = STOP_MAX.as_secs(), "stopping: what was begun is finished first");
            say(&screen::stopping(signal, STOP_MAX));
            Ok(())
        }
        why = failure(&mut market.services, &mut market.engines) => Err(Failure::new(why)),
    };
    drop(endpoints);
    // After a failure only one line is printed, the last one: what failed.
    let tell = if outcome.is_ok() { say } else { |_: &str| {} };
    tokio::select! {
        () = stop(market, tell) => outcome,
        _ = signals.next() => std::process::exit(CUT_OFF),
    }
}

/// Opens the page in a browser, and prints a line if there is none. It is not waited for.
fn open_page(addresses: &Addresses) {
    let page = format!("{}/", services::http(addresses.gateway));
    tokio::spawn(async move {
        if let Err(why) = browser::open(&page).await {
            say(&why);
        }
    });
}

/// Starts everything; if something fails, what is already running is stopped in reverse order.
async fn start(up: Up, data: DataDir, listeners: Listeners) -> Result<Marketplace, Failure> {
    let begun = Instant::now();
    let addresses = listeners.addresses()?;
    let engines = Engines::start(&up, &data).await?;
    let engines_ms = begun.elapsed().as_millis();
    match open(&up, &data, &engines, listeners, addresses).await {
        Ok((services, switches, demo)) => {
            let all_ms = begun.elapsed().as_millis();
            tracing::info!(engines_ms, all_ms, "ready");
            let mail = up.engines.smtp_url.is_none().then(|| data.file(MAIL));
            Ok(Marketplace {
                data,
                addresses,
                engines,
                services,
                switches,
                demo,
                mail,
            })
        }
        Err(failure) => {
            engines.stop(DATABASE_PATIENCE).await;
            Err(failure)
        }
    }
}

/// Starts the services on the engines, and signs the demo customer up.
async fn open(
    up: &Up,
    data: &DataDir,
    engines: &Engines,
    listeners: Listeners,
    addresses: Addresses,
) -> Result<(Services, Shutdown, Demo), Failure> {
    let admin = Admin::ensure(&up.admin, &data.file("admin.json"))?;
    let mail = data.file(MAIL);
    switches::mend_mail(&mail).map_err(|error| cannot_write(&mail, &error))?;
    // Others may enter root's data directory, but must not read the mails.
    private_directory(&mail)?;
    let wiring = Wiring {
        up,
        addresses,
        databases: &engines.databases,
        kafka_brokers: engines.kafka.brokers(),
        kafka_forgets: engines.kafka.forgets(),
        admin: &admin,
        mail: &mail,
    };
    let (listeners, port) = listeners.split();
    let configs = wiring.configs()?;
    let kafka = configs.orders.kafka.clone();
    let services = Services::start(configs, listeners, addresses).await?;
    let switches = serve_switches(up, engines, &kafka, &services, addresses, &mail, port);
    let demo = match switches {
        Ok(switches) => demo::ensure(addresses.gateway)
            .await
            .map(|demo| (switches, demo)),
        Err(failure) => Err(failure),
    };
    match demo {
        Ok((switches, demo)) => Ok((services, switches, demo)),
        Err(failure) => {
            services.stop(|_| {}).await;
            Err(failure)
        }
    }
}

/// Serves the switches until the shutdown that it returns. `kafka` is what the services are told of it.
fn serve_switches(
    up: &Up,
    engines: &Engines,
    kafka: &KafkaArgs,
    services: &Services,
    at: Addresses,
    mail: &Path,
    port: TcpListener,
) -> Result<Shutdown, Failure> {
    let switches = switches::all(up, engines, services, mail)?;
    let shop = services::http(at.gateway);
    load::add_switches(&switches, &shop, kafka, &engines.databases.queue)?;
    let shutdown = Shutdown::manual();
    let (up, stop) = (up.clone(), shutdown.clone());
    tokio::spawn(async move {
        // All other parts go on without them.
        if let Err(error) = switches::serve(&up, port, switches, stop).await {
            tracing::error!(%error, "the port of the switches failed; the marketplace goes on without it");
        }
    });
    Ok(shutdown)
}

/// Waits until a service or an engine ends; returns a description.
async fn failure(services: &mut Services, engines: &mut Engines) -> String {
    let database = async {
        loop {
            tokio::time::sleep(DATABASE_CHECK).await;
            if let Some(why) = engines.failed() {
                return why;
            }
        }
    };
    tokio::select! {
        why = services.ended() => why,
        why = database => why,
    }
}

/// Stops the listeners first and the database last, so that accepted work can be finished.
async fn stop(market: Marketplace, tell: fn(&str)) {
    market.switches.trigger();
    market.services.stop(tell).await;
    market.engines.stop(DATABASE_PATIENCE).await;
    tracing::info!("stopped");
}

fn log(up: &Up, data: &DataDir) -> Result<telemetry::Guard, Failure> {
    let writer = if up.verbose {
        Writer::Stderr
    } else {
        let path = data.file("agora.log");
        let file = RotatingFile::open(&path).map_err(|error| cannot_write(&path, &error))?;
        Writer::File(file)
    };
    let telemetry = Telemetry {
        writer,
        ..up.service.telemetry("agora")
    };
    telemetry::init(telemetry).map_err(|fatal| Failure::configuration(fatal.to_string()))
}

fn private_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}", path.display()))
}

fn show(market: &Marketplace, verbose: bool) {
    let text = screen::text(
        &market.addresses,
        &market.engines.description,
        &market.demo,
        market.data.path(),
        verbose,
    );
    print(&text);
}

fn say(line: &str) {
    print(&format!("{line}\n"));
}

/// Prints a text. If it cannot, the marketplace goes on: it is there for its clients.
fn print(text: &str) {
    let _ = output::print(text);
}
