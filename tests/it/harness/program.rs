//! Programs in Python, Node and Java, each with the packages it asks for.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::fetch::{cached, jars_of, modules, progress, run};
use super::process::{Process, scratch};

const HINT: &str = "the tests need Python 3.10 or newer with venv, Node.js with npm, and Java 17 \
                    or newer with Maven";

/// What runs programs.
#[derive(Clone, Debug)]
pub struct Program {
    runner: PathBuf,
    options: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
}

impl Program {
    /// A Python with these packages, each with its version, such as `aiosmpplib==0.7.4`.
    pub fn python(packages: &[&str]) -> Program {
        let name = packages.join("-").replace("==", "-");
        let venv = cached(&format!("python-{name}"), |into| {
            progress(&format!("fetching {} through pip", packages.join(", ")));
            let mut venv = Command::new("python3");
            run(venv.args(["-m", "venv"]).arg(into), HINT);
            let mut pip = Command::new(into.join("bin/python"));
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]);
            run(pip.args(packages), HINT);
        });
        Program {
            runner: venv.join("bin/python"),
            options: Vec::new(),
            env: vec![("PYTHONIOENCODING", "utf-8".into())],
        }
    }

    /// A Node with the modules that the `package.json` in `folder` asks for.
    pub fn node(folder: &Path, name: &str) -> Program {
        let modules = modules(folder, name);
        Program {
            runner: "node".into(),
            options: Vec::new(),
            env: vec![("NODE_PATH", modules.into())],
        }
    }

    /// A Java that runs sources, with the jars that the `pom.xml` in `folder` asks for.
    pub fn java(folder: &Path, name: &str) -> Program {
        let jars = jars_of(folder, name).join("*");
        Program {
            runner: "java".into(),
            options: vec!["-cp".into(), jars.into()],
            // What is on its command line and its output are written in the locale's encoding.
            env: vec![("LC_ALL", "C.UTF-8".into())],
        }
    }

    /// With these options of what runs it besides.
    pub fn with(mut self, options: &[&str]) -> Program {
        let options = options.iter().map(|option| OsString::from(*option));
        self.options.splice(..0, options);
        self
    }

    /// Starts a program, in its folder, that runs until it is ended.
    pub fn start(&self, name: &str, program: &Path, args: &[&str]) -> Process {
        let log = scratch(name).join("log");
        Process::start(name, &mut self.command(program, args), log)
    }

    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(&self.runner);
        command
            .args(&self.options)
            .arg(program)
            .args(args)
            .current_dir(program.parent().expect("a folder"))
            .envs(self.env.iter().cloned());
        command
    }

    /// Runs a program, in its folder, to its end with lines of JSON in and out; panics if it fails.
    pub fn run(&self, program: &Path, args: &[&str], lines: &[String]) -> Vec<Value> {
        let mut child = self
            .command(program, args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e} ({HINT})", self.runner.display()));
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        // A program that fails early reads nothing more: what it printed says why.
        let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let done = child.wait_with_output().expect("it ends");
        let _ = writing.join();
        let (out, err) = (
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr),
        );
        assert!(
            done.status.success(),
            "{}: {}\n{out}{err}",
            program.display(),
            done.status
        );
        out.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
            .collect()
    }
}
