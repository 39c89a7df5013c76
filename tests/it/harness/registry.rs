//! A real schema registry: Apicurio Registry, which answers like Confluent's, on 127.0.0.1.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kafka_smpp::record::format::Format;
use kafka_smpp::registry::{Client, Options};

use super::client::wait;
use super::fetch::{cached, progress, run, source};
use super::process::{Process, free_port, its_turn, scratch};

/// A registry of one test; what is registered survives its death.
pub struct Registry {
    java: OsString,
    app: PathBuf,
    dir: PathBuf,
    port: u16,
    process: Process,
}

impl Registry {
    /// One with nothing in it.
    pub fn start() -> Registry {
        let (java, version) = match newest_java() {
            (java, 21..) => (java, "3.3.3"),
            (java, _) => (java, "3.0.9"),
        };
        let app = app(version);
        progress("starting a schema registry");
        let (dir, port) = (scratch("registry"), free_port());
        let _turn = its_turn();
        let process = launch(&java, &app, &dir, port);
        let mut registry = Registry {
            java,
            app,
            dir,
            port,
            process,
        };
        registry.wait_until_it_answers();
        registry
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        let options = Options {
            urls: vec![self.url()],
            ..Options::default()
        };
        Client::new(&options).expect("a client")
    }

    /// Registers an Avro schema; its number.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        let client = self.client();
        let registered = wait(client.register(subject, Format::Avro, schema));
        registered.expect("registered").id.expect("a number")
    }

    /// Stops it in its tracks (SIGSTOP).
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// Kills it; what is registered stays for [`restart`](Self::restart).
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again, on the same port and data.
    pub fn restart(&mut self) {
        self.process.kill9();
        let _turn = its_turn();
        self.process = launch(&self.java, &self.app, &self.dir, self.port);
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let client = self.client();
        while wait(client.versions("none")).is_err() {
            let ended = self.process.ended();
            assert!(ended.is_none(), "the registry ended: {ended:?}");
            assert!(Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn launch(java: &OsString, app: &Path, dir: &Path, port: u16) -> Process {
    let data = dir.join("data").display().to_string();
    let mut command = Command::new(java);
    command
        .current_dir(app)
        .args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Djava.util.logging.manager=org.jboss.logmanager.LogManager")
        .arg("-Dquarkus.http.host=127.0.0.1")
        .arg(format!("-Dquarkus.http.port={port}"))
        .arg("-Dquarkus.management.enabled=true")
        .arg("-Dquarkus.management.host=127.0.0.1")
        .arg("-Dquarkus.management.port=0")
        // Every change is on the disk when it is answered.
        .arg(format!(
            "-Dapicurio.datasource.url=jdbc:h2:file:{data};WRITE_DELAY=0"
        ))
        .args(["-jar", "quarkus-run.jar"]);
    Process::start("registry", &mut command, dir.join("log"))
}

/// The unpacked program.
fn app(version: &str) -> PathBuf {
    cached(&format!("apicurio-{version}"), |into| {
        progress(&format!(
            "fetching Apicurio Registry {version} through Maven"
        ));
        let mut output = OsString::from("-DoutputDirectory=");
        output.push(into);
        // Beside what is unpacked, so that both are there or neither.
        let mut markers = OsString::from("-DmarkersDirectory=");
        markers.push(into.join("markers"));
        let mut mvn = Command::new("mvn");
        mvn.args(["-q", "-B", "-f"])
            .arg(source("apicurio").join("pom.xml"))
            .arg("dependency:unpack-dependencies")
            .arg(format!("-Dapicurio.version={version}"))
            .args([output, markers]);
        run(&mut mvn, "the tests need Java 17 or newer and Maven");
    })
}

/// The newest Java there is and its version: the usual one, or one beside it.
fn newest_java() -> (OsString, u32) {
    let beside = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten();
    let beside = beside.filter_map(|dir| Some(dir.ok()?.path().join("bin/java").into_os_string()));
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java").into());
    let all = [Some(OsString::from("java")), home]
        .into_iter()
        .flatten()
        .chain(beside);
    let known = all.filter_map(|java| {
        let version = java_version(&java)?;
        Some((java, version))
    });
    // Of several equals the first: the usual one.
    let newest = known.reduce(|a, b| if b.1 > a.1 { b } else { a });
    newest.expect("the tests need Java 17 or newer")
}

fn java_version(java: &OsString) -> Option<u32> {
    let said = Command::new(java).arg("-version").output().ok()?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    said.split('"').nth(1)?.split('.').next()?.parse().ok()
}
