//! All processes of the deployment on one page: each writes what can be seen of it to a compacted
//! topic, and reads there what the others say.
//!
//! # Why a topic
//!
//! The group's membership says who is there, and could carry an address of each, at which one process
//! asks the others. A topic was chosen instead, because
//!
//! - it works where pods do not reach each other: a network policy, another cluster behind one load
//!   balancer, listeners on 127.0.0.1. Whoever runs a process has reached Kafka already;
//! - it needs no port, no name, no certificate and no password beside those that are there;
//! - the last word of a process that is gone stays for a while: what it had, and that it went silent,
//!   is what is looked for after a crash. Of a member that has left, a group knows nothing;
//! - one that starts, or that waits outside the group, is seen too.
//!
//! It costs one record of some 10 to 50 kB for each process every [`EVERY`], read by each of them.
//!
//! # How
//!
//! A process has its key, `DEPLOYMENT/PROCESS`, so compaction keeps its last word, and deletes that
//! with the topic's retention, because no process has the name of one before it. A tombstone says that
//! it stopped well. Whoever reads begins with what was written in the last [`FORGOTTEN`], without a
//! group, and keeps the last word of each process of its own deployment, [within bounds](others).
//!
//! No message and no receipt needs any of it. A topic that is missing, closed or damaged is said once,
//! looked for again and again, and nothing waits for it: neither a message, nor the start, nor the
//! end.

mod link;
pub(crate) mod notices;
mod others;
mod word;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::ClientConfig;

use crate::kafka::cause::Cause;
use crate::status::Status;
use crate::threads::Mailbox;
use link::Link;
use notices::OthersNotShown;
use others::Others;

pub use others::OCTETS;

/// How often a process says what there is.
pub const EVERY: Duration = Duration::from_secs(5);
/// A process that was silent for so long is forgotten.
pub const FORGOTTEN: Duration = Duration::from_secs(600);
/// After a failure it is tried again, so much later.
const AGAIN: Duration = Duration::from_secs(30);
/// How long the thread waits for something to do.
const POLL: Duration = Duration::from_millis(200);

/// What it needs.
pub struct Options {
    /// A consumer without a group.
    pub reader: ClientConfig,
    /// A producer.
    pub writer: ClientConfig,
    /// The topic.
    pub topic: String,
    /// The deployment (`kafka.application_id`).
    pub deployment: String,
    /// The name of this process.
    pub process: String,
    /// What can be seen of it.
    pub own: Arc<dyn Fn() -> Status + Send + Sync>,
}

/// The service: see the [module](self).
pub struct Deployment {
    options: Options,
    handle: Handle,
}

/// Knows the others, and ends the service. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    others: Arc<Mutex<Others>>,
    mail: Mailbox<()>,
    says_farewell: Arc<AtomicBool>,
}

impl Handle {
    /// What the others said last, of those that said anything `within` this time.
    pub fn others(&self, within: Duration) -> Vec<Status> {
        self.others.lock().heard(within, Instant::now())
    }

    /// Ends [`Deployment::run`]. Who ends well is forgotten by the others at once; what is known of one
    /// that fails stays for a while.
    pub fn stop(&self, ends_well: bool) {
        self.says_farewell.fetch_or(ends_well, Ordering::Relaxed);
        self.mail.stop();
    }
}

impl Deployment {
    /// The service, and what ends it.
    pub fn new(options: Options) -> (Self, Handle) {
        let others = Others::new(&options.deployment, &options.process);
        let handle = Handle {
            others: Arc::new(Mutex::new(others)),
            mail: Mailbox::default(),
            says_farewell: Arc::default(),
        };
        let service = Deployment {
            options,
            handle: handle.clone(),
        };
        (service, handle)
    }

    /// Runs until it is stopped. Blocks: on a thread of its own.
    pub fn run(self) {
        let mut link: Option<Link> = None;
        let (mut next, mut trouble) = (Instant::now(), Trouble::default());
        loop {
            let wait = link.as_ref().map_or(POLL, |_| Duration::ZERO);
            if self.handle.mail.next(wait).is_none() {
                break;
            }
            let worked = match &mut link {
                Some(open) => open.turn(&self.options, &self.handle.others, &mut trouble),
                None if Instant::now() < next => continue,
                None => Link::open(&self.options).map(|open| link = Some(open)),
            };
            if let Err(cause) = worked {
                trouble.says(&cause);
                link = None;
                next = Instant::now() + if cause.is_silence() { EVERY } else { AGAIN };
            }
            self.handle.others.lock().forget(Instant::now());
        }
        if let Some(link) = link.filter(|_| self.handle.says_farewell.load(Ordering::Relaxed)) {
            link.farewell(&self.options);
        }
    }
}

/// Whether it was said that something does not work.
#[derive(Default)]
struct Trouble {
    is_said: bool,
}

impl Trouble {
    /// Says it once. A Kafka that is away is said by those to whom it matters.
    fn says(&mut self, cause: &Cause) {
        if cause.is_silence() || std::mem::replace(&mut self.is_said, true) {
            return;
        }
        OthersNotShown {
            cause,
            error_code: cause.code(),
        }
        .emit();
    }

    /// It works: the next failure is another one.
    fn is_over(&mut self) {
        self.is_said = false;
    }
}
