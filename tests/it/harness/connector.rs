//! The real `kafka-smpp` program as a child process.

use std::ops::{Deref, DerefMut};
use std::process::{Command, Output};

use super::process::{Process, scratch};

/// A running `kafka-smpp run`.
pub struct Connector(Process);

impl Connector {
    /// Starts the connector with this configuration.
    pub fn start(toml: &str) -> Connector {
        Connector::start_with(toml, &[])
    }

    /// Starts it with environment variables besides.
    pub fn start_with(toml: &str, env: &[(&str, &str)]) -> Connector {
        Connector::start_by(toml, env, |_| {})
    }

    /// Starts it with what `change` does to its command besides.
    pub fn start_by(
        toml: &str,
        env: &[(&str, &str)],
        change: impl FnOnce(&mut Command),
    ) -> Connector {
        let dir = scratch("connector");
        let config = dir.join("connector.toml");
        std::fs::write(&config, toml).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-smpp"));
        command
            .current_dir(&dir)
            .arg("run")
            .arg("--config")
            .arg(config);
        command.envs(env.iter().copied());
        change(&mut command);
        Connector(Process::start("kafka-smpp", &mut command, dir.join("log")))
    }
}

/// Runs another command of the program to its end with this configuration.
pub fn command(toml: &str, args: &[&str]) -> Output {
    prepared(toml, args).output().expect("it starts")
}

/// As [`command`], with what `change` does to it besides.
pub fn command_by(toml: &str, args: &[&str], change: impl FnOnce(&mut Command)) -> Output {
    let mut command = prepared(toml, args);
    change(&mut command);
    command.output().expect("it starts")
}

/// Starts another command of the program with this configuration.
pub fn started(toml: &str, args: &[&str]) -> Process {
    started_by(toml, args, |_| {})
}

/// As [`started`], with what `change` does to it besides.
pub fn started_by(toml: &str, args: &[&str], change: impl FnOnce(&mut Command)) -> Process {
    let log = scratch("command").join("log");
    let mut command = prepared(toml, args);
    change(&mut command);
    Process::start("kafka-smpp", &mut command, log)
}

fn prepared(toml: &str, args: &[&str]) -> Command {
    let dir = scratch("command");
    std::fs::write(dir.join("connector.toml"), toml).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-smpp"));
    command.current_dir(&dir).args(args);
    command
}

impl Deref for Connector {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for Connector {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}
