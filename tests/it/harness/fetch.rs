//! Fetches the other authors' programs the tests run against, once, into `target/peers`.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

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

/// The jars of the peer's `pom.xml`; `version` changes when the pom does.
pub fn jars(peer: &str, version: &str) -> PathBuf {
    jars_of(&source(peer), &format!("{peer}-{version}"))
}

/// The jars that the `pom.xml` in `from` asks for; `name` says what they are and changes with it.
pub fn jars_of(from: &Path, name: &str) -> PathBuf {
    cached(name, |into| {
        progress(&format!("fetching {name} through Maven"));
        let mut output = std::ffi::OsString::from("-DoutputDirectory=");
        output.push(into);
        let pom = from.join("pom.xml");
        let args = ["-q", "-B", "-f"].map(OsStr::new);
        let mut mvn = Command::new("mvn");
        mvn.args(args)
            .arg(pom)
            .arg("dependency:copy-dependencies")
            .arg(output);
        run(
            &mut mvn,
            "the tests need Java 17 or newer and Maven, or KAFKA_BOOTSTRAP",
        );
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
