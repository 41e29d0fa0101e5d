//! Copying each entry of a tree.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::aftermath::Aftermath;
use super::attributes::{preserve, preserve_entry};
use super::moved::Moved;
use super::options::{CopyOptions, CopyRequest};
use super::refused;
use super::target::Target;
use super::transfer::Transfer;
use crate::engine::lane::Lane;
use crate::engine::stream::Slice;
use crate::engine::{Engine, runtime};
use crate::error::{About, Error, Subject};
use crate::platform::{self, Directory, File, NativePath, codes};
use crate::verbs::atomic::inherit;
use crate::verbs::metadata::{FileType, Metadata};
use crate::verbs::post_order::{At, Entered, Left, Node, Visit, Visitor};
use crate::verbs::replaced::{MayBeGone, again_if_stale, found};
use crate::verbs::report::Reporter;
use crate::verbs::temporary::{give_name, with_temporary_name};

/// Cloning is not tried between devices where it has failed: a hash of the last pair of devices.
const NONE_FAILED: u64 = u64::MAX;
/// The permissions of new files, before the umask.
const NEW_FILE: u32 = 0o666;
const NEW_DIRECTORY: u32 = 0o777;
/// The same if the source's are copied at the end: until then nobody else may have access.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;

/// A directory of the source and its copy.
pub struct Pair {
    /// `None` for the working directory.
    source: Option<Directory>,
    /// Opened when it is first used.
    target: OnceLock<Directory>,
}

impl Pair {
    /// The place of the paths of a request.
    pub(crate) fn outside() -> Self {
        Self { source: None, target: OnceLock::new() }
    }

    fn of(source: Directory, target: Directory) -> Self {
        Self { source: Some(source), target: OnceLock::from(target) }
    }

    pub(crate) fn target(&self) -> io::Result<&Directory> {
        self.target.get().ok_or_else(|| io::Error::from_raw_os_error(platform::BAD_DESCRIPTOR))
    }
}

type Identity = (u64, u128);
/// Creates an entry of this name.
type Make<'a> = &'a dyn Fn(&NativePath) -> io::Result<()>;

/// The saved data of a directory that is being copied.
pub struct Mark {
    source: Metadata,
    target: Identity,
    /// Whether metadata is set at the end.
    ends: bool,
}

impl Mark {
    pub(crate) fn outside() -> Self {
        Self { source: Metadata::default(), target: (0, 0), ends: false }
    }
}

/// A file that is being copied.
pub struct FileCopy {
    source: File,
    metadata: Metadata,
    target: Target,
    transfer: Transfer,
}

/// The copying of a file, a link or a tree.
pub struct Copier {
    source: NativePath,
    target: NativePath,
    /// The name of the target in its directory.
    name: NativePath,
    moves: bool,
    /// What is to be removed after a move.
    moved: Arc<Moved>,
    options: CopyOptions,
    pub(crate) reporter: Arc<Reporter>,
    /// The temporary name of the new directory.
    hidden: OnceLock<NativePath>,
    top: OnceLock<Identity>,
    /// The new directory has its name.
    complete: AtomicBool,
    /// The devices that cannot clone.
    unshared: AtomicU64,
    /// The copies of files with several names, as names from the top.
    names: Mutex<HashMap<Identity, Vec<NativePath>>>,
    /// Whether everything has been copied, so that a move removes the source.
    pub(crate) copied: Arc<AtomicBool>,
    aftermath: Arc<Aftermath>,
    engine: Arc<Engine>,
    lane: Lane,
}

impl Copier {
    pub(crate) fn new(
        engine: &Engine,
        lane: Lane,
        request: CopyRequest,
        reporter: Arc<Reporter>,
        (copied, moved, aftermath): (Arc<AtomicBool>, Arc<Moved>, Arc<Aftermath>),
    ) -> Self {
        Self {
            name: platform::file_name(&request.target),
            source: request.source,
            target: request.target,
            moves: request.moves,
            moved,
            options: request.options,
            reporter,
            hidden: OnceLock::new(),
            top: OnceLock::new(),
            complete: AtomicBool::new(false),
            unshared: AtomicU64::new(NONE_FAILED),
            names: Mutex::default(),
            copied,
            aftermath,
            engine: engine.share(),
            lane,
        }
    }

    // Which paths an error names: those of the request at the top, and below it what lies beneath them.

    fn source_path(&self, at: &At<'_, Self>) -> Subject {
        if at.node.is_outside() {
            return Subject::Path;
        }
        let path = platform::joined(at.node.names().into_iter().chain([at.name]));
        path.map_or(Subject::Path, Subject::Other)
    }

    fn target_path(&self, at: &At<'_, Self>) -> Subject {
        if at.node.is_outside() {
            return Subject::Second;
        }
        self.beneath_target(at.node, Some(at.name)).map_or(Subject::Second, Subject::Other)
    }

    fn both_paths(&self, at: &At<'_, Self>) -> Subject {
        match (self.source_path(at), self.target_path(at)) {
            (Subject::Other(source), Subject::Other(target)) => Subject::Others(source, target),
            _ => Subject::Both,
        }
    }

    fn beneath_target(&self, node: &Node<Self>, name: Option<&NativePath>) -> Option<NativePath> {
        let names = node.names();
        platform::joined([&self.target].into_iter().chain(names.into_iter().skip(1)).chain(name))
    }

    /// The name of an entry in the directory of the target.
    fn target_name<'a>(&'a self, at: &At<'a, Self>) -> &'a NativePath {
        if at.node.is_outside() { &self.name } else { at.name }
    }

    /// Whether it is copied into a directory that still has a temporary name.
    fn is_hidden(&self, at: &At<'_, Self>) -> bool {
        !at.node.is_outside() && self.hidden.get().is_some()
    }

    /// The directory of the target, opened now if it is not.
    fn target_directory<'a>(&self, at: &At<'a, Self>) -> Result<&'a Directory, Error> {
        if at.node.is_outside() && at.place.target.get().is_none() {
            let (directory, _) = Directory::of_entry(&self.target).about(Subject::Second)?;
            let _ = at.place.target.set(directory);
        }
        at.place.target().about(Subject::Second)
    }

    /// Handles the path of the request.
    fn begin(&self, at: &At<'_, Self>) -> Result<Visit<FileCopy>, Error> {
        if self.moves && rename(&self.source, &self.target)? {
            self.reporter.file();
            return Ok(Visit::Done);
        }
        let metadata = platform::metadata(&self.source, self.options.follow_symlinks).about_path()?;
        self.dispatch(at, metadata)
    }

    fn dispatch(&self, at: &At<'_, Self>, metadata: Metadata) -> Result<Visit<FileCopy>, Error> {
        match metadata.file_type() {
            FileType::DIRECTORY => Ok(Visit::Directory),
            FileType::SYMLINK => self.copy_link(at, &metadata),
            FileType::REGULAR if metadata.links > 1 && self.options.preserve_hard_links => {
                if self.copy_name(at, &metadata)? {
                    return Ok(Visit::Done);
                }
                self.copy_file(at)
            }
            FileType::REGULAR => self.copy_file(at),
            _ => self.copy_special(at, &metadata),
        }
    }

    fn copy_link(&self, at: &At<'_, Self>, metadata: &Metadata) -> Result<Visit<FileCopy>, Error> {
        let source = at.place.source.as_ref();
        let content = Directory::read_link(at.name, source).about(|| self.source_path(at))?;
        let target = self.target_directory(at).map_err(|error| match error {
            Error::Os { code, .. } => {
                Error::Os { code, subject: Subject::Others(content.clone(), self.target.clone()) }
            }
            other => other,
        })?;
        let leads_to_directory =
            cfg!(windows) && Directory::entry(at.name, source, true).is_ok_and(|found| found.is_directory());
        let make = |name: &NativePath| target.make_link(name, &content, leads_to_directory);
        let subject = |copier: &Self| match copier.target_path(at) {
            Subject::Other(target) => Subject::Others(content.clone(), target),
            _ => Subject::Others(content.clone(), copier.target.clone()),
        };
        let finish = |name: &NativePath| {
            if self.options.preserve_metadata {
                preserve_entry((at.name, source), metadata, (name, target)).about(|| self.both_paths(at))?;
            }
            Ok::<_, Error>(())
        };
        self.put(at, target, (&make, &subject), &finish)?;
        self.done_with_entry(at, metadata)
    }

    fn copy_special(&self, at: &At<'_, Self>, metadata: &Metadata) -> Result<Visit<FileCopy>, Error> {
        if !self.options.recreate_special {
            return Err(refused::special(metadata, self.source_path(at)));
        }
        let target = self.target_directory(at)?;
        let make = |name: &NativePath| target.make_special(name, metadata);
        let finish = |name: &NativePath| {
            if self.options.preserve_metadata {
                let from = (at.name, at.place.source.as_ref());
                preserve_entry(from, metadata, (name, target)).about(|| self.both_paths(at))?;
            }
            Ok(())
        };
        self.put(at, target, (&make, &|copier| copier.target_path(at)), &finish)?;
        self.done_with_entry(at, metadata)
    }

    /// Makes an entry that is no file. It appears with its metadata, or not at all.
    fn put(
        &self,
        at: &At<'_, Self>,
        target: &Directory,
        (make, subject): (Make<'_>, &dyn Fn(&Self) -> Subject),
        finish: &dyn Fn(&NativePath) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let name = self.target_name(at);
        let is_one_call = !self.options.atomic && !self.options.preserve_metadata;
        if is_one_call || self.is_hidden(at) {
            make(name).map_err(|error| Error::new(&error, subject(self)))?;
            return finish(name);
        }
        let (temporary, ()) = with_temporary_name(make).map_err(|error| Error::new(&error, subject(self)))?;
        let put = finish(&temporary).and_then(|()| {
            if self.options.atomic {
                target.rename(&temporary, name).map_err(|error| Error::new(&error, self.target_path(at)))
            } else {
                give_name(target, &temporary, name).map_err(|error| Error::new(&error, subject(self)))
            }
        });
        if put.is_err() {
            // There is already an error to report.
            let _ = target.unlink(&temporary);
        }
        put
    }

    /// Creates a hard link to a file that has been copied under another name; `false` if it has not.
    fn copy_name(&self, at: &At<'_, Self>, metadata: &Metadata) -> Result<bool, Error> {
        let identity = (metadata.device, metadata.inode);
        let mut own: Vec<NativePath> = at.node.names().into_iter().skip(1).cloned().collect();
        own.push(at.name.clone());
        let first = {
            let mut names = runtime::lock(&self.names);
            match names.get(&identity) {
                Some(first) => first.clone(),
                None => {
                    names.insert(identity, own);
                    return Ok(false);
                }
            }
        };
        let Some(top) = at.node.chain().last() else { return Ok(false) };
        let outside = top.above.as_ref().and_then(|outside| outside.place());
        let (Some(outside), Some((name, way))) = (outside, first.split_last()) else { return Ok(false) };
        // Down again, never through a link.
        let top = self.hidden.get().unwrap_or(&self.name);
        let linked = (|| {
            let mut directory = Directory::open_as(top, Some(outside.target()?), false)?;
            for name in way {
                directory = Directory::open_as(name, Some(&directory), false)?;
            }
            at.place.target()?.make_name(at.name, name, &directory)
        })();
        linked.about(|| self.target_path(at))?;
        self.reporter.file();
        self.note(metadata)?;
        Ok(true)
    }

    /// Opens a file and creates its target.
    fn copy_file(&self, at: &At<'_, Self>) -> Result<Visit<FileCopy>, Error> {
        let follow = self.options.follow_symlinks;
        let source = Directory::open_to_read(at.name, at.place.source.as_ref(), follow);
        let source = source.about(|| self.source_path(at))?;
        let metadata = platform::metadata_of(&source).about(|| self.source_path(at))?;
        match metadata.file_type() {
            FileType::REGULAR => {}
            FileType::DIRECTORY => return Ok(Visit::Directory),
            _ => return Err(refused::special(&metadata, self.source_path(at))),
        }
        if self.is_hidden(at) {
            let from = (at.name, at.place.source.as_ref());
            let to = (self.target_directory(at)?, self.target_name(at));
            if platform::copy_whole(&source, from, to, self.options.preserve_metadata)
                .about(|| self.both_paths(at))?
            {
                self.reporter.file();
                self.reporter.bytes(metadata.size);
                self.note(&metadata)?;
                return Ok(Visit::Done);
            }
        }
        let target = self.open_target(at, &metadata)?;
        let into = target.file().and_then(platform::metadata_of).about(|| self.target_path(at))?;
        let devices = metadata.device.rotate_left(32) ^ into.device;
        let clones = self.unshared.load(Ordering::Relaxed) != devices;
        let transfer = Transfer::new(&metadata, clones);
        Ok(Visit::Leaf(FileCopy { source, metadata, target, transfer }))
    }

    fn open_target(&self, at: &At<'_, Self>, source: &Metadata) -> Result<Target, Error> {
        let directory = self.target_directory(at)?;
        let name = self.target_name(at);
        let (mode, inside) = (self.new_file_mode(), Arc::clone(at.place));
        if self.is_hidden(at) {
            return Target::hidden(name.clone(), inside, mode).about(|| self.target_path(at));
        }
        let is_top = at.node.is_outside();
        let replaces = found(directory, name, false).about(|| self.target_path(at))?;
        if let Some(replaces) = &replaces {
            let led_to = again_if_stale(|| directory.metadata_of(name, true));
            if led_to.is_ok_and(|found| found.is_same_file(source)) {
                return Err(refused::same_file_as(self.both_paths(at)));
            }
            if !self.options.atomic {
                let target = match self.open_in_place(directory, name, is_top) {
                    // Somebody has removed it.
                    Err(error) if error.is_gone() => Target::appearing(name.clone(), inside, mode, None),
                    file => file.map(|file| Target::in_place(file, name.clone(), inside)),
                };
                return target.about(|| self.target_path(at));
            }
            if replaces.is_directory() {
                return Err(Error::Os { code: codes::IS_DIRECTORY, subject: self.target_path(at) });
            }
        }
        let inherits = replaces.as_ref().is_some_and(Metadata::is_regular_file);
        let mode = if inherits { PRIVATE_FILE } else { mode };
        Target::appearing(name.clone(), inside, mode, replaces).about(|| self.target_path(at))
    }

    /// Opens an existing file. Below the top without following a link, which may lead out of the tree.
    fn open_in_place(&self, directory: &Directory, name: &NativePath, is_top: bool) -> io::Result<File> {
        if is_top {
            return again_if_stale(|| directory.open_to_replace(name));
        }
        let exists = || io::Error::from_raw_os_error(codes::EXISTS);
        let file = again_if_stale(|| directory.open_to_overwrite(name))
            .map_err(|error| if error.raw_os_error() == Some(codes::LOOP) { exists() } else { error })?;
        if !platform::metadata_of(&file)?.is_regular_file() {
            return Err(exists());
        }
        platform::set_length(&file, 0)?;
        Ok(file)
    }

    fn new_file_mode(&self) -> u32 {
        if self.options.preserve_metadata { PRIVATE_FILE } else { NEW_FILE }
    }

    /// Completes an entry; a move ends with the removal of the source.
    fn done_with_entry(&self, at: &At<'_, Self>, metadata: &Metadata) -> Result<Visit<FileCopy>, Error> {
        self.reporter.file();
        if self.moves && at.node.is_outside() {
            self.remove_source(metadata)?;
        }
        self.note(metadata)?;
        Ok(Visit::Done)
    }

    /// Notes what has been copied and is to be removed.
    fn note(&self, metadata: &Metadata) -> Result<(), Error> {
        if self.moves { self.moved.note(metadata) } else { Ok(()) }
    }

    /// Removes the source of a move, if it has not changed.
    fn remove_source(&self, metadata: &Metadata) -> Result<(), Error> {
        let now = platform::metadata(&self.source, false).about_path()?;
        if is_changed(metadata, &now) {
            return Err(refused::changed(Subject::Path));
        }
        platform::unlink(&self.source).about_path()
    }

    /// Sets the metadata and the name of a file that has been written; `false` if it has to be written once more, to
    /// what somebody else has put there.
    fn finish_file(&self, leaf: &mut FileCopy, at: &At<'_, Self>) -> Result<bool, Error> {
        let both = |error: io::Error| Error::new(&error, self.both_paths(at));
        let file = leaf.target.file().map_err(both)?;
        if self.options.preserve_metadata {
            preserve(&leaf.source, &leaf.metadata, file).map_err(both)?;
        } else if let Some(old) = leaf.target.old() {
            let (directory, name) = (self.target_directory(at)?, self.target_name(at));
            inherit(directory, name, old, file).about(|| self.target_path(at))?;
        }
        if self.moves {
            let now = platform::metadata_of(&leaf.source).map_err(both)?;
            let written = platform::metadata_of(file).map_err(both)?;
            if is_changed(&leaf.metadata, &now) || written.size != now.size {
                return Err(refused::changed(self.source_path(at)));
            }
        }
        if !leaf.target.finish().about(|| self.target_path(at))? {
            // Looked at again: in place, a link that somebody has put there may be followed, and others see a half.
            leaf.target = self.open_target(at, &leaf.metadata)?;
            leaf.transfer.restart();
            return Ok(false);
        }
        self.reporter.file();
        if self.moves && at.node.is_outside() {
            self.remove_source(&leaf.metadata)?;
        }
        self.note(&leaf.metadata)?;
        Ok(true)
    }

    /// Refuses to copy a directory into itself, however the paths are spelled.
    fn check_not_inside(&self, source: Identity, target: &Directory) -> Result<(), Error> {
        let mut directory = target.again().about(Subject::Second)?;
        let mut identity = directory.identity().about(Subject::Second)?;
        loop {
            if identity == source {
                return Err(refused::inside_itself());
            }
            // There may be no permission to open the parent.
            let Ok(above) = directory.above_to_search() else { return Ok(()) };
            let Ok(above_identity) = above.identity() else { return Ok(()) };
            if above_identity == identity {
                return Ok(());
            }
            (directory, identity) = (above, above_identity);
        }
    }

    /// Creates the copy of a directory, and opens it; the top one has a temporary name until it is complete.
    ///
    /// Without a descriptor to open it, there is none.
    fn make_directory(&self, at: &At<'_, Self>, source: Identity) -> Result<Directory, Error> {
        let inside = self.target_directory(at)?;
        let name = self.target_name(at);
        let subject = || self.target_path(at);
        let mode = if self.options.preserve_metadata { PRIVATE_DIRECTORY } else { NEW_DIRECTORY };
        if !at.node.is_outside() {
            let is_new = match inside.make(name, mode) {
                Err(error) if error.raw_os_error() == Some(codes::EXISTS) && self.options.merge => false,
                made => made.map(|()| true).about(subject)?,
            };
            let opened = open_made(name, inside);
            if is_new {
                unmake(&opened, name, inside);
            }
            return opened.about(subject);
        }
        match again_if_stale(|| inside.metadata_of(name, true)) {
            Ok(found) if self.options.merge && found.is_directory() => {
                self.check_not_inside(source, inside)?;
                let directory =
                    again_if_stale(|| Directory::open_followed(name, Some(inside))).about(subject)?;
                if directory.identity().about(subject)? == source {
                    return Err(refused::same_file());
                }
                self.check_not_inside(source, &directory)?;
                return Ok(directory);
            }
            // Not that it is there already, which is what the next look would tell.
            Err(error) if !error.raw_os_error().is_some_and(is_absent) => {
                return Err(Error::new(&error, subject()));
            }
            _ => {}
        }
        if found(inside, name, false).about(subject)?.is_some() {
            return Err(Error::Os { code: codes::EXISTS, subject: subject() });
        }
        self.check_not_inside(source, inside)?;
        let (temporary, ()) = with_temporary_name(|name| inside.make(name, mode)).about(subject)?;
        let opened = open_made(&temporary, inside);
        if !unmake(&opened, &temporary, inside) {
            let _ = self.hidden.set(temporary);
        }
        opened.about(subject)
    }
}

/// Moves at a stroke; `false` where that would lead to another file system.
pub(super) fn rename(source: &NativePath, target: &NativePath) -> Result<bool, Error> {
    let look = |path| again_if_stale(|| platform::metadata(path, true));
    if let (Ok(found), Ok(there)) = (look(source), look(target))
        && found.is_same_file(&there)
    {
        return Err(refused::same_file());
    }
    match platform::rename(source, target, true) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(codes::OTHER_DEVICE) => Ok(false),
        Err(error) => Err(Error::new(&error, Subject::Both)),
    }
}

/// Removes a new directory that could not be opened because no descriptor is left, so that it can be made later; returns
/// whether it has.
fn unmake(opened: &io::Result<Directory>, name: &NativePath, inside: &Directory) -> bool {
    let code = opened.as_ref().err().and_then(io::Error::raw_os_error);
    code.is_some_and(platform::lacks_descriptors) && Directory::remove(name, Some(inside)).is_ok()
}

/// Opens a directory that has been made or found here.
fn open_made(name: &NativePath, inside: &Directory) -> io::Result<Directory> {
    Directory::open(name, Some(inside)).map_err(|error| {
        // The existing entry is not a directory.
        if error.raw_os_error().is_some_and(platform::is_no_directory) {
            io::Error::from_raw_os_error(codes::EXISTS)
        } else {
            error
        }
    })
}

/// Whether a name leads to nothing: also that of a link.
fn is_absent(code: i32) -> bool {
    platform::is_not_found(code) || code == codes::LOOP
}

fn is_changed(before: &Metadata, now: &Metadata) -> bool {
    !before.is_same_file(now) || before.size != now.size || before.modified != now.modified
}

impl Visitor for Copier {
    type Place = Pair;
    type Mark = Mark;
    type Leaf = FileCopy;

    const ENTERS_LATER: bool = true;

    fn visit(&self, at: &At<'_, Self>, file_type: Option<FileType>) -> Result<Visit<FileCopy>, Error> {
        if at.node.is_outside() {
            return self.begin(at);
        }
        let follow = self.options.follow_symlinks;
        match file_type {
            Some(FileType::DIRECTORY) => return Ok(Visit::Directory),
            // Whether it has other names, fstat(2) tells too late.
            Some(FileType::REGULAR) if !self.options.preserve_hard_links => match self.copy_file(at) {
                // A link has replaced it: it is handled like any other.
                Err(Error::Os { code: codes::LOOP, .. }) if !follow => {}
                begun => return begun,
            },
            _ => {}
        }
        let metadata = Directory::entry(at.name, at.place.source.as_ref(), follow);
        self.dispatch(at, metadata.about(|| self.source_path(at))?)
    }

    fn go_on(&self, leaf: &mut FileCopy, at: &At<'_, Self>, slice: &Slice<'_>) -> Result<bool, Error> {
        let into = leaf.target.file().about(|| self.target_path(at))?;
        let counted = |bytes| {
            self.reporter.bytes(bytes);
            slice.count(bytes);
        };
        let copied = leaf.transfer.go_on(&leaf.source, into, slice, counted).about(|| self.both_paths(at))?;
        if leaf.transfer.could_not_clone() && self.unshared.load(Ordering::Relaxed) == NONE_FAILED {
            let into = platform::metadata_of(into).about(|| self.target_path(at))?;
            let devices = leaf.metadata.device.rotate_left(32) ^ into.device;
            self.unshared.store(devices, Ordering::Relaxed);
        }
        if !copied {
            return Ok(false);
        }
        self.finish_file(leaf, at)
    }

    fn enter(&self, at: &At<'_, Self>) -> Result<Option<Entered<Self>>, Error> {
        let source_path = || self.source_path(at);
        let inside = at.place.source.as_ref();
        let mut keeps_above = false;
        let source = match Directory::open_as(at.name, inside, false) {
            Err(error)
                if self.options.follow_symlinks
                    && error.raw_os_error().is_some_and(platform::is_no_directory) =>
            {
                keeps_above = true;
                Directory::open_as(at.name, inside, true)
            }
            opened => opened,
        };
        let source = source.about(source_path)?;
        let metadata = source.metadata().about(source_path)?;
        let identity = (metadata.device, metadata.inode);
        if self.top.get() == Some(&identity) {
            return Err(refused::inside_itself());
        }
        if keeps_above
            && at.node.chain().any(|node| (node.mark.source.device, node.mark.source.inode) == identity)
        {
            return Err(Error::Os { code: codes::LOOP, subject: source_path() });
        }
        let reader = source.reader().about(source_path)?;
        let target = self.make_directory(at, identity)?;
        let target_identity = target.identity().about(|| self.target_path(at))?;
        if at.node.is_outside() {
            let _ = self.top.set(target_identity);
        }
        self.reporter.directory();
        self.note(&metadata)?;
        Ok(Some(Entered {
            place: Pair::of(source, target),
            mark: Mark { source: metadata, target: target_identity, ends: self.options.preserve_metadata },
            reader,
            keeps_above,
        }))
    }

    fn above(&self, node: &Node<Self>, place: &Pair, above: &Node<Self>) -> Result<Option<Pair>, Error> {
        let source_path = platform::joined(node.names().into_iter());
        let subject = || source_path.clone().map_or(Subject::Path, Subject::Other);
        let Some(here) = &place.source else { return Err(refused::moved(subject())) };
        let source = here.above().about(subject)?;
        let target = place.target().and_then(Directory::above).about(subject)?;
        let expected = (above.mark.source.device, above.mark.source.inode);
        if source.identity().about(subject)? != expected
            || target.identity().about(subject)? != above.mark.target
        {
            return Err(refused::moved(subject()));
        }
        Ok(Some(Pair::of(source, target)))
    }

    fn leave(&self, node: &Arc<Node<Self>>, place: Arc<Pair>, above: &Arc<Pair>) -> Result<Left, Error> {
        let is_top = node.above.as_ref().is_some_and(|above| above.is_outside());
        let target_path = || {
            if is_top {
                return Subject::Second;
            }
            self.beneath_target(node, None).map_or(Subject::Second, Subject::Other)
        };
        if let Some(source) = place.source.as_ref().filter(|_| node.mark.ends) {
            let source = source.as_file().about(target_path)?;
            let target = place.target().and_then(Directory::as_file).about(target_path)?;
            preserve(&source, &node.mark.source, &target).about(target_path)?;
            if self.moves {
                let now = platform::metadata_of(&source).about(target_path)?;
                if is_changed(&node.mark.source, &now) {
                    let path = platform::joined(node.names().into_iter());
                    return Err(refused::changed(path.map_or(Subject::Path, Subject::Other)));
                }
            }
        }
        drop(place);
        if is_top {
            // Only what was copied may be removed at the end.
            if self.moves
                && !platform::metadata(&self.source, false).about_path()?.is_same_file(&node.mark.source)
            {
                return Err(refused::changed(Subject::Path));
            }
            if let Some(hidden) = self.hidden.get() {
                let inside = above.target().about(Subject::Second)?;
                give_name(inside, hidden, &self.name).about(Subject::Second)?;
            }
            self.complete.store(true, Ordering::Relaxed);
            self.copied.store(self.moves, Ordering::Relaxed);
        }
        Ok(Left::Done)
    }
}

impl Drop for Copier {
    /// Removes an unfinished tree.
    fn drop(&mut self) {
        let aftermath = Arc::clone(&self.aftermath);
        let unfinished = self.hidden.get().filter(|_| !self.complete.load(Ordering::Relaxed));
        let above = platform::parent(&self.target).unwrap_or_else(|| self.target.clone());
        match unfinished.and_then(|hidden| platform::joined([&above, hidden].into_iter())) {
            Some(tree) => aftermath.clear(&self.engine, self.lane, tree),
            None => aftermath.over(),
        }
    }
}
