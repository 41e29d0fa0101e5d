//! Files and trees of the real file system, created and inspected by the standard library alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::limits::COPY_SMALL;
use crate::platform::NativePath;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    Nothing,
    File,
    Link,
    Tree,
}

/// A path or a name, as the engine takes it.
pub(super) fn native(path: impl AsRef<OsStr>) -> NativePath {
    NativePath::from_vec(path.as_ref().as_bytes().to_vec()).expect("it has no NUL")
}

/// What is known of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) mode: u32,
    pub(super) modified: (i64, i64),
    /// Of a file; where a link leads.
    pub(super) content: Vec<u8>,
}

impl Seen {
    pub(super) fn is_like(&self, other: &Self, with_metadata: bool) -> bool {
        self.mode & libc::S_IFMT == other.mode & libc::S_IFMT
            && self.content == other.content
            && (!with_metadata || (self.mode == other.mode && self.modified == other.modified))
    }
}

/// What there is, by the way to it; the top has none.
pub(super) type Snapshot = BTreeMap<PathBuf, Seen>;

/// Looks at a tree. `follow`: links stand for what they lead to.
pub(super) fn look(top: &Path, follow: bool) -> Snapshot {
    fn add(found: &mut Snapshot, path: &Path, name: PathBuf, follow: bool) {
        let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let Ok(metadata) = metadata else { return };
        let mut content = Vec::new();
        if metadata.is_symlink() {
            content = fs::read_link(path).unwrap().into_os_string().into_encoded_bytes();
        } else if metadata.is_file() {
            content = fs::read(path).unwrap();
        } else if metadata.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap().file_name();
                add(found, &path.join(&entry), name.join(&entry), follow);
            }
        }
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        found.insert(name, Seen { mode: metadata.mode(), modified, content });
    }
    let mut found = Snapshot::new();
    add(&mut found, top, PathBuf::new(), follow);
    found
}

/// Sets permissions and an old time.
pub(super) fn age(path: &Path, mode: u32) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + u64::from(mode), 123);
    fs::File::open(path).unwrap().set_times(fs::FileTimes::new().set_modified(time)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An old link.
pub(super) fn link(content: &str, path: &Path) {
    symlink(content, path).unwrap();
    age_unopened(path);
}

/// An old FIFO, which nobody writes to.
pub(super) fn fifo(path: &Path) {
    let native = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a C string.
    assert_eq!(unsafe { libc::mkfifo(native.as_ptr(), 0o600) }, 0);
    age_unopened(path);
}

/// Sets an old time of something that cannot be opened for that.
fn age_unopened(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let time = libc::timespec { tv_sec: 1_000_000_000, tv_nsec: 321 };
    // SAFETY: the path is a C string, and there are two points in time.
    let set = unsafe {
        libc::utimensat(libc::AT_FDCWD, path.as_ptr(), [time, time].as_ptr(), libc::AT_SYMLINK_NOFOLLOW)
    };
    assert_eq!(set, 0);
}

/// A little more than what goes through memory.
fn large(text: &str) -> String {
    text.repeat(COPY_SMALL as usize / text.len() + 1)
}

pub(super) fn make(thing: Thing, path: &Path, text: &str) {
    match thing {
        Thing::Nothing => {}
        Thing::File => {
            fs::write(path, large(text)).unwrap();
            age(path, 0o640);
        }
        Thing::Link => link("elsewhere", path),
        Thing::Tree => {
            fs::create_dir_all(path.join("lower/lowest")).unwrap();
            fs::write(path.join("first"), text).unwrap();
            fs::write(path.join("lower/second"), large(text)).unwrap();
            fs::write(path.join("lower/lowest/third"), "").unwrap();
            link("first", &path.join("link"));
            fs::hard_link(path.join("first"), path.join("lower/again")).unwrap();
            age(&path.join("first"), 0o600);
            age(&path.join("lower/second"), 0o444);
            age(&path.join("lower/lowest"), 0o711);
            age(&path.join("lower"), 0o700);
            age(path, 0o750);
        }
    }
}

pub(super) fn differences(wanted: &Snapshot, found: &Snapshot) -> String {
    let short = |seen: Option<&Seen>| {
        seen.map(|seen| {
            let start: String = String::from_utf8_lossy(&seen.content).chars().take(12).collect();
            format!("{:o} {:?} {start:?} of {}", seen.mode, seen.modified, seen.content.len())
        })
    };
    let names: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let lines = names.into_iter().filter(|name| wanted.get(*name) != found.get(*name)).map(|name| {
        format!("  {name:?}: {:?} should be {:?}\n", short(found.get(name)), short(wanted.get(name)))
    });
    lines.collect()
}
