//! SMSCs written by other authors, each in a process of its own.

use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::client::eventually;
use super::fetch::{jars, modules, source};
use super::process::{Process, its_turn, scratch};

/// A running SMSC. Account: esme / secret. What it saw is in [`events`](Self::events); what
/// some destinations mean is said in its source under `tests/peers`.
pub struct Smsc {
    process: Process,
    port: u16,
}

impl Smsc {
    /// One on jSMPP: hexadecimal message ids, receipts as text with decimal ids.
    pub fn jsmpp() -> Smsc {
        Smsc::jsmpp_with(&[])
    }

    /// The same, in this environment, which its source explains.
    pub fn jsmpp_with(env: &[(&str, &str)]) -> Smsc {
        Smsc::java("jSMPP", "jsmpp", "3.0.1", env)
    }

    /// One on Cloudhopper SMPP: decimal message ids with leading zeros, receipts without them.
    pub fn cloudhopper() -> Smsc {
        Smsc::cloudhopper_with(&[])
    }

    /// The same, in this environment, which its source explains.
    pub fn cloudhopper_with(env: &[(&str, &str)]) -> Smsc {
        Smsc::java("Cloudhopper", "cloudhopper", "5.0.9", env)
    }

    /// OpenSMPP's simulator: three answers a second, one after the other, and the same message ids
    /// at each start.
    pub fn opensmpp() -> Smsc {
        Smsc::java("OpenSMPP", "opensmpp", "3.0.2", &[])
    }

    fn java(name: &str, peer: &str, version: &str, env: &[(&str, &str)]) -> Smsc {
        let jars = jars(peer, version);
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .arg("-cp")
            .arg(jars.join("*"))
            .arg(source(peer).join("Smsc.java"))
            .envs(env.iter().copied());
        Smsc::start(name, java)
    }

    /// One on node-smpp: message ids are UUIDs, receipts carry them in TLVs only.
    pub fn node() -> Smsc {
        let modules = modules(&source("node-smpp"), "node-smpp-0.5.1");
        let mut node = Command::new("node");
        node.env("NODE_PATH", modules);
        node.arg(source("node-smpp").join("smsc.js"));
        Smsc::start("node-smpp", node)
    }

    fn start(name: &str, mut command: Command) -> Smsc {
        let _turn = its_turn();
        let process = Process::start(name, &mut command, scratch(name).join("log"));
        let mut smsc = Smsc { process, port: 0 };
        smsc.wait_for("listening", 1);
        let port = smsc.of("listening")[0]["port"].as_u64().expect("a port");
        smsc.port = u16::try_from(port).expect("a port");
        smsc
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything it has said so far.
    pub fn events(&self) -> Vec<Value> {
        let log = self.process.log();
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The events of one kind.
    pub fn of(&self, kind: &str) -> Vec<Value> {
        self.events()
            .into_iter()
            .filter(|event| event["event"] == kind)
            .collect()
    }

    /// Waits for at least `n` events of a kind.
    pub fn wait_for(&self, kind: &str, n: usize) -> Vec<Value> {
        let what = format!("{n} times {kind}");
        eventually(&what, Duration::from_secs(60), || self.of(kind).len() >= n);
        self.of(kind)
    }
}

impl Deref for Smsc {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Smsc {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
