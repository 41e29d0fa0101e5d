//! What git would ignore: the rules of `.gitignore` files from the top of the repository down, and of
//! `.git/info/exclude`.
//!
//! Each directory with such a file has a [`Rules`], which refers to those above it. The deepest one with a rule that
//! matches a path decides.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ignore_rule::IgnoreRule;

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
}

impl Ruled {
    /// The top directory of a tree, with the rules of the directories above it.
    pub(super) fn top(path: &Path) -> Self {
        let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let Some(repository) = absolute.ancestors().find(|above| above.join(".git").exists()) else {
            return Self::default().with_file(&absolute);
        };
        let mut here = Self::default();
        here.add(&repository.join(".git/info/exclude"));
        let way = absolute.strip_prefix(repository).unwrap_or(Path::new(""));
        let mut directory = repository.to_owned();
        here = here.with_file(&directory);
        for name in way {
            directory.push(name);
            here = here.child(name.as_ref()).with_file(&directory);
        }
        here
    }

    /// A subdirectory, with the same rules.
    pub(super) fn child(&self, name: &Path) -> Self {
        Self { place: self.place.join(name), rules: self.rules.clone() }
    }

    /// Adds the rules of the directory's own file.
    pub(super) fn with_file(mut self, directory: &Path) -> Self {
        self.add(&directory.join(".gitignore"));
        self
    }

    fn add(&mut self, file: &Path) {
        // A link is not followed: git does not follow it either (gitignore(5), NOTES).
        if !file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            return;
        }
        let Ok(content) = std::fs::read(file) else { return };
        let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&content);
        let rules: Vec<_> = content.split(|byte| *byte == b'\n').filter_map(IgnoreRule::new).collect();
        if !rules.is_empty() {
            let (place, above) = (self.place.clone(), self.rules.take());
            self.rules = Some(Arc::new(Rules { rules, place, above }));
        }
    }

    /// Whether an entry is ignored.
    pub(super) fn ignores(&self, name: &Path, is_directory: bool) -> bool {
        let mut rules = self.rules.as_deref();
        if rules.is_none() {
            return false;
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
