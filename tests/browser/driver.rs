//! A real Chromium, driven over WebDriver by Debian's chromedriver.

use super::harness::{PATIENCE, until};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{Instant, interval};
use url::{ParseError, Url};

/// How often a page is looked at again while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the browser pretends to stand on.
#[derive(Clone, Copy)]
pub struct Screen {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

pub const DESK: Screen = Screen { width: 1440, height: 900, dark: false };
pub const PHONE: Screen = Screen { width: 360, height: 740, dark: false };

/// One browser with one window, ended with the test.
pub struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    driver: Child,
    base: String,
    /// Width in CSS pixels that the window was given.
    width: u32,
}

/// A command of Chromium's own: `goog/cdp/execute`, `se/log`.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }
    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// Opens a window for the pages of the daemon that listens on `http`.
    pub fn open(http: u16, screen: Screen) -> Browser {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver").arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let driver = driver.expect("chromedriver is needed: apt-get install chromium chromium-driver");
        until("chromedriver listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        // A sandbox needs rights that neither root nor a container has; the pages are our own.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en-US"];
        let capabilities = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is written as an object") };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await
        });
        let client = client.expect("chromium starts");
        let mut browser = Browser { runtime, client: Some(client), driver, base: format!("http://127.0.0.1:{http}/"), width: screen.width };
        browser.stand_on(screen);
        browser
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    fn wait<T>(&self, what: impl Future<Output = Result<T, fantoccini::error::CmdError>>, why: &str) -> T {
        let patient = async { tokio::time::timeout(PATIENCE, what).await };
        self.runtime.block_on(patient).unwrap_or_else(|_| panic!("{why}: no answer")).unwrap_or_else(|e| panic!("{why}: {e}"))
    }

    fn vendor(&self, path: &'static str, body: Value) -> Value {
        self.wait(self.client().issue_cmd(Vendor { path, body }), path)
    }

    /// A command of the DevTools protocol.
    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.vendor("goog/cdp/execute", json!({"cmd": command, "params": params}))
    }

    /// Changes what the browser pretends to stand on.
    pub fn stand_on(&mut self, screen: Screen) {
        self.width = screen.width;
        let phone = screen.width < 600;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": phone}),
        );
        let scheme = if screen.dark { "dark" } else { "light" };
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}));
    }

    /// Goes to a view of the pages: `#/incidents`.
    pub fn visit(&self, view: &str) {
        self.wait(self.client().goto(&format!("{}{view}", self.base)), view);
    }

    pub fn reload(&self) {
        self.wait(self.client().refresh(), "reload");
    }

    /// What an expression is in the page.
    pub fn js(&self, expression: &str) -> Value {
        self.wait(self.client().execute(&format!("return ({expression});"), vec![]), expression)
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub fn until(&self, what: &str, expression: &str) {
        let script = format!("return !!({expression});");
        let seen = self.runtime.block_on(async {
            let end = Instant::now() + PATIENCE;
            let mut again = interval(LOOK_AGAIN);
            while Instant::now() < end {
                again.tick().await;
                // A page that is just being left cannot answer; the next one can.
                if matches!(self.client().execute(&script, vec![]).await, Ok(Value::Bool(true))) {
                    return true;
                }
            }
            false
        });
        assert!(seen, "never: {what}; the page says:\n{}\nthe console says: {:#?}", self.page_text(), self.console());
    }

    /// Waits for the element with this `data-testid`.
    #[track_caller]
    pub fn shown(&self, id: &str) {
        self.until(id, &format!("document.querySelector('[data-testid=\"{id}\"]')"));
    }

    #[track_caller]
    pub fn gone(&self, id: &str) {
        self.until(&format!("no {id}"), &format!("!document.querySelector('[data-testid=\"{id}\"]')"));
    }

    /// The visible text of the element with this `data-testid`.
    #[track_caller]
    pub fn text(&self, id: &str) -> String {
        self.shown(id);
        let selector = format!("[data-testid=\"{id}\"]");
        self.wait(async { self.client().find(Locator::Css(&selector)).await?.text().await }, id)
    }

    #[track_caller]
    pub fn click(&self, id: &str) {
        self.shown(id);
        let selector = format!("[data-testid=\"{id}\"]");
        self.wait(async { self.client().find(Locator::Css(&selector)).await?.click().await }, id);
    }

    /// Types into a field, as a keyboard would.
    #[track_caller]
    pub fn type_into(&self, id: &str, text: &str) {
        self.shown(id);
        let selector = format!("[data-testid=\"{id}\"]");
        let typing = async {
            let field = self.client().find(Locator::Css(&selector)).await?;
            field.clear().await?;
            field.send_keys(text).await
        };
        self.wait(typing, id);
    }

    /// Presses a key where the focus is: `Tab`, `Enter`.
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "ArrowDown" => (40, ""),
            other => panic!("no key {other}"),
        };
        for what in ["keyDown", "keyUp"] {
            let text = if what == "keyDown" { text } else { "" };
            let event = json!({"type": what, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.devtools("Input.dispatchKeyEvent", &event);
        }
    }

    /// Presses Tab until the element with this `data-testid` has the focus.
    #[track_caller]
    pub fn tab_to(&self, id: &str) {
        self.shown(id);
        for _ in 0..60 {
            if self.js("document.activeElement?.dataset.testid ?? null") == json!(id) {
                return;
            }
            self.press("Tab");
        }
        panic!("Tab never comes to {id}");
    }

    /// Writes where the focus is.
    pub fn write(&self, text: &str) {
        self.devtools("Input.insertText", &json!({"text": text}));
    }

    /// All that can be read.
    pub fn page_text(&self) -> String {
        self.js("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// The whole page as target/screenshots/NAME.png.
    pub fn picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let height = self.js("Math.max(document.documentElement.scrollHeight, window.innerHeight)").as_f64().unwrap_or(900.0);
        let clip = json!({"x": 0, "y": 0, "width": self.width, "height": height, "scale": 1});
        let shot = self.devtools("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true, "clip": clip}));
        let png = BASE64_STANDARD.decode(shot["data"].as_str().expect("a picture")).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// The page as it comes out of a printer, as target/screenshots/NAME.pdf; the number of its sheets.
    pub fn paper(&self, name: &str) -> usize {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let printed = self.devtools("Page.printToPDF", &json!({"preferCSSPageSize": true, "printBackground": false}));
        let pdf = BASE64_STANDARD.decode(printed["data"].as_str().expect("a document")).unwrap();
        std::fs::write(folder.join(format!("{name}.pdf")), &pdf).unwrap();
        // Chromium writes the objects of pages as they are; `/Pages` is their list.
        pdf.windows(12).filter(|w| w.starts_with(b"/Type /Page") && w[11] != b's').count()
    }

    /// Shows what would be printed, on the screen.
    pub fn as_printed(&self, yes: bool) {
        self.devtools("Emulation.setEmulatedMedia", &json!({"media": if yes { "print" } else { "" }}));
    }

    /// What the console said since it was last asked: warnings and errors.
    pub fn console(&self) -> Vec<String> {
        let log = self.vendor("se/log", json!({"type": "browser"}));
        let entries = log.as_array().cloned().unwrap_or_default();
        let bad = entries.iter().filter(|e| matches!(e["level"].as_str(), Some("SEVERE" | "WARNING")));
        bad.map(|e| e["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Fails if the console complained, or anything was asked for that is not the daemon's.
    #[track_caller]
    pub fn is_quiet(&self) {
        let console = self.console();
        assert!(console.is_empty(), "the console says: {console:#?}");
        self.stays_on_the_host();
    }

    /// Fails if anything was asked for that is not the daemon's.
    #[track_caller]
    pub fn stays_on_the_host(&self) {
        let log = self.vendor("se/log", json!({"type": "performance"}));
        let entries = log.as_array().cloned().unwrap_or_default();
        let messages = entries.iter().filter_map(|e| serde_json::from_str::<Value>(e["message"].as_str()?).ok());
        let asked: Vec<String> = messages
            .filter(|m| m["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|m| m["message"]["params"]["request"]["url"].as_str().map(str::to_owned))
            // The empty page that every window begins with, and pictures of Chromium's own controls: a data: URL of ours its policy would refuse.
            .filter(|url| !url.starts_with("data:"))
            .collect();
        assert!(!asked.is_empty(), "the log of requests is empty: nothing would be seen");
        let foreign: Vec<_> = asked.iter().filter(|url| !url.starts_with(&self.base)).collect();
        assert!(foreign.is_empty(), "asked for: {foreign:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // Ends Chromium; a window that is already gone needs no end.
            drop(self.runtime.block_on(async { tokio::time::timeout(PATIENCE, client.close()).await }));
        }
        if self.driver.kill().is_ok() {
            drop(self.driver.wait());
        }
    }
}
