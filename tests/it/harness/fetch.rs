//! Fetches the other authors' programs the tests run against, once, into `target/peers`.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Says what takes so long. Not captured by the test runner.
pub fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "     harness {text}");
}

/// The folder of a peer's own files.
pub fn source(peer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/peers")
        .join(peer)
}

/// The folder `target/peers/NAME`, made by `make` if it is not there yet. It is made under
/// another name and moved, so whoever is killed half way, or comes second, does no harm.
pub fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("target/");
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let ready = target.join("peers").join(name);
    if !ready.exists() {
        let making = target
            .join("peers")
            .join(format!("{name}.{}", std::process::id()));
        std::fs::create_dir_all(&making).expect("target/peers is writable");
        make(&making);
        if std::fs::rename(&making, &ready).is_err() {
            let _ = std::fs::remove_dir_all(&making);
        }
    }
    ready
}

/// The version of Apache Kafka that the tests run on: that which `KAFKA_VERSION` names, or that
/// which `tests/peers/kafka/pom.xml` has.
pub fn kafka_version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let pom = || std::fs::read_to_string(source("kafka").join("pom.xml")).expect("a pom");
        let own = || {
            let pom = pom();
            let (_, rest) = pom.split_once("<kafka.version>").expect("a version");
            rest.split('<').next().unwrap_or_default().to_owned()
        };
        let version = std::env::var("KAFKA_VERSION").unwrap_or_else(|_| own());
        assert!(
            numbers(&version).len() == 3,
            "KAFKA_VERSION is {version:?}: write a version of Apache Kafka, such as 3.7.2"
        );
        version
    })
}

/// Whether Kafka has the group protocol of KIP-848. If not, that is said, because what asks ends there.
pub fn has_kip_848() -> bool {
    let has = std::env::var_os("KAFKA_BOOTSTRAP").is_some() || numbers(kafka_version())[0] >= 4;
    if !has {
        let version = kafka_version();
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        progress(&format!(
            "Kafka {version} has no KIP-848: not shown is {test}"
        ));
    }
    has
}

/// The numbers of a version; none if it is no version.
fn numbers(version: &str) -> Vec<u32> {
    let numbers = version.split('.').map(str::parse);
    numbers.collect::<Result<_, _>>().unwrap_or_default()
}

/// The jars of a part of Apache Kafka, of the [version](kafka_version) that the tests run on; its
/// `pom.xml` has that as a property.
pub fn jars_of_kafka(peer: &str) -> PathBuf {
    let version = kafka_version();
    fetched(
        &source(peer),
        &format!("{peer}-{version}"),
        &[&format!("-Dkafka.version={version}")],
        &format!(
            "the tests need Java 17 or newer and Maven, or KAFKA_BOOTSTRAP; and Apache Kafka {version} \
             (KAFKA_VERSION) must be on Maven Central as org.apache.kafka:kafka_2.13"
        ),
    )
}

/// The jars of the peer's `pom.xml`; `version` changes when the pom does.
pub fn jars(peer: &str, version: &str) -> PathBuf {
    jars_of(&source(peer), &format!("{peer}-{version}"))
}

/// The jars that the `pom.xml` in `from` asks for; `name` says what they are and changes with it.
pub fn jars_of(from: &Path, name: &str) -> PathBuf {
    fetched(
        from,
        name,
        &[],
        "the tests need Java 17 or newer and Maven, or KAFKA_BOOTSTRAP",
    )
}

fn fetched(from: &Path, name: &str, properties: &[&str], hint: &str) -> PathBuf {
    cached(name, |into| {
        progress(&format!("fetching {name} through Maven"));
        let mut output = std::ffi::OsString::from("-DoutputDirectory=");
        output.push(into);
        let pom = from.join("pom.xml");
        let args = ["-q", "-B", "-f"].map(OsStr::new);
        let mut mvn = Command::new("mvn");
        mvn.args(args)
            .arg(pom)
            .args(properties)
            .arg("dependency:copy-dependencies")
            .arg(output);
        run(&mut mvn, hint);
    })
}

/// The modules that the `package.json` in `from` asks for, through npm; `name` says what they
/// are and changes with it.
pub fn modules(from: &Path, name: &str) -> PathBuf {
    let modules = cached(name, |into| {
        progress(&format!("fetching {name} through npm"));
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(from.join(file), into.join(file)).expect("copied");
        }
        run(
            Command::new("npm").arg("ci").current_dir(into),
            "the tests need Node.js and npm",
        );
    });
    modules.join("node_modules")
}

/// Runs a command to its end; panics with its output and `hint` if it fails.
pub fn run(command: &mut Command, hint: &str) {
    let done = command.stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|e| panic!("{command:?}: {e} ({hint})"));
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(
        done.status.success(),
        "{command:?}: {} ({hint})\n{out}{err}",
        done.status
    );
}
