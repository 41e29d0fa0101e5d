//! Signals: threads of the engine leave them to the program's own threads.

use std::mem::MaybeUninit;
use std::ptr;

/// What a thread raises itself: signals that the kernel gives to the thread whose instruction or system call caused them, and
/// to no other (signal(7)).
///
/// A thread that has blocked one of the faults is killed by it, past any handler (sigprocmask(2)), and Python's `faulthandler`
/// has one for most. The last two come with EPIPE and EFBIG. Python ignores them, but a program that has set the default
/// action wants to end when its reader has gone, and one that has set a handler wants it to be run.
const OWN: [libc::c_int; 8] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGPIPE,
    libc::SIGXFSZ,
];

/// Does something, which must not panic, with signals blocked. A thread that is started by it keeps them blocked for good
/// (pthread_create(3)); those that arrive for the caller are delivered afterwards.
///
/// The kernel may give a signal of the process to any thread that has not blocked it (signal(7)), and a new thread takes one
/// that is pending. Python's handler would then be run by the main thread, but nothing would wake that thread from
/// `epoll_wait`, and Ctrl-C would have no effect.
pub(crate) fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: `all` is filled before it is read, and `before` has been filled unless the call failed, which it does only if
    // its first argument is wrong (pthread_sigmask(3)).
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for signal in OWN {
            libc::sigdelset(all.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
    }
    let result = work();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    result
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::engine::runtime::system;

    /// Which of the signals up to `SIGSYS` the calling thread has blocked.
    fn blocked() -> Vec<libc::c_int> {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: nothing is changed, and the mask is filled before it is read.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr());
            (1..=libc::SIGSYS).filter(|signal| libc::sigismember(mask.as_ptr(), *signal) == 1).collect()
        }
    }

    #[test]
    fn threads_of_the_engine_leave_signals_to_others() {
        let before = blocked();
        let (sender, receiver) = mpsc::channel();
        system::spawn({
            let sender = sender.clone();
            move || sender.send(blocked()).unwrap()
        })
        .unwrap();
        let caller = std::thread::current().id();
        system::run_beside(2, || {
            if std::thread::current().id() != caller {
                sender.send(blocked()).unwrap();
            }
        });
        for _ in 0..3 {
            let in_thread = receiver.recv().unwrap();
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGALRM, libc::SIGPROF] {
                assert!(in_thread.contains(&signal), "{signal} in {in_thread:?}");
            }
            assert!(OWN.iter().all(|signal| !in_thread.contains(signal)), "{in_thread:?}");
        }
        assert_eq!(blocked(), before, "the caller's own");
    }
}
