//! A file that is written beside its target and renamed to it when it is complete.
//!
//! The order is that of `renameio` and of systemd's `link_tmpfile_at`: write, fsync, then the name. Without the fsync a
//! name may lead to an empty file, or to zeros, after a crash: ext4 and XFS commit the name and the length before the
//! content.

use std::io;

use super::content::synchronise_content;
use super::in_place::{self, Content};
use super::inheritance;
use super::options::AtomicOptions;
use crate::engine::Process;
use crate::error::{About, Error, Subject};
use crate::platform::{self, Directory, File, NativePath, codes};
use crate::verbs::copy::special;
use crate::verbs::metadata::{FileType, Metadata};
use crate::verbs::replaced::found;
use crate::verbs::resolve::Strictness;
use crate::verbs::temporary::{Claim, claim, create_temporary, give_name, with_temporary_name};

/// The permissions of a new file, before the umask.
const NEW: u32 = 0o666;
/// The same if the file gets the permissions of an older one at the end: until then nobody else may have access.
const PRIVATE: u32 = 0o600;
/// Links are resolved by the rules of this minor version of Python 3.
const RULES: u32 = 14;

/// A file without its final name. Dropping it leaves the target unchanged.
#[derive(Debug)]
pub(crate) struct Staged {
    directory: Directory,
    name: NativePath,
    /// What had the name at the beginning.
    old: Option<Metadata>,
    /// Open until it has a name.
    file: Option<File>,
    /// Its temporary name, if the file system has no files without one.
    temporary: Option<NativePath>,
    options: AtomicOptions,
    /// The process that has created it: a forked child neither removes its parent's file nor gives it its name.
    process: Process,
}

impl Staged {
    /// Creates the file, empty.
    pub(crate) fn begin(path: &NativePath, options: AtomicOptions) -> Result<Self, Error> {
        let (directory, name, old) = find(path, options.follow_symlinks)?;
        if let Some(old) = &old {
            refuse(old, options)?;
        }
        let inherits = old.as_ref().is_some_and(Metadata::is_regular_file);
        let mode = if inherits { PRIVATE } else { NEW };
        let (file, temporary) = match directory.create_unnamed(mode).about_path()? {
            Some(file) => (file, None),
            None => {
                directory.may_rename().about_path()?;
                let (temporary, file) = create_temporary(&directory, mode).about_path()?;
                (file, Some(temporary))
            }
        };
        let process = Process::current();
        Ok(Self { directory, name, old, file: Some(file), temporary, options, process })
    }

    /// The file, to be written to.
    pub(crate) fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::from_raw_os_error(platform::BAD_DESCRIPTOR))
    }

    /// Completes the file: the metadata of the old one, synchronisation, and its name. `content`: what to write if the
    /// target has to be overwritten in place; `None` for what the file has.
    pub(crate) fn finish(mut self, content: Option<&[u8]>) -> Result<(), Error> {
        if self.process != Process::current() {
            return Err(Error::Forked);
        }
        // Opened now, because this must not fail once the file has its name.
        let directory =
            if self.options.durable { Some(self.directory.to_synchronise().about_path()?) } else { None };
        if let Some(old) = self.old.as_ref().filter(|old| old.is_regular_file()) {
            inheritance::inherit(&self.directory, &self.name, old, self.file().about_path()?).about_path()?;
        }
        let file = self.file().about_path()?;
        // Its length and its place on the device are changes before that of the name.
        let ordered = platform::keeps_order(file);
        synchronise_content(file, ordered, !self.options.durable).about_path()?;
        // The file itself is closed before it is renamed.
        let written = match content {
            None if self.options.in_place => {
                Some(platform::duplicate(self.file().about_path()?).about_path()?)
            }
            _ => None,
        };
        match self.appear() {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(codes::BUSY) && self.options.in_place => {
                let content =
                    written.as_ref().map_or(Content::Bytes(content.unwrap_or_default()), Content::Of);
                return in_place::overwrite(&self.directory, &self.name, content);
            }
            Err(error) => return Err(Error::new(&error, Subject::Path)),
        }
        directory.map_or(Ok(()), |directory| {
            platform::synchronise_directory(&directory).map_err(|error| Error::NotDurable {
                code: crate::error::code_of(&error),
                subject: Subject::Path,
            })
        })
    }

    /// Gives the file its name.
    fn appear(&mut self) -> io::Result<()> {
        if self.temporary.is_none() {
            if self.old.is_none() {
                match self.directory.name_file(self.file()?, &self.name) {
                    Err(error) if error.raw_os_error() == Some(codes::EXISTS) && self.options.overwrite => {}
                    named => return named,
                }
            }
            // linkat(2) does not replace a name: the link gets a temporary name and is renamed.
            self.directory.may_rename()?;
            claim(self.file()?);
            let (name, ()) = with_temporary_name(|name| self.directory.name_file(self.file()?, name))?;
            self.temporary = Some(name);
        }
        let _claim = Claim::keep(self.file()?)?;
        // Network file systems report some errors only here, and Windows does not rename an open file.
        self.file.take().map_or(Ok(()), platform::close)?;
        let Some(temporary) = &self.temporary else { return Ok(()) };
        if self.options.overwrite {
            self.directory.rename(temporary, &self.name)?;
        } else {
            give_name(&self.directory, temporary, &self.name)?;
        }
        self.temporary = None;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.as_ref().filter(|_| self.process == Process::current()) {
            // An error cannot be reported.
            let _ = self.directory.unlink(temporary);
        }
    }
}

/// The directory of a target, its name there, and what has that name, if anything.
pub(crate) fn find(
    path: &NativePath,
    follow: bool,
) -> Result<(Directory, NativePath, Option<Metadata>), Error> {
    let look = |path: &NativePath| -> io::Result<_> {
        let (directory, name) = Directory::of_entry(path)?;
        let found = found(&directory, &name, false)?;
        Ok((directory, name, found))
    };
    let here = look(path).about_path()?;
    if !follow || !here.2.as_ref().is_some_and(Metadata::is_symlink) {
        return Ok(here);
    }
    let resolved = platform::resolve(path, Strictness::AllButLast, RULES)?;
    platform::native_path(resolved).and_then(|path| look(&path)).about_path()
}

/// Refuses a target that cannot, or must not, be replaced by a file.
fn refuse(old: &Metadata, options: AtomicOptions) -> Result<(), Error> {
    let os = |code| Err(Error::Os { code, subject: Subject::Path });
    match old.file_type() {
        _ if !options.overwrite => os(codes::EXISTS),
        FileType::DIRECTORY => os(codes::IS_DIRECTORY),
        FileType::REGULAR => Ok(()),
        // It became a link after it was resolved.
        FileType::SYMLINK if options.follow_symlinks => os(codes::LOOP),
        FileType::SYMLINK => Ok(()),
        _ => Err(special(old, Subject::Path)),
    }
}
