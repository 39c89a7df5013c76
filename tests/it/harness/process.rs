//! Child processes that never outlive the test process, however it ends.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Reads what to clean up, and does so when the pipe to the test process closes: at its end,
/// or when it was killed.
const WATCHDOG: &str = r#"
pids=' '
while read -r verb pid; do
  case $verb in
    kill) pids="$pids$pid " ;;
    spare) case $pids in *" $pid "*) pids="${pids%% $pid *} ${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid"; done
rm -rf "$1"
"#;

fn watchdog(verb: &str, pid: u32) {
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let pipe = PIPE.get_or_init(|| {
        let mut sh = Command::new("sh");
        sh.args(["-c", WATCHDOG, "watchdog"]).arg(root());
        sh.stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Out of the terminal's foreground group: Ctrl-C must not end it first.
        // It is meant to outlive this process, so nobody waits for it.
        #[allow(clippy::zombie_processes)]
        let mut child = sh.process_group(0).spawn().expect("sh starts");
        Mutex::new(child.stdin.take().expect("a pipe"))
    });
    writeln!(pipe.lock().unwrap(), "{verb} {pid}").expect("the watchdog lives");
}

/// The right to start a program that needs all of a core until it answers, a broker, a registry or an SMSC in
/// Java: one at a time, or tests that run side by side would wait for one another's programs anyway, and take them
/// for dead.
pub fn its_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed meanwhile has left nothing behind.
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

/// The test process's own directory, removed at its end.
fn root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run.{}", std::process::id()))
}

/// A new, empty directory, removed when the test process ends.
pub fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let dir = root().join(format!("{name}.{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir_all(&dir).expect("target/tmp is writable");
    dir
}

/// A TCP port on 127.0.0.1 that is free, and that nobody else is given meanwhile: none that systems choose
/// for connections and for listeners without a port (from 32,768 on), and each only
/// once by a test process. Such a port may
/// also be connected to before anybody listens: a connection never becomes its own other end.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 20_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes of tests that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(31);
    let port = || {
        let turn = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start + (turn % PORTS.len() as u32) as u16
    };
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(port)
        .take(PORTS.len())
        .find(free)
        .expect("a free port")
}

thread_local! {
    /// What this thread panicked with.
    static PANIC: Cell<String> = const { Cell::new(String::new()) };
}

fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANIC.set(panic.to_string());
            usual(panic);
        }));
    });
}

/// A running child whose output goes to a file; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is appended to `log`.
    pub fn start(name: &str, command: &mut Command, log: PathBuf) -> Process {
        remember_panics();
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let err: File = out.try_clone().expect("a log file");
        command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        let child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        watchdog("kill", child.id());
        Process {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in octets.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it ever had, in octets.
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs, on Linux");
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        let kib = line.and_then(|l| l.split_whitespace().next());
        kib.and_then(|n| n.parse::<u64>().ok()).expect(name) << 10
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        let octets = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, signal).unwrap_or_else(|e| panic!("{signal} to {}: {e}", self.name));
    }

    /// Stops it in its tracks (SIGSTOP).
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        // It goes on until one of its threads has taken the signal, which takes a while on a busy machine.
        #[cfg(target_os = "linux")]
        {
            use nix::sys::wait::{Id, WaitPidFlag, waitid};
            let pid = Pid::from_raw(self.pid().cast_signed());
            let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            waitid(Id::Pid(pid), flags).expect("it is a child");
        }
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        watchdog("spare", self.child.id());
    }

    /// Its exit status if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a child of ours");
        if status.is_some() {
            watchdog("spare", self.child.id());
        }
        status
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} did not end in {patience:?}",
                self.name
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until its log contains `text`.
    pub fn wait_for_log(&mut self, text: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.log().contains(text) {
            let name = &self.name;
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "{name} ended before {text:?}"
            );
            assert!(
                Instant::now() < deadline,
                "{name} did not log {text:?} in {patience:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(20_000);
            let from = (from..log.len())
                .find(|i| log.is_char_boundary(*i))
                .unwrap_or(0);
            eprintln!("---- log of {} ----\n{}\n----", self.name, &log[from..]);
            // Once more: where only the end of a long output is kept, it is what is looked for.
            let panic = PANIC.take();
            eprintln!("{panic}");
            PANIC.set(panic);
        }
    }
}
