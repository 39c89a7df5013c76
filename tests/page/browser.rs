//! A headless Chromium, and what is asked of it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{BrowserLogEntry, ChromiumLikeCapabilities, LoggingPrefsLogLevel};

#[path = "../required/mod.rs"]
mod required;

use required::is_required;

/// A chromedriver with one browser. Both end with it.
pub struct Browser {
    driver: Option<WebDriver>,
    process: Child,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session; only then may the driver end.
        self.driver.take();
        let id = nix::unistd::Pid::from_raw(self.process.id() as i32);
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

/// Where a program is: named by a variable, or on the path.
fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let all = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|file| file.is_file())
}

/// A browser, or none where there is no Chromium: then that is printed, and where one is required the test
/// fails.
pub async fn browser(test: &str) -> Option<Browser> {
    let chromium = program(
        "CHROMIUM",
        &["chromium", "chromium-browser", "google-chrome"],
    );
    let chromedriver = program("CHROMEDRIVER", &["chromedriver"]);
    let (Some(chromium), Some(chromedriver)) = (chromium, chromedriver) else {
        let how = "install chromium and chromedriver (Debian: chromium, chromium-driver), or name them in CHROMIUM and CHROMEDRIVER";
        assert!(
            !is_required("REQUIRE_CHROMIUM"),
            "{test} needs Chromium, as CI or REQUIRE_CHROMIUM is set: {how}"
        );
        // Not by eprintln, which shows only what tests that fail have written.
        let said = format!("SKIPPED {test}: no Chromium or no chromedriver was found; {how}\n");
        let _ = std::io::stderr().write_all(said.as_bytes());
        return None;
    };
    let mut process = Command::new(chromedriver)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver starts");
    let port = port_of(&mut process);
    // reqwest wants to know which cryptography it has, also where none is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities
        .set_binary(&chromium.to_string_lossy())
        .expect("a path");
    capabilities
        .set_browser_log_level(LoggingPrefsLogLevel::All)
        .expect("a level");
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
    ] {
        capabilities.add_arg(argument).expect("an argument");
    }
    let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await;
    Some(Browser {
        driver: Some(driver.expect("Chromium starts")),
        process,
    })
}

/// What chromedriver says when it listens. It is read on, so that it never waits for a reader.
fn port_of(process: &mut Child) -> u16 {
    let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says its port")
}

impl Browser {
    fn driver(&self) -> &WebDriver {
        self.driver.as_ref().expect("a browser that has not ended")
    }

    /// How large the window is, and whether it is dark.
    pub async fn look(&self, (width, height): (u32, u32), dark: bool) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    pub async fn cdp(&self, method: &str, parameters: Value) -> Value {
        self.driver()
            .cdp()
            .send_raw(method, parameters)
            .await
            .expect("Chromium does it")
    }

    /// Opens an address and waits until there is something to see.
    pub async fn open(&self, url: &str) {
        self.driver().goto(url).await.expect("the page opens");
        self.until("return document.querySelector('#numbers dl') !== null || document.querySelector('#away p') !== null").await;
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        let done = self.driver().execute(script, vec![]).await;
        done.unwrap_or_else(|e| panic!("{script}: {e}"))
            .json()
            .clone()
    }

    /// All text that can be seen.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText")
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until a script returns true.
    pub async fn until(&self, script: &str) {
        let begun = Instant::now();
        while self.run(script).await != json!(true) {
            if begun.elapsed() > Duration::from_secs(30) {
                panic!("never true: {script}\n{}", self.text().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page has a text.
    pub async fn until_text(&self, words: &str) {
        self.until(&format!(
            "return document.body.innerText.includes({})",
            json!(words)
        ))
        .await;
    }

    /// Presses a key.
    pub async fn press(&self, key: Key) {
        let keys = self
            .driver()
            .action_chain()
            .send_keys(String::from(key.value()));
        keys.perform().await.expect("a key is pressed");
    }

    /// Writes where the focus is.
    pub async fn write(&self, text: &str) {
        self.driver()
            .action_chain()
            .send_keys(text)
            .perform()
            .await
            .expect("text is written");
    }

    /// Clicks a button by its name, in the dialog if one is open.
    pub async fn click(&self, name: &str) {
        let found = format!(
            "const all = [...(document.querySelector('dialog[open]') ?? document).querySelectorAll('button')].filter(b => b.getAttribute('aria-label') === {0} || b.innerText === {0}); all[0]?.focus(); all[0]?.click(); return all.length",
            json!(name)
        );
        assert_ne!(
            self.run(&found).await,
            json!(0),
            "there is no button {name:?}"
        );
    }

    /// Errors and warnings of the console since the last time.
    pub async fn complaints(&self) -> Vec<BrowserLogEntry> {
        self.driver()
            .browser_log()
            .await
            .expect("the console is read")
    }

    /// What is in the window, as a PNG.
    pub async fn view(&self) -> Vec<u8> {
        self.driver().screenshot_as_png().await.expect("a picture")
    }

    /// The whole page as a PNG, at most `height` high.
    pub async fn picture(&self, height: u32) -> Vec<u8> {
        let all = self
            .run("return document.documentElement.scrollHeight")
            .await
            .as_u64()
            .unwrap_or_default();
        let width = self.run("return innerWidth").await;
        let clip = json!({"x": 0, "y": 0, "width": width, "height": all.min(u64::from(height)), "scale": 1});
        let shot = self
            .cdp(
                "Page.captureScreenshot",
                json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
            )
            .await;
        data_encoding::BASE64
            .decode(shot["data"].as_str().unwrap_or_default().as_bytes())
            .expect("base64")
    }
}
