//! Named threads, and how one waits for their end.
//!
//! What blocks has a thread of its own, with a name by which it is found in a profile or in the table
//! of ARCHITECTURE.md. A part that lives long is asked to end by its handle (`stop`, which returns at
//! once and may be called often); who has started it waits for the [`Thread`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

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

#[cfg(test)]
mod tests {
    use super::*;

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
