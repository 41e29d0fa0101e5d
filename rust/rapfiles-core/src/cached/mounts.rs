//! The mounts that have been met: whether they are local, and whether tier 0 has ever been slow on them.

use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::access_time::Updates;
use super::mount::{self, Locality};
use super::overlay;
use super::waits::Waits;
use crate::engine::runtime;
use crate::limits::{
    BREAKS_FORGOTTEN_AFTER, FIRST_BREAK, FIRST_REST, FORGIVEN_AFTER, LONGEST_BREAK, LONGEST_REST,
    MOUNT_UNCHANGED_FOR, MOUNTS, SLOW_ATTEMPT, STALL, WATCHED_ATTEMPTS, WATCHED_FOR,
};
use crate::verbs::metadata::Metadata;

/// The number of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MountNumber {
    pub(super) number: u64,
    /// Whether the kernel never reuses the number (`STATX_MNT_ID_UNIQUE`, Linux 6.8, `statx(2)`).
    pub(super) unique: bool,
}

#[derive(Debug, Clone, Copy)]
struct Mount {
    number: MountNumber,
    info: MountInfo,
    known_since: Instant,
    /// Attempts that are still watched, or until when all of them are.
    watched: u32,
    watched_until: Option<Instant>,
    /// Stalls that have not been forgiven, and the rest after the last one.
    stalls: u32,
    rest: Duration,
    rested_at: Option<Instant>,
    /// The same for shorter waits.
    pause: Duration,
    paused_at: Option<Instant>,
    /// When a worker was last sent to examine its layers.
    examined_at: Option<Instant>,
}

/// The properties that decide about tier 0 on a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MountInfo {
    local: bool,
    /// Whether that depends on its layers.
    overlay: bool,
    updates: Updates,
}

/// The mounts that have been met.
#[derive(Debug, Default)]
pub(super) struct Mounts(Mutex<Vec<Mount>>);

impl Mounts {
    /// Permission to use tier 0 on a mount; `None` if it is not local, or is left to the workers for now.
    pub(super) fn permit(&self, number: MountNumber, now: Instant) -> Option<Permit> {
        self.permit_if(number, now, || facts_of(number))
    }

    /// Whether what is done on a mount may have to wait for a network or another process.
    pub(super) fn may_wait_for_others(&self, number: MountNumber, now: Instant) -> bool {
        let mut mounts = runtime::lock(&self.0);
        let mount = met(&mut mounts, number, now, || facts_of(number));
        mount.is_none_or(|mount| !mount.info.local && !mount.info.overlay)
    }

    fn permit_if(
        &self,
        number: MountNumber,
        now: Instant,
        info: impl FnOnce() -> MountInfo,
    ) -> Option<Permit> {
        let mut mounts = runtime::lock(&self.0);
        let mount = usable(&mut mounts, number, now, info)?;
        let watched = mount.watched > 0 || mount.watched_until.is_some_and(|until| now < until);
        Some(Permit {
            number,
            began: now,
            updates: mount.info.updates,
            waits: watched.then(|| Waits::begin(now)),
        })
    }

    /// Whether there would be a permission, for a call that is not timed.
    pub(super) fn permits(&self, number: MountNumber, now: Instant) -> bool {
        usable(&mut runtime::lock(&self.0), number, now, || facts_of(number)).is_some()
    }

    /// Ends an attempt, and checks whether it has blocked. Returns the time.
    pub(super) fn ended(&self, permit: Permit) -> Instant {
        let now = runtime::now();
        let elapsed = now.saturating_duration_since(permit.began);
        let slow = elapsed > SLOW_ATTEMPT;
        if slow || permit.waits.is_some() {
            let waited = permit.waits.map(|waits| if slow { waits.since(now) } else { Duration::ZERO });
            self.judge(permit.number, elapsed, waited, now);
        }
        now
    }

    /// Judges a mount by an attempt. `waited`: for how long it blocked, if it was watched.
    fn judge(&self, number: MountNumber, elapsed: Duration, waited: Option<Duration>, now: Instant) {
        let mut mounts = runtime::lock(&self.0);
        let Some(mount) = mounts.iter_mut().find(|mount| mount.number == number) else { return };
        match waited {
            Some(waited) if waited >= STALL => mount.rest_after_stall(now),
            Some(waited) if waited >= SLOW_ATTEMPT => mount.pause_after_wait(now),
            Some(_) => mount.watched = mount.watched.saturating_sub(1),
            None => mount.watched = WATCHED_ATTEMPTS,
        }
        if elapsed >= STALL && waited.is_none() {
            mount.watched_until = Some(now + WATCHED_FOR);
        }
    }

    /// Whether this is an overlay whose layers a worker should examine; `true` only at intervals.
    pub(super) fn wants_examination(&self, number: MountNumber, now: Instant) -> bool {
        let mut mounts = runtime::lock(&self.0);
        let mount = mounts.iter_mut().find(|mount| mount.number == number && mount.info.overlay);
        mount.is_some_and(|mount| {
            let wanted = overlay::known(number).is_none()
                && mount.examined_at.is_none_or(|at| now.saturating_duration_since(at) > MOUNT_UNCHANGED_FOR);
            if wanted {
                mount.examined_at = Some(now);
            }
            wanted
        })
    }

    /// For how long a mount is still left to the workers, and how often it has blocked the loop.
    pub(super) fn record(&self, number: MountNumber, now: Instant) -> Option<(Duration, u32)> {
        let mounts = runtime::lock(&self.0);
        let mount = mounts.iter().find(|mount| mount.number == number && mount.rests(now))?;
        let until =
            mount.rested_at.map(|at| at + mount.rest).max(mount.paused_at.map(|at| at + mount.pause))?;
        Some((until.saturating_duration_since(now), mount.stalls))
    }
}

/// A mount, with its properties as they are now; `None` if there is no room for another one.
fn met(
    mounts: &mut Vec<Mount>,
    number: MountNumber,
    now: Instant,
    info: impl FnOnce() -> MountInfo,
) -> Option<&mut Mount> {
    if let Some(index) = mounts.iter().position(|mount| mount.number == number) {
        let mount = &mut mounts[index];
        if now.saturating_duration_since(mount.known_since) > MOUNT_UNCHANGED_FOR {
            mount.info = info();
            mount.known_since = now;
        }
        return Some(mount);
    }
    if mounts.len() >= MOUNTS {
        // A mount that has blocked the loop is not evicted. If there are only such mounts, workers do the work.
        let index = mounts.iter().position(|mount| !mount.is_blamed(now))?;
        mounts.remove(index);
    }
    mounts.push(Mount {
        number,
        info: info(),
        known_since: now,
        watched: 0,
        watched_until: None,
        stalls: 0,
        rest: Duration::ZERO,
        rested_at: None,
        pause: Duration::ZERO,
        paused_at: None,
        examined_at: None,
    });
    mounts.last_mut()
}

/// A running attempt.
#[derive(Debug)]
pub(super) struct Permit {
    number: MountNumber,
    began: Instant,
    updates: Updates,
    /// The waits of this thread before it, if the mount is watched.
    waits: Option<Waits>,
}

impl Permit {
    /// When it was given.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Whether [`Permit::is_due`] is false for every file of this mount.
    pub(super) fn is_never_due(&self) -> bool {
        matches!(self.updates, Updates::Never | Updates::InMemory)
    }

    /// Whether reading a file with these times may block in the file system.
    pub(super) fn is_due(&self, metadata: &Metadata) -> bool {
        self.updates.due(self.number, metadata)
    }
}

/// Whether the mount of this file is known to depend on neither a network nor another process. Runs in a worker.
pub(super) fn is_local(file: impl AsFd, number: MountNumber) -> bool {
    let MountInfo { local, overlay, .. } = facts_of(number);
    local || overlay && overlay::is_local(file, number)
}

/// A mount, if tier 0 may be used there now.
fn usable(
    mounts: &mut Vec<Mount>,
    number: MountNumber,
    now: Instant,
    info: impl FnOnce() -> MountInfo,
) -> Option<&mut Mount> {
    let mount = met(mounts, number, now, info)?;
    if mount.info.overlay && !mount.info.local {
        mount.info.local = overlay::known(number) == Some(true);
    }
    if !mount.info.local || mount.rests(now) {
        return None;
    }
    Some(mount)
}

fn facts_of(number: MountNumber) -> MountInfo {
    let unknown = MountInfo { local: false, overlay: false, updates: Updates::Always };
    mount::describe(number).map_or(unknown, |found| MountInfo {
        local: match found.locality {
            Locality::Local => true,
            Locality::Overlay => overlay::known(number) == Some(true),
            Locality::Elsewhere => false,
        },
        overlay: found.locality == Locality::Overlay,
        updates: found.updates,
    })
}

impl Mount {
    fn rests(&self, now: Instant) -> bool {
        self.rested_at.is_some_and(|at| now < at + self.rest)
            || self.paused_at.is_some_and(|at| now < at + self.pause)
    }

    /// Whether a stall has not been forgiven yet.
    fn is_blamed(&self, now: Instant) -> bool {
        self.rested_at.is_some_and(|at| now < at + self.rest + FORGIVEN_AFTER)
            || self.watched_until.is_some_and(|until| now < until)
            || self.rests(now)
    }

    fn rest_after_stall(&mut self, now: Instant) {
        let forgiven = self.rested_at.is_none_or(|at| now > at + self.rest + FORGIVEN_AFTER);
        (self.stalls, self.rest) = if forgiven {
            (1, FIRST_REST)
        } else {
            (self.stalls.saturating_add(1), (self.rest * 10).min(LONGEST_REST))
        };
        self.rested_at = Some(now);
        // Every attempt after the rest is watched, so that another stall counts at once.
        self.watched_until = Some(now + self.rest + FORGIVEN_AFTER);
    }

    fn pause_after_wait(&mut self, now: Instant) {
        let forgotten = self.paused_at.is_none_or(|at| now > at + self.pause + BREAKS_FORGOTTEN_AFTER);
        self.pause = if forgotten { FIRST_BREAK } else { (self.pause * 2).min(LONGEST_BREAK) };
        self.paused_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: MountNumber = MountNumber { number: 7, unique: true };
    const LOCAL: MountInfo = MountInfo { local: true, overlay: false, updates: Updates::Never };

    /// The stalls of this length in this time, on a mount on which every attempt of a worker-free loop would stall.
    fn stalls(time: Duration, stall: Duration) -> Vec<Duration> {
        let mounts = Mounts::default();
        let start = Instant::now();
        let mut now = start;
        let mut stalls = Vec::new();
        while now < start + time {
            if let Some(permit) = mounts.permit_if(NUMBER, now, || LOCAL) {
                stalls.push(now - start);
                let waited = permit.waits.is_some().then_some(stall);
                now += stall;
                mounts.judge(NUMBER, stall, waited, now);
            }
            now += Duration::from_millis(50);
        }
        stalls
    }

    #[test]
    fn the_loop_stalls_three_times_an_hour_at_most() {
        let hour = Duration::from_secs(60 * 60);
        for stall in [STALL, Duration::from_millis(500), Duration::from_secs(5)] {
            let stalls = stalls(hour * 13, stall);
            for (index, first) in stalls.iter().enumerate() {
                let within = stalls[index..].iter().filter(|at| **at < *first + hour).count();
                assert!(within <= 3, "{stalls:?}");
            }
            // At once, at once again, after a rest, and then seldom.
            assert_eq!(stalls.len(), 5, "{stalls:?}");
        }
    }

    #[test]
    fn a_stall_is_forgiven_and_a_short_wait_soon() {
        let mounts = Mounts::default();
        let start = Instant::now();
        let permitted = |at| mounts.permit_if(NUMBER, at, || LOCAL).is_some();
        assert!(permitted(start));
        mounts.judge(NUMBER, SLOW_ATTEMPT, Some(SLOW_ATTEMPT), start);
        assert!(!permitted(start));
        assert!(permitted(start + FIRST_BREAK));
        mounts.judge(NUMBER, STALL, Some(STALL), start);
        assert_eq!(mounts.record(NUMBER, start), Some((FIRST_REST, 1)));
        assert!(!permitted(start + FIRST_REST - SLOW_ATTEMPT));
        assert!(permitted(start + FIRST_REST));
        let later = start + FIRST_REST + FORGIVEN_AFTER + SLOW_ATTEMPT;
        mounts.judge(NUMBER, STALL, Some(STALL), later);
        assert_eq!(mounts.record(NUMBER, later), Some((FIRST_REST, 1)));
        mounts.judge(NUMBER, STALL, Some(STALL), later + FIRST_REST);
        assert_eq!(mounts.record(NUMBER, later + FIRST_REST), Some((FIRST_REST * 10, 2)));
    }

    #[test]
    fn a_long_absence_that_was_no_wait_is_held_against_nobody() {
        let mounts = Mounts::default();
        let start = Instant::now();
        let watched = |at| mounts.permit_if(NUMBER, at, || LOCAL).map(|permit| permit.waits.is_some());
        assert_eq!(watched(start), Some(false));
        mounts.judge(NUMBER, STALL, None, start);
        mounts.judge(NUMBER, STALL, Some(Duration::ZERO), start);
        assert_eq!(watched(start), Some(true));
        assert_eq!(watched(start + WATCHED_FOR - SLOW_ATTEMPT), Some(true));
    }

    #[test]
    fn what_has_stalled_is_not_forgotten_for_others() {
        let mounts = Mounts::default();
        let start = Instant::now();
        let met = |number| mounts.permit_if(MountNumber { number, unique: true }, start, || LOCAL).is_some();
        assert!(met(0));
        mounts.judge(MountNumber { number: 0, unique: true }, STALL, Some(STALL), start);
        for number in 1..1000 {
            assert!(met(number));
        }
        assert!(!met(0));
        for number in 2000..2100 {
            if met(number) {
                mounts.judge(MountNumber { number, unique: true }, STALL, Some(STALL), start);
            }
        }
        assert!(!met(0) && !met(3000), "there is room for no other");
    }

    #[test]
    fn a_slow_attempt_is_held_against_a_mount_only_if_it_waited() {
        let mounts = Mounts::default();
        let attempt = |work: &dyn Fn()| {
            let permit = mounts.permit_if(NUMBER, Instant::now(), || LOCAL)?;
            work();
            Some(mounts.ended(permit))
        };
        let busy = || {
            let began = Instant::now();
            while began.elapsed() <= SLOW_ATTEMPT {}
        };
        let waiting = || std::thread::sleep(SLOW_ATTEMPT * 2);
        // The first slow attempt only makes the mount watched …
        assert!(attempt(&waiting).is_some());
        // … a slow one without waiting is a matter of the processor …
        assert!(attempt(&busy).is_some());
        // … and one that waited is a matter of the mount. In a thread of its own, because the time without a processor that
        // is taken out may have been read a little earlier (`Waits::begin`): that of the one before, on a busy machine.
        let ended = std::thread::scope(|scope| scope.spawn(|| attempt(&waiting)).join());
        let ended = ended.expect("it does not panic").expect("it is permitted");
        assert!(mounts.permit_if(NUMBER, ended, || LOCAL).is_none());
    }

    #[test]
    fn a_mount_may_be_mounted_again_with_other_options() {
        let mounts = Mounts::default();
        let start = Instant::now();
        let updates = |at, updates| {
            mounts.permit_if(NUMBER, at, || MountInfo { updates, ..LOCAL }).map(|permit| permit.updates)
        };
        assert_eq!(updates(start, Updates::Never), Some(Updates::Never));
        assert_eq!(updates(start + MOUNT_UNCHANGED_FOR, Updates::Always), Some(Updates::Never));
        assert_eq!(updates(start + MOUNT_UNCHANGED_FOR * 2, Updates::Always), Some(Updates::Always));
        let gone = || MountInfo { local: false, ..LOCAL };
        assert!(mounts.permit_if(NUMBER, start + MOUNT_UNCHANGED_FOR * 4, gone).is_none());
    }

    #[test]
    fn many_mounts_do_not_fill_the_memory() {
        let mounts = Mounts::default();
        for number in 0..1000 {
            mounts.permit_if(MountNumber { number, unique: true }, Instant::now(), || LOCAL);
        }
        assert_eq!(mounts.0.lock().unwrap().len(), MOUNTS);
    }
}
