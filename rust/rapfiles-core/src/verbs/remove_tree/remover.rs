//! Removing each entry of a tree.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::removing::Request;
use crate::engine::runtime;
use crate::engine::stream::Slice;
use crate::error::{Error, Subject};
use crate::limits::REMOVED_AGAIN;
use crate::platform::{self, Directory, NativePath, codes};
use crate::verbs::copy::refused;
use crate::verbs::metadata::FileType;
use crate::verbs::post_order::{At, Entered, Left, Node, Visit, Visitor};
use crate::verbs::report::{Policy, Reporter};

/// An open directory; `None` is where paths begin.
#[derive(Debug, Default)]
pub struct Place(OnceLock<Directory>);

impl Place {
    fn directory(&self) -> Option<&Directory> {
        self.0.get()
    }
}

/// The saved data of a directory that is being emptied.
#[derive(Debug, Default)]
pub struct Mark {
    identity: (u64, u128),
    /// Whether something in it could not be removed.
    keeps_something: AtomicBool,
}

/// The name of the function in Python's `os` that corresponds to the call that failed, and the error.
pub(crate) type Failure = (&'static str, Error);

/// The removal of a tree.
#[derive(Debug)]
pub struct Remover {
    request: Request,
    reporter: Arc<Reporter>,
    /// The name of the top in its parent.
    name: OnceLock<NativePath>,
    /// How often a directory may still be emptied again, because entries were created in it meanwhile.
    again: AtomicU32,
    /// Failures that have to be reported. Until then nothing more is removed.
    failures: Mutex<VecDeque<Failure>>,
    paused: AtomicBool,
}

impl Remover {
    pub(crate) fn new(request: Request, reporter: Arc<Reporter>) -> Self {
        Self {
            request,
            reporter,
            name: OnceLock::new(),
            again: AtomicU32::new(REMOVED_AGAIN),
            failures: Mutex::default(),
            paused: AtomicBool::new(false),
        }
    }

    /// The next failure that has not been reported; if there is none, the removal may go on.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        let mut failures = runtime::lock(&self.failures);
        let failure = failures.pop_front();
        if failure.is_none() {
            self.paused.store(false, Ordering::Release);
        }
        failure
    }

    /// Whether an error may be due to permissions that the removal is to grant.
    fn may_permit(&self, error: &io::Error) -> bool {
        self.request.lenient && is(error, platform::is_refused)
    }

    /// Opens the directory that the top is in.
    fn begin(&self, at: &At<'_, Self>) -> Visit<()> {
        let path = &self.request.path;
        let name = platform::file_name(path);
        if [b".".as_slice(), b".."].contains(&&*platform::name_bytes(&name)) {
            let _ = self.name.set(path.clone());
            return Visit::Directory;
        }
        match Directory::of_entry(path) {
            Ok((above, name)) => {
                let _ = self.name.set(name);
                let _ = at.place.0.set(above);
                Visit::Directory
            }
            Err(error) => {
                if !(self.request.lenient && is(&error, platform::is_not_found)) {
                    let function = if is(&error, platform::is_not_found) { "lstat" } else { "open" };
                    self.failed(function, &error, at.node, Some(at.name));
                }
                Visit::Done
            }
        }
    }

    /// The name of an entry in its directory: the top is known by its whole path.
    fn name<'a>(&'a self, node: &Node<Self>, name: &'a NativePath) -> &'a NativePath {
        if node.is_outside() { self.name.get().unwrap_or(name) } else { name }
    }

    fn open(&self, at: &At<'_, Self>) -> io::Result<Directory> {
        let (name, inside) = (self.name(at.node, at.name), at.place.directory());
        Directory::open(name, inside).or_else(|error| {
            if !self.may_permit(&error) {
                return Err(error);
            }
            self.clear_flags(at.node, Some(at.name))?;
            Directory::permit_entry(name, inside)?;
            Directory::open(name, inside)
        })
    }

    fn unlink(&self, at: &At<'_, Self>) {
        let unlink = |name: &_, inside: Option<&Directory>| inside.map_or(Ok(()), |here| here.unlink(name));
        match self.attempt(at.node, at.place, at.name, unlink) {
            Ok(()) => self.reporter.file(),
            Err(error) if is(&error, platform::is_not_found) => {}
            Err(error) => self.failed("unlink", &error, at.node, Some(at.name)),
        }
    }

    /// Whether an entry may be removed: after a move, only what was copied and has not changed since. It can still be
    /// replaced between this check and its removal, as entries are removed by name.
    fn was_moved(&self, at: &At<'_, Self>) -> bool {
        let (Some(moved), Some(here)) = (&self.request.moved, at.place.directory()) else { return true };
        match here.metadata_of(at.name, false) {
            Ok(metadata) if !moved.has(&metadata) => {
                self.keep(at);
                false
            }
            // A missing entry needs no removal; other errors are reported when it is removed.
            _ => true,
        }
    }

    /// Leaves what was not moved.
    fn keep(&self, at: &At<'_, Self>) {
        self.complain("unlink", refused::not_moved(subject(at.node, Some(at.name))), at.node);
    }

    /// Removes an entry, if necessary after granting the permissions that this needs.
    fn attempt(
        &self,
        node: &Node<Self>,
        place: &Place,
        name: &NativePath,
        remove: impl Fn(&NativePath, Option<&Directory>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (called, inside) = (self.name(node, name), place.directory());
        remove(called, inside).or_else(|error| {
            if !self.may_permit(&error) {
                return Err(error);
            }
            // What is outside the tree stays as it is.
            if let Some(here) = inside.filter(|_| !node.is_outside()) {
                here.permit()?;
                self.clear_flags(node, None)?;
            }
            self.clear_flags(node, Some(name))?;
            remove(called, inside)
        })
    }

    /// Clears the flags and attributes that keep even the owner from removing something, on the systems that have them.
    ///
    /// This cannot be done by descriptor. The most that a link in place of a directory could achieve is that another
    /// file of the same owner loses such a flag.
    fn clear_flags(&self, node: &Node<Self>, name: Option<&NativePath>) -> io::Result<()> {
        path(node, name).map_or(Ok(()), |path| platform::clear_flags(&path))
    }

    /// Reports that an entry is not a directory, or not a readable one. A link at the top is refused, as in shutil.
    fn cannot_open(&self, error: &io::Error, at: &At<'_, Self>) {
        if !at.node.is_outside() || self.request.lenient {
            return self.failed("open", error, at.node, Some(at.name));
        }
        let found = Directory::entry(self.name(at.node, at.name), at.place.directory(), false);
        if found.is_ok_and(|found| found.is_symlink()) {
            let message = "Cannot call rmtree on a symbolic link";
            let code = error.raw_os_error().unwrap_or(codes::INVALID);
            let refused = Error::Refused { code, message, subject: Subject::Path, special: false };
            return self.complain("islink", refused, at.node);
        }
        let function = if is(error, platform::is_not_found) { "lstat" } else { "open" };
        self.failed(function, error, at.node, Some(at.name));
    }

    fn failed(
        &self,
        function: &'static str,
        error: &io::Error,
        node: &Node<Self>,
        name: Option<&NativePath>,
    ) {
        self.complain(function, Error::new(error, subject(node, name)), node);
    }

    /// Something in a directory could not be removed.
    fn complain(&self, function: &'static str, error: Error, node: &Node<Self>) {
        node.mark.keeps_something.store(true, Ordering::Relaxed);
        match self.reporter.failed() {
            Policy::Ignore => {}
            Policy::Raise | Policy::Report => {
                let mut failures = runtime::lock(&self.failures);
                failures.push_back((function, error));
                self.paused.store(true, Ordering::Release);
            }
        }
    }
}

fn is(error: &io::Error, kind: fn(i32) -> bool) -> bool {
    error.raw_os_error().is_some_and(kind)
}

/// The path of a directory, or of an entry of it. It is only joined when it is needed.
fn path(node: &Node<Remover>, name: Option<&NativePath>) -> Option<NativePath> {
    platform::joined(node.names().into_iter().chain(name))
}

fn subject(node: &Node<Remover>, name: Option<&NativePath>) -> Subject {
    path(node, name).map_or(Subject::Nothing, Subject::Other)
}

impl Visitor for Remover {
    type Place = Place;
    type Mark = Mark;
    type Leaf = ();

    const LISTS_FIRST: bool = true;
    const ENTERS_LATER: bool = true;

    /// Removes an entry, unless it is a directory, which has to be emptied first.
    fn visit(&self, at: &At<'_, Self>, file_type: Option<FileType>) -> Result<Visit<()>, Error> {
        if at.node.is_outside() {
            return Ok(self.begin(at));
        }
        let is_directory = match file_type {
            Some(file_type) => file_type == FileType::DIRECTORY,
            None => at.place.directory().is_some_and(|here| here.has_directory(at.name).unwrap_or(false)),
        };
        if is_directory {
            return Ok(Visit::Directory);
        }
        if self.was_moved(at) {
            self.unlink(at);
        }
        Ok(Visit::Done)
    }

    fn go_on(&self, (): &mut (), _at: &At<'_, Self>, _slice: &Slice<'_>) -> Result<bool, Error> {
        Ok(true)
    }

    fn enter(&self, at: &At<'_, Self>) -> Result<Option<Entered<Self>>, Error> {
        let inside_tree = !at.node.is_outside();
        let directory = match self.open(at) {
            Ok(directory) => directory,
            Err(error) if is(&error, platform::is_not_found) && (self.request.lenient || inside_tree) => {
                return Ok(None);
            }
            Err(error) if is(&error, platform::lacks_descriptors) => {
                return Err(Error::new(&error, subject(at.node, Some(at.name))));
            }
            // Something else has taken its place.
            Err(error) if inside_tree && is(&error, platform::is_no_directory) => {
                if self.was_moved(at) {
                    self.unlink(at);
                }
                return Ok(None);
            }
            Err(error) => {
                self.cannot_open(&error, at);
                return Ok(None);
            }
        };
        match directory.metadata().and_then(|metadata| Ok((metadata, directory.reader()?))) {
            Ok((metadata, _)) if self.request.moved.as_ref().is_some_and(|moved| !moved.has(&metadata)) => {
                self.keep(at);
                Ok(None)
            }
            Ok((metadata, reader)) => Ok(Some(Entered {
                place: Place(OnceLock::from(directory)),
                mark: Mark {
                    identity: (metadata.device, metadata.inode),
                    keeps_something: AtomicBool::new(false),
                },
                reader,
                keeps_above: false,
            })),
            Err(error) if is(&error, platform::lacks_descriptors) => {
                Err(Error::new(&error, subject(at.node, Some(at.name))))
            }
            Err(error) => {
                self.failed("lstat", &error, at.node, Some(at.name));
                Ok(None)
            }
        }
    }

    fn cannot_enter(&self, at: &At<'_, Self>, error: Error) -> Result<(), Error> {
        self.complain("open", error, at.node);
        Ok(())
    }

    fn cannot_read(&self, node: &Node<Self>, error: &io::Error) -> Result<(), Error> {
        self.failed("scandir", error, node, None);
        Ok(())
    }

    fn above(&self, node: &Node<Self>, place: &Place, above: &Node<Self>) -> Result<Option<Place>, Error> {
        let Some(here) = place.directory() else { return Ok(None) };
        let found = here.above().or_else(|error| {
            if self.may_permit(&error) {
                here.permit()?;
                return here.above();
            }
            Err(error)
        });
        let error = match found.and_then(|found| Ok((found.identity()?, found))) {
            Ok((identity, found)) if identity == above.mark.identity => {
                return Ok(Some(Place(OnceLock::from(found))));
            }
            // It was moved elsewhere, where nothing is to be removed.
            Ok(_) => Error::BeingMoved(subject(node, None)),
            Err(error) if is(&error, platform::lacks_descriptors) => {
                return Err(Error::new(&error, subject(node, None)));
            }
            Err(error) => Error::new(&error, subject(node, None)),
        };
        self.complain("open", error, node);
        Ok(None)
    }

    fn cannot_go_back(&self, node: &Node<Self>, error: Error) -> Result<(), Error> {
        self.complain("open", error, node);
        Ok(())
    }

    /// Removes a directory that has been emptied; if something has been put into it since, that goes first.
    fn leave(&self, node: &Arc<Node<Self>>, place: Arc<Place>, above: &Arc<Place>) -> Result<Left, Error> {
        // Some systems remove nothing that is open.
        drop(place);
        let Some(inside) = &node.above else { return Ok(Left::Done) };
        match self.attempt(inside, above, &node.name, Directory::remove) {
            Ok(()) => self.reporter.directory(),
            Err(error) if is(&error, platform::is_not_found) => {}
            Err(error) if is(&error, platform::is_not_empty) && self.may_enter_again(node) => {
                return Ok(Left::Again);
            }
            // What was not moved has been reported.
            Err(error)
                if is(&error, platform::is_not_empty)
                    && self.request.moved.is_some()
                    && node.mark.keeps_something.load(Ordering::Relaxed) =>
            {
                inside.mark.keeps_something.store(true, Ordering::Relaxed);
            }
            Err(error) => self.failed("rmdir", &error, inside, Some(&node.name)),
        }
        Ok(Left::Done)
    }

    fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }
}

impl Remover {
    fn may_enter_again(&self, node: &Node<Self>) -> bool {
        let less = |left: u32| left.checked_sub(1);
        !node.mark.keeps_something.load(Ordering::Relaxed)
            && self.again.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}
