//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second for a quick one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often a person (or the system) asked the program to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: Arc<AtomicU32>,
    changed: watch::Receiver<u32>,
    sender: Arc<watch::Sender<u32>>,
}

impl Interrupt {
    /// Never asked, unless by [`Interrupt::ask`].
    pub fn none() -> Interrupt {
        let (sender, changed) = watch::channel(0);
        Interrupt { asked: Arc::default(), changed, sender: Arc::new(sender) }
    }

    /// Listens to SIGINT and SIGTERM from now on, on a thread of its own, until the program ends.
    pub fn listen() -> std::io::Result<Interrupt> {
        let interrupt = Interrupt::none();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut int, mut term) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let told = interrupt.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
                    told.ask();
                }
            });
        })?;
        Ok(interrupt)
    }

    /// Asks once more, as a signal would.
    pub fn ask(&self) {
        let times = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.sender.send_replace(times);
    }

    /// How often it was asked so far.
    pub fn times(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until it has been asked at least `times` times.
    pub async fn reached(&self, times: u32) {
        let mut changed = self.changed.clone();
        // The sender lives in `self`: the channel cannot be closed.
        let _ = changed.wait_for(|&asked| asked >= times).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_wakes() {
        let interrupt = Interrupt::none();
        let asker = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            tokio::join!(interrupt.reached(2), async {
                asker.ask();
                asker.ask();
            });
        });
        assert_eq!(interrupt.times(), 2);
    }
}
