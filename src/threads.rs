//! Named threads, and how one waits for their end.
//!
//! What blocks has a thread of its own, with a name by which it is found in a profile or in the table
//! of ARCHITECTURE.md. A part that lives long is asked to end by its handle (`stop`, which returns at
//! once and may be called often); who has started it waits for the [`Thread`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot::{self, Receiver};

/// A thread that was started. It goes on when this is dropped.
pub struct Thread<T>(Receiver<T>);

/// A thread panicked. In the connector that ends the process before anybody sees this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Does `work` on a thread of this name.
///
/// # Errors
///
/// When the system gives no thread.
pub fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Thread<T>> {
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Perhaps nobody waits.
            let _ = done.send(work());
        })?;
    Ok(Thread(ended))
}

impl<T> Thread<T> {
    /// Waits for its end. Blocks: not for tasks of a runtime.
    pub fn join(self) -> Result<T, Panicked> {
        self.0.blocking_recv().map_err(|_| Panicked)
    }
}

impl<T> Future for Thread<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| Panicked)
    }
}

/// Shows that a thread makes progress: it beats each time it comes round.
#[derive(Debug)]
pub struct Pulse {
    /// What the thread is called.
    name: &'static str,
    begun: Instant,
    /// When it beat last, in milliseconds since it began.
    last: AtomicU64,
}

impl Pulse {
    /// That of a thread that begins now.
    pub fn new(name: &'static str) -> Self {
        Pulse {
            name,
            begun: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// What the thread is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The thread has come round.
    pub fn beat(&self) {
        self.last.store(self.millis(), Ordering::Relaxed);
    }

    /// For how long it has not come round.
    pub fn still(&self) -> Duration {
        let last = self.last.load(Ordering::Relaxed);
        Duration::from_millis(self.millis().saturating_sub(last))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a thread is asked to do, and to end. Cheap to clone.
pub struct Mailbox<T>(Arc<(Mutex<Mail<T>>, Condvar)>);

struct Mail<T> {
    /// What nobody has taken yet, in order.
    waiting: Vec<T>,
    /// The thread is to end, whatever waits.
    stopping: bool,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Mailbox(Arc::clone(&self.0))
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        let mail = Mail {
            waiting: Vec::new(),
            stopping: false,
        };
        Mailbox(Arc::new((Mutex::new(mail), Condvar::new())))
    }
}

impl<T> Mailbox<T> {
    /// One thing more to do.
    pub fn put(&self, what: T) {
        self.0.0.lock().waiting.push(what);
        self.0.1.notify_all();
    }

    /// The thread is to end. Returns at once.
    pub fn stop(&self) {
        self.0.0.lock().stopping = true;
        self.0.1.notify_all();
    }

    /// All that waits, or nothing after this time; `None` when it is time to end.
    pub fn next(&self, wait: Duration) -> Option<Vec<T>> {
        let mut mail = self.0.0.lock();
        if mail.waiting.is_empty() && !mail.stopping {
            self.0.1.wait_for(&mut mail, wait);
        }
        (!mail.stopping).then(|| std::mem::take(&mut mail.waiting))
    }

    /// All that waits, which stays there.
    #[cfg(test)]
    pub fn waiting(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.0.0.lock().waiting.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_wakes_who_waits_and_ends_whatever_waits() {
        let mail = Mailbox::default();
        let box_of = mail.clone();
        let waits = start("kept", move || box_of.next(Duration::from_secs(60))).unwrap();
        mail.put('a');
        assert_eq!(waits.join(), Ok(Some(vec!['a'])));
        assert_eq!(mail.next(Duration::ZERO), Some(vec![]));
        mail.put('b');
        mail.stop();
        assert_eq!(mail.next(Duration::from_secs(60)), None);
    }

    #[test]
    fn a_thread_has_its_name_and_says_what_came_of_it() {
        let name = || std::thread::current().name().map(str::to_owned);
        let thread = start("kept", name).unwrap();
        assert_eq!(thread.join(), Ok(Some("kept".to_owned())));
    }

    #[tokio::test]
    async fn a_task_can_wait_for_it() {
        assert_eq!(start("kept", || 7).unwrap().await, Ok(7));
        let broken = start("kept", || panic!("on purpose")).unwrap();
        assert_eq!(broken.await, Err::<(), _>(Panicked));
    }
}
