//! The completions of a loop: a queue, and one wake-up for everything in it.

use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::engine::runtime::sync::Mutex;
use crate::engine::ticket::Ticket;

/// Makes the port's loop call [`Port::drain`].
pub trait Wake: Send + Sync {
    /// Called by workers, once for a burst of completions.
    fn wake(&self);

    /// Called on the loop thread before the queue is emptied.
    fn acknowledge(&self) {}
}

#[derive(Default)]
struct Completions {
    tickets: Vec<Arc<Ticket>>,
    /// The loop has been woken, and has not drained the queue yet.
    called: bool,
}

/// The completions of one loop thread.
pub struct Port {
    completions: Mutex<Completions>,
    wake: Arc<dyn Wake>,
}

impl Port {
    /// An empty port.
    pub fn new(wake: Arc<dyn Wake>) -> Arc<Self> {
        Arc::new(Self { completions: Mutex::default(), wake })
    }

    /// Queues a finished operation; `true` if that woke the loop, which only the first one of a burst does.
    pub(crate) fn announce(&self, ticket: Arc<Ticket>) -> bool {
        self.call(|tickets| tickets.push(ticket))
    }

    /// Wakes the loop without a completion, so that it calls [`release_memory`](super::keep_alive::release_memory).
    pub(crate) fn call_to_release(&self) -> bool {
        self.call(|_| {})
    }

    fn call(&self, change: impl FnOnce(&mut Vec<Arc<Ticket>>)) -> bool {
        let first = {
            let mut completions = self.completions.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut completions.tickets);
            !std::mem::replace(&mut completions.called, true)
        };
        if first {
            self.wake.wake();
        }
        first
    }

    /// Takes everything that has been queued. Call on the loop thread, after a wake-up.
    pub fn drain(&self) -> Vec<Arc<Ticket>> {
        // In this order: a ticket that is queued after the acknowledgement either is taken here or wakes the loop
        // again.
        self.wake.acknowledge();
        std::mem::take(&mut *self.completions.lock().unwrap_or_else(PoisonError::into_inner)).tickets
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Port").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A flag in place of a descriptor. A worker comes with a completion just before it is cleared.
    #[derive(Default)]
    struct Flag {
        raised: AtomicBool,
        worker: OnceLock<Arc<Port>>,
    }

    impl Wake for Flag {
        fn wake(&self) {
            self.raised.store(true, Ordering::SeqCst);
        }

        fn acknowledge(&self) {
            if let Some(port) = self.worker.get() {
                port.announce(Ticket::new(2));
            }
            self.raised.store(false, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_comes_while_a_wake_up_is_acknowledged_is_not_lost() {
        let flag = Arc::new(Flag::default());
        let port = Port::new(Arc::<Flag>::clone(&flag));
        assert!(port.announce(Ticket::new(1)));
        flag.worker.set(Arc::clone(&port)).unwrap();
        let drained = port.drain().len();
        assert!(drained == 2 || flag.raised.load(Ordering::SeqCst));
    }

    #[test]
    fn each_burst_wakes_once() {
        let flag = Arc::new(Flag::default());
        let port = Port::new(Arc::<Flag>::clone(&flag));
        for _ in 0..3 {
            assert!(port.announce(Ticket::new(1)));
            assert!(!port.announce(Ticket::new(2)));
            assert!(flag.raised.load(Ordering::SeqCst));
            assert_eq!(port.drain().len(), 2);
            assert!(!flag.raised.load(Ordering::SeqCst));
        }
    }
}
