//! What git would ignore: the rules of `.gitignore` files from the top of the repository down, and of
//! `.git/info/exclude`.
//!
//! The `.git` of a worktree or a submodule is a file that tells where its directory is, and that of a worktree tells which
//! one it shares with the others, where the `info/exclude` of all of them is (gitrepository-layout(5)).
//!
//! Each directory with such a file has a [`Rules`], which refers to those above it. The deepest one with a rule that
//! matches a path decides.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Subject};
use crate::platform::{self, Directory, NativePath};
use crate::verbs::resolve::Strictness;

use super::ignore_rule::IgnoreRule;
use super::open_directories::OpenDirectories;

/// The file with the rules of a directory.
const FILE: &str = ".gitignore";

/// What a `.git` file begins with.
const LEADS_TO: &[u8] = b"gitdir: ";

/// In UTF-8. git skips it at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The rules of one directory, which take precedence over those of the directories above it.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<IgnoreRule>,
    /// The directory, relative to the top of the repository.
    place: PathBuf,
    above: Option<Arc<Self>>,
}

/// The place of a directory of a tree, and its rules.
#[derive(Debug, Clone, Default)]
pub(super) struct Ruled {
    /// Relative to the top of the repository, or of the tree if it is not in one.
    place: PathBuf,
    rules: Option<Arc<Rules>>,
    /// It is in an ignored directory, or one itself: git ignores everything in it, whatever the rules there.
    is_ignored: bool,
}

/// The reading of rules, for one directory of a tree.
pub(super) struct ReadingRules<'a> {
    open: &'a OpenDirectories,
    /// What could not be read.
    pub(super) errors: Vec<Error>,
}

impl<'a> ReadingRules<'a> {
    pub(super) fn new(open: &'a OpenDirectories) -> Self {
        Self { open, errors: Vec::new() }
    }

    /// The top directory of a tree, with the rules of the directories above it alone.
    pub(super) fn above(&mut self, path: &NativePath) -> Ruled {
        let mut here = Ruled::default();
        let absolute = match platform::resolve(path, Strictness::Strict, u32::MAX) {
            Ok(absolute) => PathBuf::from(absolute),
            Err(error) => {
                self.note(error);
                return here;
            }
        };
        let Some(repository) = absolute.ancestors().find(|above| self.has(&above.join(".git"))) else {
            return here;
        };
        let exclude = self.common_directory(repository).join("info/exclude");
        self.add(&mut here, &exclude, true);
        let way = absolute.strip_prefix(repository).unwrap_or(Path::new(""));
        let mut directory = repository.to_owned();
        for name in way {
            self.add(&mut here, &directory.join(FILE), false);
            directory.push(name);
            let is_ignored = here.ignores(name.as_ref(), true);
            here = here.child(name.as_ref());
            here.is_ignored = is_ignored;
        }
        here
    }

    /// The directory of a repository, or the one that it shares with other worktrees.
    fn common_directory(&mut self, repository: &Path) -> PathBuf {
        let mut directory = repository.join(".git");
        let content = self.content(&directory, true);
        if let Some(target) = content.strip_prefix(LEADS_TO).and_then(path) {
            directory = repository.join(target);
        }
        match path(&self.content(&directory.join("commondir"), true)) {
            Some(common) => directory.join(common),
            None => directory,
        }
    }

    /// Adds the rules of a directory's own file.
    pub(super) fn with_file(
        &mut self,
        mut ruled: Ruled,
        directory: &Directory,
        subject: impl FnOnce(&NativePath) -> Subject,
    ) -> Ruled {
        if let Some(name) = platform::native_name(FILE.as_bytes()).filter(|_| !ruled.is_ignored) {
            match self.read(&name, Some(directory), false) {
                Ok(content) => ruled.add(&content),
                Err(error) => self.errors.push(Error::new(&error, subject(&name))),
            }
        }
        ruled
    }

    /// Adds the rules of a file above the tree.
    fn add(&mut self, ruled: &mut Ruled, file: &Path, follow: bool) {
        if !ruled.is_ignored {
            ruled.add(&self.content(file, follow));
        }
    }

    /// The content of a file above the tree; nothing if there is none.
    fn content(&mut self, file: &Path, follow: bool) -> Vec<u8> {
        let Ok(path) = platform::native_path(file.as_os_str().to_owned()) else { return Vec::new() };
        self.read(&path, None, follow).unwrap_or_else(|error| {
            self.errors.push(Error::new(&error, Subject::Other(path)));
            Vec::new()
        })
    }

    /// Whether there is something at a path above the tree.
    fn has(&mut self, path: &Path) -> bool {
        let Ok(path) = platform::native_path(path.as_os_str().to_owned()) else { return false };
        let found = platform::metadata(&path, true);
        found.map_err(|error| self.note(Error::new(&error, Subject::Other(path)))).is_ok()
    }

    /// Notes that something above the tree cannot be looked at. What this process may not see there does not count.
    fn note(&mut self, error: Error) {
        let does_not_count = |code: i32| platform::means_missing(code) || platform::is_refused(code);
        if !error.code().is_some_and(does_not_count) {
            self.errors.push(error);
        }
    }

    /// The content of a file, if there is one. A link that is a `.gitignore` is not followed: git does not follow it
    /// either (gitignore(5), NOTES).
    fn read(&self, name: &NativePath, inside: Option<&Directory>, follow: bool) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let mut read = || {
            if Directory::entry(name, inside, follow)?.is_regular_file() {
                let file = self.open.make_room(|| Directory::open_to_read(name, inside, follow))?;
                platform::read_to_end(&file, &mut content, None)?;
            }
            Ok(())
        };
        match read() {
            Err(error) if !is_missing(&error) => Err(error),
            _ => Ok(content),
        }
    }
}

/// Whether an error says that there is no file, or is none any more.
fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(platform::means_missing)
}

/// A path that is the content of a file, without the ends of lines.
fn path(content: &[u8]) -> Option<PathBuf> {
    let end = content.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'))?;
    let text = &content[..=end];
    if cfg!(windows) && std::str::from_utf8(text).is_err() {
        return None;
    }
    // SAFETY: on Windows it is UTF-8, and elsewhere any bytes will do.
    Some(PathBuf::from(unsafe { OsStr::from_encoded_bytes_unchecked(text) }))
}

impl Ruled {
    /// A subdirectory, with the same rules.
    pub(super) fn child(&self, name: &Path) -> Self {
        let (place, rules) = (self.place.join(name), self.rules.clone());
        Self { place, rules, is_ignored: self.is_ignored }
    }

    /// Adds the rules of a file in this directory.
    fn add(&mut self, content: &[u8]) {
        let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
        let rules: Vec<_> = content.split(|byte| *byte == b'\n').filter_map(IgnoreRule::new).collect();
        if !rules.is_empty() {
            let (place, above) = (self.place.clone(), self.rules.take());
            self.rules = Some(Arc::new(Rules { rules, place, above }));
        }
    }

    /// Whether an entry is ignored.
    pub(super) fn ignores(&self, name: &Path, is_directory: bool) -> bool {
        let mut rules = self.rules.as_deref();
        if rules.is_none() || self.is_ignored {
            return self.is_ignored;
        }
        let path = self.place.join(name);
        while let Some(here) = rules {
            let inside = path.strip_prefix(&here.place).unwrap_or(&path);
            let names: Vec<&[u8]> = inside.iter().map(OsStr::as_encoded_bytes).collect();
            // The last rule that matches decides.
            match here.rules.iter().rev().find(|rule| rule.matches(&names, is_directory)) {
                Some(rule) => return !rule.keeps,
                None => rules = here.above.as_deref(),
            }
        }
        false
    }
}
