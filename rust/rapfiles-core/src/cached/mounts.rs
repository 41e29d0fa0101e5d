//! What is known of mounts: whether they are local, and whether tier 0 was ever slow on them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::access_time::Updates;
use super::mount::{self, Locality};
use crate::metadata::Metadata;

/// An attempt that takes longer has waited for something, or the thread had to wait for a processor.
const SLOW: Duration = Duration::from_millis(1);
/// After a slow attempt, so many more are watched to see which of the two it is.
const WATCHED: u32 = 64;
/// How long a mount is left to the workers after the first attempt that waited; doubled with each further one.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// Without slow attempts for so long, a mount is trusted as at first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// For how long a mount is taken to be what it was: it may be mounted again with other options, and before Linux 6.8 its
/// number be given to another one.
const UNCHANGED: Duration = Duration::from_secs(1);
/// Mounts that are remembered.
const REMEMBERED: usize = 64;

/// The number of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MountNumber {
    pub(super) number: u64,
    /// Whether the kernel never gives the number to another mount (Linux 6.8).
    pub(super) unique: bool,
}

#[derive(Debug, Clone, Copy)]
struct Mount {
    number: MountNumber,
    facts: Facts,
    known_since: Instant,
    watched: u32,
    rest: Duration,
    rests_until: Option<Instant>,
}

/// What decides about tier 0 on a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    local: bool,
    updates: Updates,
}

/// The mounts that were met.
#[derive(Debug, Default)]
pub(super) struct Mounts(Mutex<Vec<Mount>>);

impl Mounts {
    /// Permission to use tier 0 on a mount; `None` where it is not local, or has to rest.
    pub(super) fn permit(&self, number: MountNumber, now: Instant) -> Option<Permit> {
        self.permit_if(number, now, || facts_of(number))
    }

    fn permit_if(&self, number: MountNumber, now: Instant, facts: impl FnOnce() -> Facts) -> Option<Permit> {
        let mut mounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mount = match mounts.iter().position(|mount| mount.number == number) {
            Some(index) => {
                let mount = &mut mounts[index];
                if now.saturating_duration_since(mount.known_since) > UNCHANGED {
                    mount.facts = facts();
                    mount.known_since = now;
                }
                mount
            }
            None => {
                if mounts.len() == REMEMBERED {
                    mounts.remove(0);
                }
                mounts.push(Mount {
                    number,
                    facts: facts(),
                    known_since: now,
                    watched: 0,
                    rest: Duration::ZERO,
                    rests_until: None,
                });
                mounts.last_mut()?
            }
        };
        if !mount.facts.local || mount.rests_until.is_some_and(|until| now < until) {
            return None;
        }
        Some(Permit {
            number,
            began: now,
            updates: mount.facts.updates,
            waits: (mount.watched > 0).then(waits_of_this_thread),
        })
    }

    /// Ends an attempt, and looks whether it has waited. Returns the time.
    pub(super) fn ended(&self, permit: Permit) -> Instant {
        let now = Instant::now();
        let slow = now.saturating_duration_since(permit.began) > SLOW;
        if slow || permit.waits.is_some() {
            self.judge(&permit, slow, now);
        }
        now
    }

    fn judge(&self, permit: &Permit, slow: bool, now: Instant) {
        let waited = slow && permit.waits.is_some_and(|before| waits_of_this_thread() > before);
        let mut mounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mount) = mounts.iter_mut().find(|mount| mount.number == permit.number) else { return };
        if waited {
            mount.rest_after(now);
        } else if permit.waits.is_none() {
            mount.watched = WATCHED;
        } else {
            mount.watched = mount.watched.saturating_sub(1);
        }
    }
}

/// An attempt that is under way.
#[derive(Debug)]
pub(super) struct Permit {
    number: MountNumber,
    began: Instant,
    updates: Updates,
    /// How often this thread had waited before, where the mount is watched.
    waits: Option<i64>,
}

impl Permit {
    /// When it was given.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Whether reading a file with these times may have the file system wait.
    pub(super) fn is_due(&self, metadata: &Metadata) -> bool {
        self.updates.due(self.number, metadata)
    }
}

/// Whether a mount is known to need neither a network nor another process.
pub(super) fn is_local(number: MountNumber) -> bool {
    facts_of(number).local
}

fn facts_of(number: MountNumber) -> Facts {
    // An overlay is as its layers are, which the kernel does not say here.
    mount::describe(number).map_or(Facts { local: false, updates: Updates::Always }, |found| Facts {
        local: found.locality != Locality::Elsewhere,
        updates: found.updates,
    })
}

impl Mount {
    fn rest_after(&mut self, now: Instant) {
        let forgiven =
            self.rests_until.is_none_or(|until| now.saturating_duration_since(until) > FORGIVEN_AFTER);
        self.rest = if forgiven { FIRST_REST } else { (self.rest * 2).min(LONGEST_REST) };
        self.rests_until = Some(now + self.rest);
    }
}

/// How often this thread has given up its processor to wait for something (`getrusage(2)`).
fn waits_of_this_thread() -> i64 {
    // SAFETY: all zeros is a valid `rusage`: it is made of numbers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` has room for the result.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    #[allow(clippy::useless_conversion, reason = "the width differs between architectures")]
    i64::from(usage.ru_nvcsw)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: MountNumber = MountNumber { number: 7, unique: true };
    const LOCAL: Facts = Facts { local: true, updates: Updates::Never };

    #[test]
    fn a_mount_that_waited_rests_longer_and_longer_and_comes_back() {
        let mounts = Mounts::default();
        let start = Instant::now();
        let rest = |at| mounts.0.lock().unwrap()[0].rest_after(at);
        let permitted = |at| mounts.permit_if(NUMBER, at, || LOCAL).is_some();
        assert!(permitted(start));
        rest(start);
        assert!(!permitted(start));
        let back = start + FIRST_REST;
        assert!(permitted(back));
        rest(back);
        assert!(!permitted(back + FIRST_REST));
        assert!(permitted(back + FIRST_REST * 2));
    }

    #[test]
    fn a_slow_attempt_is_held_against_a_mount_only_if_it_waited() {
        let mounts = Mounts::default();
        let attempt = |work: &dyn Fn()| {
            let permit = mounts.permit_if(NUMBER, Instant::now(), || LOCAL);
            work();
            permit.map(|permit| mounts.ended(permit)).is_some()
        };
        let busy = || {
            let began = Instant::now();
            while began.elapsed() <= SLOW {}
        };
        let waiting = || std::thread::sleep(SLOW * 2);
        // The first slow attempt only makes the mount watched …
        assert!(attempt(&waiting));
        // … a slow one without waiting is a matter of the processor …
        assert!(attempt(&busy));
        assert!(attempt(&waiting));
        // … and one that waited is a matter of the mount.
        assert!(!attempt(&|| {}));
    }

    #[test]
    fn a_mount_may_be_mounted_again_with_other_options() {
        let mounts = Mounts::default();
        let start = Instant::now();
        let updates = |at, updates| {
            mounts.permit_if(NUMBER, at, || Facts { updates, ..LOCAL }).map(|permit| permit.updates)
        };
        assert_eq!(updates(start, Updates::Never), Some(Updates::Never));
        assert_eq!(updates(start + UNCHANGED, Updates::Always), Some(Updates::Never));
        assert_eq!(updates(start + UNCHANGED * 2, Updates::Always), Some(Updates::Always));
        let gone = || Facts { local: false, ..LOCAL };
        assert!(mounts.permit_if(NUMBER, start + UNCHANGED * 4, gone).is_none());
    }

    #[test]
    fn many_mounts_do_not_fill_the_memory() {
        let mounts = Mounts::default();
        for number in 0..1000 {
            mounts.permit_if(MountNumber { number, unique: true }, Instant::now(), || LOCAL);
        }
        assert_eq!(mounts.0.lock().unwrap().len(), REMEMBERED);
    }
}
