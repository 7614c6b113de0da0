//! Runs tests that need docker.

use std::pin::Pin;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::{Builder, Runtime};

use crate::docker::{self, REQUIRE_DOCKER};

/// Tests at a time for each core, unless `--test-threads` says how many at all: they wait for their engine most of the time.
const TESTS_EACH_CORE: usize = 2;

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// A test with its name.
pub struct Test {
    name: &'static str,
    body: Box<dyn FnOnce() -> Body + Send>,
}

impl Test {
    /// The test fails when the future panics.
    pub fn new<F: Future<Output = ()> + 'static>(
        name: &'static str,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        Self {
            name,
            body: Box::new(|| Box::pin(body())),
        }
    }

    fn trial(self, runtime: &'static Runtime) -> Trial {
        Trial::ignorable_test(self.name, move || {
            match runtime.block_on(docker::available()) {
                Ok(()) => {
                    runtime.block_on((self.body)());
                    Ok(Completion::Completed)
                }
                Err(reason) if std::env::var(REQUIRE_DOCKER).is_ok_and(|value| value == "1") => {
                    Err(Failed::from(format!(
                        "{REQUIRE_DOCKER}=1, and there is no docker: {reason}"
                    )))
                }
                Err(reason) => Ok(Completion::ignored_with(format!("no docker: {reason}"))),
            }
        })
    }
}

/// The `main` of a test target with `harness = false`: takes the arguments of `cargo test`, and removes what was started.
///
/// # Panics
/// When the runtime cannot be made.
#[must_use]
pub fn run(tests: Vec<Test>) -> ExitCode {
    let runtime = Builder::new_multi_thread().enable_all().build();
    // Engines outlive the tests, and with them what drives their clients.
    let runtime: &'static Runtime = Box::leak(Box::new(runtime.expect("a runtime")));
    let trials = tests.into_iter().map(|test| test.trial(runtime)).collect();
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads = arguments.test_threads.or(Some(cores * TESTS_EACH_CORE));
    let conclusion = libtest_mimic::run(&arguments, trials);
    runtime.block_on(docker::remove_all());
    conclusion.exit_code()
}
