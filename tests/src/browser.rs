//! Chromium over WebDriver: what a person does with the page, and what a browser says of it.
//!
//! Every wait is for a condition. What is asked for by a CSS selector is looked up again each time, since the page may draw
//! it anew.

mod wire;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, LoggingPrefsLogLevel, WindowHandle};
use tokio::runtime::Runtime;

use self::wire::Wire;
use crate::{net, wait};

/// How long one command, script or page load may take.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);
/// Ports that are tried for a driver: each may be taken between its choice and its use.
const PORTS_MAX: usize = 5;
/// How long the driver may take to say that it listens: it says a few lines before.
const GREETING_LINES_MAX: usize = 20;

/// How the page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// In CSS pixels.
    pub width: u32,
    /// Whether the person prefers dark colours.
    pub dark: bool,
    /// Whether the person prefers that little moves.
    pub calm: bool,
}

/// A Chromium of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    // Ended first: it asks the driver to end Chromium.
    driver: Option<WebDriver>,
    runtime: Runtime,
    _process: Process,
    origin: String,
}

/// What Chromium may be called; the driver finds it by itself.
const NAMES: [&str; 2] = ["chromium", "google-chrome"];
const DRIVER: &str = "chromedriver";

/// Whether there is a Chromium with its driver.
///
/// # Errors
/// What is missing.
pub fn available() -> Result<(), String> {
    if NAMES.into_iter().any(runs) && runs(DRIVER) {
        return Ok(());
    }
    Err("there is no Chromium with its driver (apt install chromium chromium-driver)".to_owned())
}

fn runs(program: &str) -> bool {
    let mut asked = Command::new(program);
    asked
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

impl Browser {
    /// Opens a page.
    ///
    /// # Panics
    /// When there is no browser.
    #[must_use]
    pub fn open(origin: &str, screen: Screen) -> Self {
        let (process, port) = (0..PORTS_MAX)
            .find_map(|_| start_driver())
            .expect("chromedriver listens");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let connected = runtime.block_on(async {
            let server = format!("http://127.0.0.1:{port}");
            let driver = WebDriver::builder(server, capabilities(screen)?)
                .client(Wire::new(COMMAND_PATIENCE))
                .await?;
            driver.set_script_timeout(COMMAND_PATIENCE).await?;
            driver.set_page_load_timeout(COMMAND_PATIENCE).await?;
            WebDriverResult::Ok(driver)
        });
        let browser = Self {
            driver: Some(connected.expect("Chromium starts")),
            runtime,
            _process: process,
            origin: origin.to_owned(),
        };
        browser.go("/");
        browser
    }

    fn driver(&self) -> &WebDriver {
        self.driver.as_ref().expect("there until it is dropped")
    }

    /// To an address of the page.
    ///
    /// # Panics
    /// When it does not load.
    pub fn go(&self, path: &str) {
        let url = format!("{}{path}", self.origin);
        self.runtime.block_on(self.driver().goto(url)).expect(path);
    }

    /// Opens the page once more, in a tab beside this one, and goes there: the handle of the tab that it leaves.
    ///
    /// # Panics
    /// When there is no tab to be had.
    #[must_use]
    pub fn open_tab(&self) -> WindowHandle {
        let opened = async {
            let before = self.driver().window().await?;
            let tab = self.driver().new_tab().await?;
            self.driver().switch_to_window(tab).await?;
            WebDriverResult::Ok(before)
        };
        let before = self.runtime.block_on(opened).expect("a tab");
        self.go("/");
        before
    }

    /// Goes to another tab: the handle of the one that it leaves.
    ///
    /// # Panics
    /// When the tab is gone.
    pub fn to_tab(&self, tab: WindowHandle) -> WindowHandle {
        let went = async {
            let before = self.driver().window().await?;
            self.driver().switch_to_window(tab).await?;
            WebDriverResult::Ok(before)
        };
        self.runtime.block_on(went).expect("a tab")
    }

    /// Loads the page again, as a person does.
    ///
    /// # Panics
    /// When it does not load.
    pub fn reload(&self) {
        self.runtime
            .block_on(self.driver().refresh())
            .expect("a reload");
    }

    /// What a script returns.
    ///
    /// # Panics
    /// When it throws.
    #[must_use]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let run = self.driver().execute(script, arguments.to_vec());
        let returned = self.runtime.block_on(run);
        returned.expect(script).json().clone()
    }

    /// What a script gives to its last argument, a function.
    ///
    /// # Panics
    /// When it throws, or never gives anything.
    #[must_use]
    pub fn run_later(&self, script: &str) -> Value {
        let run = self.driver().execute_async(script, Vec::new());
        let returned = self.runtime.block_on(run);
        returned.expect(script).json().clone()
    }

    /// The text of the first element, once there is one.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn text(&self, css: &str) -> String {
        wait::until(css, || {
            let text = self.run(
                "return document.querySelector(arguments[0])?.innerText",
                &[css.into()],
            );
            text.as_str().map(str::to_owned)
        })
    }

    /// Waits until the first element has this in its text.
    ///
    /// # Panics
    /// When it has not.
    pub fn until_text(&self, css: &str, part: &str) {
        wait::until(&format!("{part:?} in {css}"), || {
            self.text(css).contains(part).then_some(())
        });
    }

    /// How many elements there are.
    #[must_use]
    pub fn count(&self, css: &str) -> u64 {
        let count = self.run(
            "return document.querySelectorAll(arguments[0]).length",
            &[css.into()],
        );
        count.as_u64().unwrap_or_default()
    }

    /// Waits until there is at least one.
    ///
    /// # Panics
    /// When there is none.
    pub fn until_some(&self, css: &str) {
        wait::until(css, || (self.count(css) > 0).then_some(()));
    }

    /// Waits until there are so many.
    ///
    /// # Panics
    /// When there are not.
    pub fn until_count(&self, css: &str, count: u64) {
        wait::until(&format!("{count} of {css}"), || {
            (self.count(css) == count).then_some(())
        });
    }

    /// Presses the first element with the mouse, once it is there and nothing is in front of it.
    ///
    /// # Panics
    /// When it cannot be pressed.
    pub fn click(&self, css: &str) {
        wait::until(&format!("{css} can be pressed"), || {
            self.runtime.block_on(async {
                let found = self.driver().find(By::Css(css)).await.ok()?;
                found.click().await.ok()
            })
        });
    }

    /// Presses keys where the keyboard is.
    ///
    /// # Panics
    /// When there is no keyboard.
    pub fn press(&self, keys: Key) {
        let chain = self.driver().action_chain().send_keys(keys);
        self.runtime.block_on(chain.perform()).expect("a key");
    }

    /// Writes into a field.
    ///
    /// # Panics
    /// When there is none.
    pub fn write(&self, css: &str, text: &str) {
        wait::until(&format!("{css} can be written into"), || {
            self.runtime.block_on(async {
                let found = self.driver().find(By::Css(css)).await.ok()?;
                found.send_keys(text).await.ok()
            })
        });
    }

    /// Goes on with the tabulator until the keyboard is at such an element, as somebody does who has no mouse.
    ///
    /// # Panics
    /// When it does not come there within `presses`.
    pub fn tab_to(&self, css: &str, presses: usize) {
        for _ in 0..presses {
            if self.run(
                "return document.activeElement.matches(arguments[0])",
                &[css.into()],
            ) == true
            {
                return;
            }
            self.press(Key::Tab);
        }
        let at = self.run("return document.activeElement.outerHTML.slice(0, 200)", &[]);
        panic!("{presses} tabulators do not lead to {css}, but to {at}");
    }

    /// What the browser complained of: errors of the console, refusals of the content security policy among them.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.runtime.block_on(self.driver().browser_log());
        let bad = |level: &str| level == "SEVERE" || level == "WARNING";
        let entries = entries.expect("the console").into_iter();
        entries
            .filter(|it| bad(&it.level))
            .map(|it| it.message)
            .collect()
    }

    /// Where the page has asked for anything, other hosts among them.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let names = self.run(
            "return performance.getEntriesByType('resource').map((it) => it.name)",
            &[],
        );
        serde_json::from_value(names).unwrap_or_default()
    }

    /// What is seen, as PNG.
    ///
    /// # Panics
    /// When nothing is.
    #[must_use]
    pub fn picture(&self) -> Vec<u8> {
        let taken = self.driver().screenshot_as_png();
        self.runtime.block_on(taken).expect("a picture")
    }

    /// Where the page is from.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            // Chromium is a child of the driver and would outlive it.
            let _ = self.runtime.block_on(driver.quit());
        }
    }
}

/// The driver's process, which ends also where no browser could be started.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The driver, once it says that it listens, and its port; nothing if somebody took that port meanwhile.
fn start_driver() -> Option<(Process, u16)> {
    // It listens over IPv4 and IPv6, and with `--port=0` it ends where the port that it was given for one of them is not free
    // for the other: beside a busy shop many are not, as ends of connections.
    let port = net::listen().local_addr().expect("an address").port();
    let started = Command::new(DRIVER)
        .arg(format!("--port={port}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver starts");
    let mut process = Process(started);
    let output = process.0.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(output).lines().take(GREETING_LINES_MAX);
    let listens = lines.any(|line| line.is_ok_and(|line| line.contains("successfully on port ")));
    listens.then_some((process, port))
}

fn capabilities(screen: Screen) -> WebDriverResult<ChromeCapabilities> {
    let mut chromium = DesiredCapabilities::chrome();
    // The sandbox refuses root, who runs the tests in a container; the page is our own.
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ] {
        chromium.add_arg(argument)?;
    }
    if screen.calm {
        chromium.add_arg("--force-prefers-reduced-motion")?;
    }
    let scheme = u8::from(!screen.dark);
    chromium.add_arg(&format!("--blink-settings=preferredColorScheme={scheme}"))?;
    // A window has a least width; a device has not.
    let metrics =
        serde_json::json!({"width": screen.width, "height": 844, "pixelRatio": 1, "touch": false});
    let emulated = serde_json::json!({"deviceMetrics": metrics});
    chromium.add_experimental_option("mobileEmulation", emulated)?;
    chromium.set_browser_log_level(LoggingPrefsLogLevel::All)?;
    Ok(chromium)
}
