//! Whether reading a file would make the kernel update its access time.
//!
//! `RWF_NOWAIT` does not prevent that: `filemap_read` (`mm/filemap.c`) ends with `touch_atime` (`fs/inode.c`), which
//! dirties the inode. ext4 and btrfs join a transaction for it, XFS reserves one, and each may wait for one that is
//! being committed. So if an update is due, a worker reads. Its read updates the time.
//!
//! An update can become due between the check of the times and the read, if another process writes to the file just
//! then. That cannot be excluded; [`TIMES_FRESH_FOR`] bounds it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::linux::statx;
use super::mounts::MountNumber;
use crate::engine::runtime;
use crate::limits::{TIMES_FRESH_FOR, UNTOUCHED_FILES};
use crate::platform::File;
use crate::verbs::metadata::{Metadata, Timestamp};

/// A day, as `relatime_need_update` counts it, minus a second that the kernel's clock may be ahead.
const DAY: i64 = 24 * 60 * 60 - 1;
/// The coarsest clock of a file system with access times (FAT has dates, but no journal to wait for), in seconds.
const COARSEST: i64 = 2;

/// When a read updates the access time on a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Updates {
    /// Mounted `noatime`, or read-only.
    Never,
    /// Only in memory, without blocking: on tmpfs, and on ext4 and XFS with `lazytime`.
    InMemory,
    /// `relatime`: once after each change, and once a day.
    Relative,
    /// `strictatime`: by each read.
    Always,
}

impl Updates {
    /// A description for the user.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Never => "not kept (noatime or read-only)",
            Self::InMemory => "kept in memory at first",
            Self::Relative => "relatime: the first read after each change is a worker's",
            Self::Always => "strictatime: each read is a worker's",
        }
    }

    /// Whether reading a file with these times on this mount may block in the file system.
    pub(super) fn due(self, mount: MountNumber, metadata: &Metadata) -> bool {
        let due = match self {
            Self::Never | Self::InMemory => false,
            Self::Relative => relatime_is_due(metadata, now()),
            Self::Always => true,
        };
        due && !is_untouched(mount, metadata)
    }
}

/// `relatime_need_update` of `fs/inode.c`. Equal times count as well: the clock of most file systems ticks every few
/// milliseconds, so a file can be read and changed in one and the same tick.
fn relatime_is_due(metadata: &Metadata, now: Timestamp) -> bool {
    let Metadata { accessed, modified, changed, .. } = metadata;
    accessed <= modified || accessed <= changed || now.seconds - accessed.seconds >= DAY
}

/// The clock from which the kernel takes access times (`current_time` in `fs/inode.c`).
fn now() -> Timestamp {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has room for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut time) };
    #[allow(clippy::useless_conversion, reason = "the width differs between architectures")]
    Timestamp { seconds: time.tv_sec.into(), nanoseconds: time.tv_nsec as u32 }
}

/// Files whose access time a read does not update although it is due, as a worker has seen: those of an overlay's lower
/// layers, such as all files of a container image, and those with the attribute `A` of `chattr(1)`.
///
/// Each entry is a hash of the file and its times, so any change of the file invalidates it.
static SEEN_UNTOUCHED: [AtomicU64; UNTOUCHED_FILES] = [const { AtomicU64::new(0) }; UNTOUCHED_FILES];

fn fingerprint(mount: MountNumber, metadata: &Metadata) -> u64 {
    let Metadata { device, inode, accessed, modified, changed, .. } = metadata;
    let mut hasher = DefaultHasher::new();
    (mount.number, device, inode).hash(&mut hasher);
    for time in [accessed, modified, changed] {
        (time.seconds, time.nanoseconds).hash(&mut hasher);
    }
    hasher.finish() | 1
}

fn is_untouched(mount: MountNumber, metadata: &Metadata) -> bool {
    let fingerprint = fingerprint(mount, metadata);
    SEEN_UNTOUCHED[fingerprint as usize / 2 % UNTOUCHED_FILES].load(Ordering::Relaxed) == fingerprint
}

/// A worker's read that is observed to find out whether it updates the access time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation {
    began: Timestamp,
}

impl Observation {
    /// Begins an observation, if an update is due by the times of the file.
    pub(crate) fn begin(metadata: &Metadata) -> Option<Self> {
        let began = now();
        relatime_is_due(metadata, began).then_some(Self { began })
    }

    /// Begins an observation of a file for which an update was found to be due.
    pub(crate) fn begin_due() -> Self {
        Self { began: now() }
    }

    /// The file has been read.
    pub(crate) fn end(self, file: &File) {
        let Some((metadata, mount)) = statx(file.as_fd()) else { return };
        // If the read had updated it, the access time would be that of the read.
        let untouched = metadata.accessed.seconds + COARSEST < self.began.seconds;
        if untouched && relatime_is_due(&metadata, self.began) {
            let fingerprint = fingerprint(mount, &metadata);
            SEEN_UNTOUCHED[fingerprint as usize / 2 % UNTOUCHED_FILES].store(fingerprint, Ordering::Relaxed);
        }
    }
}

/// The cached times of an open file.
#[derive(Debug, Default)]
pub(crate) struct Times(Mutex<State>);

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Unknown,
    /// No update was due then.
    Settled(Instant),
    /// One was due, so a worker reads next.
    Due,
}

impl Times {
    /// Those of a file that was opened a moment ago, when no update was due.
    pub(crate) fn settled(at: Option<Instant>) -> Self {
        Self(Mutex::new(at.map_or(State::Unknown, State::Settled)))
    }

    /// Whether these times permit a read now; `look` finds out whether an update is due.
    pub(super) fn permit(&self, now: Instant, look: impl FnOnce() -> Option<bool>) -> bool {
        let mut state = runtime::lock(&self.0);
        if let State::Settled(at) = *state
            && now.saturating_duration_since(at) < TIMES_FRESH_FOR
        {
            return true;
        }
        *state = match look() {
            Some(false) => State::Settled(now),
            Some(true) => State::Due,
            None => State::Unknown,
        };
        matches!(*state, State::Settled(_))
    }

    /// A worker begins to use the file.
    pub(crate) fn begin(&self) -> Option<Observation> {
        let due = matches!(*runtime::lock(&self.0), State::Due);
        due.then(Observation::begin_due)
    }

    /// A worker has used the file, and perhaps written to it.
    pub(crate) fn end(&self, observed: Option<(Observation, &File)>) {
        *runtime::lock(&self.0) = State::Unknown;
        if let Some((observation, file)) = observed {
            observation.end(file);
        }
    }
}
