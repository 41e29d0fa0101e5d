//! Removing a directory with everything in it, without ever following a link out of it.
//!
//! Everything is done by descriptor, relative to a directory that was opened as such: neither a link that takes the place
//! of a directory meanwhile nor another directory that does can mislead it. Only one directory is open at a time, however
//! deep the tree; the way back up leads through `..`, and only to the directory that it came from.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use crate::engine::kind::Kind;
use crate::engine::progress::Progress;
use crate::engine::stream::{Part, Single, Slice, Step, Stream, run_here};
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, runtime};
use crate::error::{Error, Subject};
use crate::limits::REMOVED_AGAIN;
use crate::platform::{self, Directory, DirectoryReader, NativePath, codes};
use crate::verbs::listing::Block;
use crate::verbs::metadata::FileType;
use crate::verbs::report::{Policy, Reporter, Snapshot};

/// A directory on the way from the top to the one being emptied.
#[derive(Debug)]
struct Level {
    name: NativePath,
    identity: (u64, u128),
    /// Until all of its entries are known: some file systems pass over some when others are removed meanwhile.
    reader: Option<DirectoryReader>,
    found: VecDeque<Block>,
    /// How many of the first block have been seen to.
    at: usize,
    /// Directories in it.
    waiting: Vec<NativePath>,
}

/// What a removal has to tell.
#[derive(Debug)]
pub enum Removed {
    /// How far it has come.
    Progress(Snapshot),
    /// Something could not be removed. With the name of the function of Python's `os` that does the same.
    Failed(&'static str, Error),
}

/// A removal: the only part of its stream.
#[derive(Debug)]
pub struct RemoveTree {
    /// What is to be removed; gone when that has begun.
    top: Option<NativePath>,
    policy: Policy,
    /// Whether what lacks permissions is given them, and a directory that is not there is as good as removed.
    lenient: bool,
    reporter: Option<Arc<Reporter>>,
    /// What could not be removed, and is to be told.
    failed: VecDeque<Removed>,
    levels: Vec<Level>,
    /// The last of the levels, the directory being emptied.
    here: Option<Directory>,
    /// How often a directory may be emptied once more, because something was put into it meanwhile.
    again: u32,
}

impl RemoveTree {
    pub(crate) fn new(path: NativePath, ignore_errors: bool) -> Self {
        Self {
            top: Some(path),
            policy: if ignore_errors { Policy::Ignore } else { Policy::Raise },
            lenient: true,
            reporter: None,
            failed: VecDeque::new(),
            levels: Vec::new(),
            here: None,
            again: REMOVED_AGAIN,
        }
    }

    /// One that leaves permissions as they are.
    fn strict(path: NativePath, policy: Policy, reporter: Option<Arc<Reporter>>) -> Self {
        Self { policy, lenient: false, reporter, ..Self::new(path, false) }
    }

    /// Whether an error may be one of permissions that are to be given.
    fn may_permit(&self, error: &io::Error) -> bool {
        self.lenient && is(error, platform::is_refused)
    }

    /// Opens a directory, the next to be emptied.
    fn enter(&mut self, name: NativePath) -> Result<(), Error> {
        let opened = Directory::open(&name, self.here.as_ref()).or_else(|error| {
            if !self.may_permit(&error) {
                return Err(error);
            }
            self.clear_flags(Some(&name))?;
            Directory::permit_entry(&name, self.here.as_ref())?;
            Directory::open(&name, self.here.as_ref())
        });
        let directory = match opened {
            Ok(directory) => directory,
            Err(error) if is(&error, platform::is_not_found) && (self.lenient || self.here.is_some()) => {
                return Ok(());
            }
            // Something took its place.
            Err(error) if self.here.is_some() && is(&error, platform::is_no_directory) => {
                return self.unlink(&name);
            }
            Err(error) => return self.cannot_open(&error, &name),
        };
        let opened = directory.identity().and_then(|identity| Ok((identity, directory.reader()?)));
        let (identity, reader) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.failed("lstat", &error, Some(&name)),
        };
        self.here = Some(directory);
        let reader = Some(reader);
        self.levels.push(Level {
            name,
            identity,
            reader,
            found: VecDeque::new(),
            at: 0,
            waiting: Vec::new(),
        });
        Ok(())
    }

    /// Reads some of what is in the directory.
    fn read(&mut self, mut reader: DirectoryReader) -> Result<(), Error> {
        let mut block = Block::default();
        let goes_on = reader.read(&mut |entry| block.push(entry));
        if let Some(level) = self.levels.last_mut() {
            if !block.is_empty() {
                level.found.push_back(block);
            }
            if matches!(goes_on, Ok(true)) {
                level.reader = Some(reader);
            }
        }
        goes_on.map(drop).or_else(|error| self.failed("scandir", &error, None))
    }

    /// The next entry of the directory that has not been seen to, and its type.
    fn next_entry(&mut self) -> Option<(NativePath, Option<FileType>)> {
        let level = self.levels.last_mut()?;
        loop {
            let block = level.found.front()?;
            if let Some(entry) = block.get(level.at) {
                level.at += 1;
                match platform::native_name(entry.name) {
                    Some(name) => return Some((name, entry.file_type)),
                    None => continue,
                }
            }
            level.at = 0;
            level.found.pop_front();
        }
    }

    /// Removes an entry, unless it is a directory, which has to be emptied first.
    fn see_to(&mut self, name: NativePath, file_type: Option<FileType>) -> Result<(), Error> {
        let is_directory = match file_type {
            Some(file_type) => file_type == FileType::DIRECTORY,
            None => self.here.as_ref().is_some_and(|here| here.has_directory(&name).unwrap_or(false)),
        };
        if !is_directory {
            return self.unlink(&name);
        }
        if let Some(level) = self.levels.last_mut() {
            level.waiting.push(name);
        }
        Ok(())
    }

    /// Goes up, and removes the directory that is empty now.
    fn leave(&mut self) -> Result<(), Error> {
        let Some(here) = self.here.take() else { return Ok(()) };
        let Some(expected) = self.levels.len().checked_sub(2).map(|above| self.levels[above].identity) else {
            let Some(top) = self.levels.pop() else { return Ok(()) };
            return self.remove(top.name);
        };
        let above = here.above().or_else(|error| {
            if self.may_permit(&error) {
                here.permit()?;
                return here.above();
            }
            Err(error)
        });
        match above.and_then(|above| Ok((above.identity()?, above))) {
            Ok((identity, above)) if identity == expected => {
                self.here = Some(above);
                let Some(left) = self.levels.pop() else { return Ok(()) };
                self.remove(left.name)
            }
            // It was moved elsewhere, where nothing is to be removed: there is no way back.
            found => {
                let subject = self.subject(None);
                self.levels.clear();
                let error = match found {
                    Ok(_) => Error::BeingMoved(subject),
                    Err(error) => Error::new(&error, subject),
                };
                self.complain("open", error)
            }
        }
    }

    /// Removes a directory that has been emptied; if something has been put into it since, that goes first.
    fn remove(&mut self, name: NativePath) -> Result<(), Error> {
        match self.attempt("rmdir", &name, Directory::remove) {
            // Where errors are passed over, it may be something that cannot be removed.
            Err(Error::Os { code, .. }) if platform::is_not_empty(code) && self.again > 0 => {
                self.again -= 1;
                self.enter(name)
            }
            ended => ended,
        }
    }

    fn unlink(&mut self, name: &NativePath) -> Result<(), Error> {
        self.attempt("unlink", name, |name, inside| inside.map_or(Ok(()), |here| here.unlink(name)))
    }

    /// Removes an entry, if need be after giving its directory and itself what permits it. What has vanished is as good as
    /// removed.
    fn attempt(
        &mut self,
        function: &'static str,
        name: &NativePath,
        remove: impl Fn(&NativePath, Option<&Directory>) -> io::Result<()>,
    ) -> Result<(), Error> {
        let removed = remove(name, self.here.as_ref()).or_else(|error| {
            if !self.may_permit(&error) {
                return Err(error);
            }
            if let Some(here) = &self.here {
                here.permit()?;
                self.clear_flags(None)?;
            }
            self.clear_flags(Some(name))?;
            remove(name, self.here.as_ref())
        });
        match removed {
            Ok(()) => {
                match &self.reporter {
                    Some(reporter) if function == "rmdir" => reporter.directory(),
                    Some(reporter) => reporter.file(),
                    None => {}
                }
                Ok(())
            }
            Err(error) if is(&error, platform::is_not_found) => Ok(()),
            Err(error) => self.failed(function, &error, Some(name)),
        }
    }

    /// Takes away what keeps even the owner from removing something, on the systems that have such flags and attributes.
    ///
    /// There is no way to do it by descriptor. All that a link in place of a directory could gain is that another file of
    /// the same owner loses such a flag.
    fn clear_flags(&self, name: Option<&NativePath>) -> io::Result<()> {
        self.path(name).map_or(Ok(()), |path| platform::clear_flags(&path))
    }

    /// The path of the directory that is being emptied, or of an entry of it: put together only when it is needed.
    fn path(&self, name: Option<&NativePath>) -> Option<NativePath> {
        platform::joined(self.levels.iter().map(|level| &level.name).chain(name))
    }

    fn subject(&self, name: Option<&NativePath>) -> Subject {
        self.path(name).map_or(Subject::Nothing, Subject::Other)
    }

    /// What is to be removed is no directory, or one that may not be read. A link at the top is refused as shutil does.
    fn cannot_open(&mut self, error: &io::Error, name: &NativePath) -> Result<(), Error> {
        if self.here.is_some() || self.lenient {
            return self.failed("open", error, Some(name));
        }
        let found = Directory::entry(name, None, false);
        if found.is_ok_and(|found| found.is_symlink()) {
            let message = "Cannot call rmtree on a symbolic link";
            let code = error.raw_os_error().unwrap_or(codes::INVALID);
            let refused = Error::Refused { code, message, subject: Subject::Path, special: false };
            return self.complain("islink", refused);
        }
        self.failed(if is(error, platform::is_not_found) { "lstat" } else { "open" }, error, Some(name))
    }

    fn failed(
        &mut self,
        function: &'static str,
        error: &io::Error,
        name: Option<&NativePath>,
    ) -> Result<(), Error> {
        let subject = self.subject(name);
        self.complain(function, Error::new(error, subject))
    }

    fn complain(&mut self, function: &'static str, error: Error) -> Result<(), Error> {
        if let Some(reporter) = &self.reporter {
            reporter.failed();
        }
        match self.policy {
            Policy::Raise => return Err(error),
            Policy::Ignore => {}
            Policy::Report => self.failed.push_back(Removed::Failed(function, error)),
        }
        Ok(())
    }

    /// What there is to tell.
    fn report(&mut self) -> Option<Removed> {
        self.failed.pop_front().or_else(|| {
            let reporter = self.reporter.as_ref()?;
            reporter.snapshot(|| self.path(None)).map(Removed::Progress)
        })
    }
}

fn is(error: &io::Error, kind: fn(i32) -> bool) -> bool {
    error.raw_os_error().is_some_and(kind)
}

impl Part for RemoveTree {
    type Batch = Removed;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Removed>, Error> {
        loop {
            if let Some(top) = self.top.take() {
                self.enter(top)?;
            } else if let Some(level) = self.levels.last_mut() {
                if let Some(reader) = level.reader.take() {
                    self.read(reader)?;
                } else if let Some((name, file_type)) = self.next_entry() {
                    self.see_to(name, file_type)?;
                    slice.count(1);
                } else if let Some(name) = self.levels.last_mut().and_then(|level| level.waiting.pop()) {
                    self.enter(name)?;
                } else {
                    self.leave()?;
                }
            } else {
                return Ok(Step::Last(None));
            }
            if let Some(report) = self.report() {
                return Ok(Step::Batch(report));
            }
            if slice.is_over() {
                return Ok(Step::Again);
            }
        }
    }
}

impl Engine {
    /// Removes a directory with everything in it. Where there is none, nothing happens; where there is something else, such
    /// as a link to one, that is an error. What lacks permissions, or is kept by flags of its owner's, is given them.
    pub fn remove_tree(&self, path: NativePath, ignore_errors: bool) -> Stream<Single<RemoveTree>> {
        let lane = self.lane(&path);
        Stream::new(self, lane, Kind::RemoveTree, Single::new(RemoveTree::new(path, ignore_errors)))
    }
}

/// A removal that stops whenever it has something to tell, and is gone on with when that has been seen to.
pub struct Resumed(Arc<Mutex<RemoveTree>>);

impl Part for Resumed {
    type Batch = Removed;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Removed>, Error> {
        Ok(match runtime::lock(&self.0).step(slice)? {
            Step::Batch(report @ Removed::Failed(..)) => Step::Last(Some(report)),
            step => step,
        })
    }
}

/// A removal as its consumer sees it, who may do something about each error before it is gone on.
pub struct Removing {
    removal: Arc<Mutex<RemoveTree>>,
    stream: Stream<Single<Resumed>>,
    reporter: Arc<Reporter>,
    /// An error has been told, with which the stream has ended.
    paused: bool,
    path: NativePath,
}

impl Removing {
    /// What there is to tell next; `None` when everything is removed, or after an error that ends it.
    pub fn next(&mut self, ticket: impl Fn() -> Arc<Ticket>) -> Progress<Result<Option<Removed>, Error>> {
        if std::mem::take(&mut self.paused) {
            self.stream = Engine::current().resume_removal(&self.removal, &self.path);
        }
        let next = self.stream.next(ticket);
        self.paused = matches!(next, Progress::Done(Ok(Some(Removed::Failed(..)))));
        next
    }

    /// How far it has come.
    pub fn reporter(&self) -> &Arc<Reporter> {
        &self.reporter
    }

    /// How many entries have been seen to since the last error.
    pub fn progress(&self) -> u64 {
        self.stream.progress()
    }
}

impl std::fmt::Debug for Removing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Removing").finish_non_exhaustive()
    }
}

impl Engine {
    /// Removes what has been moved elsewhere.
    pub(crate) fn remove_moved(&self, path: NativePath) -> Stream<Single<RemoveTree>> {
        let lane = self.lane(&path);
        let removal = RemoveTree::strict(path, Policy::Raise, None);
        Stream::new(self, lane, Kind::RemoveTree, Single::new(removal))
    }

    /// Removes a directory with everything in it, as `shutil.rmtree` does: what is not there is an error, and permissions
    /// stay as they are.
    pub fn remove(&self, path: NativePath, policy: Policy, progress: bool) -> Removing {
        let reporter = Arc::new(Reporter::new(policy, progress, None));
        let removal = RemoveTree::strict(path.clone(), policy, Some(Arc::clone(&reporter)));
        let removal = Arc::new(Mutex::new(removal));
        let stream = self.resume_removal(&removal, &path);
        Removing { removal, stream, reporter, paused: false, path }
    }

    fn resume_removal(&self, removal: &Arc<Mutex<RemoveTree>>, path: &NativePath) -> Stream<Single<Resumed>> {
        let part = Resumed(Arc::clone(removal));
        Stream::new(self, self.lane(path), Kind::RemoveTree, Single::new(part))
    }
}

/// Does the same in this thread. `between` is asked now and then whether to go on.
///
/// # Errors
/// When something cannot be removed and errors are not to be ignored; that of `between`.
pub fn remove_tree<E: From<Error>>(
    path: NativePath,
    ignore_errors: bool,
    between: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let removal = Single::new(RemoveTree::new(path, ignore_errors));
    run_here(removal, drop, between)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::engine::stream::step_shortly;

    fn remove_tree(path: NativePath, ignore_errors: bool) -> Result<(), Error> {
        super::remove_tree(path, ignore_errors, || Ok(()))
    }

    fn native(path: &Path) -> NativePath {
        NativePath::from_vec(path.as_os_str().as_bytes().to_vec()).unwrap()
    }

    /// Goes on, one small step after the other, until so many directories have been entered.
    fn enter(removal: &mut RemoveTree, depth: usize) {
        while removal.levels.len() < depth {
            assert!(matches!(step_shortly(removal), Ok(Step::Again)));
        }
    }

    fn finish(removal: &mut RemoveTree) -> Result<(), Error> {
        loop {
            if let Step::Last(_) = step_shortly(removal)? {
                return Ok(());
            }
        }
    }

    #[test]
    fn everything_goes_in_any_number_of_steps() {
        let folder = tempfile::tempdir().unwrap();
        let (top, outside) = (folder.path().join("top"), folder.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), b"precious").unwrap();
        for small in [false, true] {
            for number in 0..30 {
                let deep = top.join(format!("{number}/a/b"));
                fs::create_dir_all(&deep).unwrap();
                fs::write(deep.join("file"), b"").unwrap();
                symlink(&outside, top.join(format!("{number}/link"))).unwrap();
                symlink("nowhere", deep.join("dangling")).unwrap();
            }
            let mut removal = RemoveTree::new(native(&top), false);
            if small {
                finish(&mut removal).unwrap();
            } else {
                remove_tree(native(&top), false).unwrap();
            }
            assert!(!top.exists());
            assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
        }
        remove_tree(native(&top), false).unwrap();
    }

    #[test]
    fn a_directory_that_is_moved_elsewhere_is_not_followed_there() {
        for ignore_errors in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let (top, other) = (folder.path().join("top"), folder.path().join("other"));
            fs::create_dir_all(top.join("a/b")).unwrap();
            fs::create_dir_all(other.join("precious")).unwrap();
            let mut removal = RemoveTree::new(native(&top), ignore_errors);
            enter(&mut removal, 3);
            fs::rename(top.join("a/b"), other.join("b")).unwrap();
            match finish(&mut removal) {
                Err(Error::BeingMoved(Subject::Other(path))) if !ignore_errors => {
                    assert_eq!(path, native(&top.join("a/b")));
                }
                ended => assert!(ended.is_ok() && ignore_errors, "{ended:?}"),
            }
            assert!(other.join("precious").is_dir() && other.join("b").is_dir());
            assert!(top.join("a").is_dir());
        }
    }

    #[test]
    fn a_link_in_place_of_a_directory_is_removed_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (top, victim) = (folder.path().join("top"), folder.path().join("victim"));
        for path in [&top, &victim] {
            fs::create_dir_all(path.join("a/b")).unwrap();
            fs::write(path.join("a/b/file"), b"content").unwrap();
        }
        let mut removal = RemoveTree::new(native(&top), false);
        enter(&mut removal, 1);
        while removal.levels[0].waiting.is_empty() {
            assert!(matches!(step_shortly(&mut removal), Ok(Step::Again)));
        }
        // It has been seen that this is a directory.
        fs::rename(top.join("a"), folder.path().join("aside")).unwrap();
        symlink(victim.join("a"), top.join("a")).unwrap();
        finish(&mut removal).unwrap();
        assert!(!top.exists());
        assert_eq!(fs::read(victim.join("a/b/file")).unwrap(), b"content");
    }

    #[test]
    fn another_directory_in_the_place_of_one_is_emptied_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let (top, aside) = (folder.path().join("top"), folder.path().join("aside"));
        fs::create_dir_all(top.join("a/b")).unwrap();
        let mut removal = RemoveTree::new(native(&top), true);
        enter(&mut removal, 2);
        fs::rename(top.join("a"), &aside).unwrap();
        fs::create_dir_all(top.join("a/new")).unwrap();
        // What is open is emptied, but is not where it was: nothing outside of it is touched.
        finish(&mut removal).unwrap();
        assert!(aside.is_dir() && top.join("a/new").is_dir());
    }

    #[test]
    fn what_is_put_in_meanwhile_goes_too() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        fs::create_dir_all(top.join("a")).unwrap();
        for late in ["late", "a/late"] {
            fs::create_dir_all(top.join("a")).unwrap();
            let mut removal = RemoveTree::new(native(&top), false);
            enter(&mut removal, 1);
            // Everything that is there has been seen, and the innermost directory is about to be removed.
            while removal.levels.last().is_some_and(|level| level.reader.is_some())
                || removal.levels.len() < 1 + late.matches('/').count()
            {
                assert!(matches!(step_shortly(&mut removal), Ok(Step::Again)));
            }
            fs::write(top.join(late), b"").unwrap();
            finish(&mut removal).unwrap();
            assert!(!top.exists(), "{late}");
        }
    }

    #[test]
    fn what_cannot_be_removed_is_told_or_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let link = folder.path().join("link");
        symlink(folder.path(), &link).unwrap();
        for path in [&file, &link] {
            match remove_tree(native(path), false) {
                Err(Error::Os { code, subject: Subject::Other(named) }) => {
                    assert!(platform::is_no_directory(code));
                    assert_eq!(named, native(path));
                }
                other => panic!("{other:?}"),
            }
            remove_tree(native(path), true).unwrap();
            assert!(path.symlink_metadata().is_ok());
        }
    }
}
