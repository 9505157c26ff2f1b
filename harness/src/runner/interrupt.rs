//! Ctrl-C, SIGTERM and SIGHUP: the first asks for an orderly end, the second for a quick one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often a person (or the system) asked the program to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: Arc<AtomicU32>,
    /// What asked first.
    by: Arc<OnceLock<&'static str>>,
    changed: watch::Receiver<u32>,
    sender: Arc<watch::Sender<u32>>,
}

impl Interrupt {
    /// Never asked, unless by [`Interrupt::ask`].
    pub fn none() -> Interrupt {
        let (sender, changed) = watch::channel(0);
        Interrupt { asked: Arc::default(), by: Arc::default(), changed, sender: Arc::new(sender) }
    }

    /// Listens to SIGINT, SIGTERM and SIGHUP from now on, on a thread of its own, until the program ends. A SIGHUP that whoever
    /// started the program had it ignore (`nohup`) stays ignored.
    pub fn listen() -> std::io::Result<Interrupt> {
        let interrupt = Interrupt::none();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut int, mut term, mut hup) = {
            let _inside = runtime.enter();
            let hup = if is_ignored(SignalKind::hangup()) { None } else { Some(signal(SignalKind::hangup())?) };
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, hup)
        };
        let told = interrupt.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let hung_up = async {
                        match &mut hup {
                            Some(hup) => hup.recv().await,
                            None => std::future::pending().await,
                        }
                    };
                    let by = tokio::select! { _ = int.recv() => "Ctrl-C", _ = term.recv() => "SIGTERM", _ = hung_up => "SIGHUP" };
                    told.ask_by(by);
                }
            });
        })?;
        Ok(interrupt)
    }

    /// Asks once more, as a signal would.
    pub fn ask(&self) {
        self.ask_by("the program itself");
    }

    /// Asks once more in the name of a signal: `SIGTERM`.
    pub fn ask_by(&self, by: &'static str) {
        let _ = self.by.set(by);
        let times = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.sender.send_replace(times);
    }

    /// How often it was asked so far.
    pub fn times(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    /// What asked first: `Ctrl-C`, `SIGTERM`, `SIGHUP`.
    pub fn by(&self) -> Option<&'static str> {
        self.by.get().copied()
    }

    /// Waits until it has been asked at least `times` times.
    pub async fn reached(&self, times: u32) {
        let mut changed = self.changed.clone();
        // The sender lives in `self`: the channel cannot be closed.
        let _ = changed.wait_for(|&asked| asked >= times).await;
    }
}

/// Whether this program was started with a signal ignored. Where the system does not say, it was not.
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored >> (signal.as_raw_value() - 1) & 1 == 1)
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
                asker.ask_by("SIGHUP");
                asker.ask_by("SIGTERM");
            });
        });
        assert_eq!((interrupt.times(), interrupt.by()), (2, Some("SIGHUP")));
    }
}
