//! The directory that takes the place of a transaction's: it is made beside it, and exchanged with it.

use std::io;

use super::log::entry;
use super::places::{Mount, synchronise};
use super::refused;
use super::tree::{Tree, list, unless_missing};
use crate::error::{About, Error, Subject, code_of};
use crate::limits::NAMES_TRIED;
use crate::platform::{self, Directory, NativePath};
use crate::verbs::replaced::{MayBeGone, found, no_longer_names};

/// Permissions until it is complete.
const PRIVATE: u32 = 0o700;
/// Two entries that are exchanged to see whether that is possible.
const PROBES: [&str; 2] = ["1", "2"];

/// A directory beside that of a transaction.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) directory: Directory,
    /// The directory that both are in.
    above: Directory,
    /// The name of the transaction's directory.
    name: NativePath,
    /// Its own name.
    beside: NativePath,
    path: NativePath,
    mount: Mount,
    id: NativePath,
}

/// The name of the replacement, and of the old directory when they have been exchanged.
fn name_beside(id: &NativePath) -> io::Result<NativePath> {
    platform::entry_name(&[b".rapfiles-swap-", platform::name_bytes(id).as_slice()].concat())
}

impl Replacement {
    /// Makes an empty one. It is refused here what cannot be exchanged.
    pub(super) fn begin(
        root: &Directory,
        path: &NativePath,
        mount: Mount,
        id: &NativePath,
    ) -> Result<Self, Error> {
        let above = root.above().about_path()?;
        // The root directory is above itself.
        if !mount.has(&above).about_path()?
            || above.identity().about_path()? == root.identity().about_path()?
        {
            return Err(refused::mount_point());
        }
        unless_inside(root)?;
        let name = name_of(root, &above, path)?;
        above.may_replace(&name).about_path()?;
        let beside = name_beside(id).about_path()?;
        above.make(&beside, PRIVATE).about_path()?;
        match Directory::open(&beside, Some(&above)) {
            Ok(directory) => {
                let (path, id) = (path.clone(), id.clone());
                Ok(Self { directory, above, name, beside, path, mount, id })
            }
            Err(error) => {
                // The error that is reported is that of the beginning.
                let _ = Directory::remove(&beside, Some(&above));
                Err(Error::new(&error, Subject::Path))
            }
        }
    }

    /// Finds out whether the file system can exchange directories, with two in it.
    pub(super) fn probe(&self) -> Result<(), Error> {
        let [one, two] = PROBES.map(entry);
        let (one, two) = (one.about_path()?, two.about_path()?);
        let directory = &self.directory;
        directory.make(&one, PRIVATE).about_path()?;
        directory.make(&two, PRIVATE).about_path()?;
        match directory.exchange(&one, directory, &two) {
            Err(error)
                if error.kind() == io::ErrorKind::Unsupported
                    || error.raw_os_error().is_some_and(platform::is_unable) =>
            {
                return Err(refused::cannot_exchange(code_of(&error)));
            }
            exchanged => exchanged.about_path()?,
        }
        Directory::remove(&one, Some(directory)).about_path()?;
        Directory::remove(&two, Some(directory)).about_path()
    }

    /// Exchanges the two.
    pub(super) fn exchange(&self, root: &Directory) -> Result<(), Error> {
        unless_inside(root)?;
        let identity = root.identity().about_path()?;
        if identity_of(&self.above, &self.name).about_path()? != Some(identity) {
            return Err(refused::replaced());
        }
        let exchange = || self.above.exchange(&self.beside, &self.above, &self.name);
        exchange().about_path()?;
        // From here on an error must not make the caller believe that nothing has been exchanged.
        match identity_of(&self.above, &self.beside) {
            Ok(Some(found)) if found != identity => {
                // Somebody has renamed another directory to its name just now, which gets it back.
                exchange()
                    .map_err(|error| Error::Unfinished { code: code_of(&error), subject: Subject::Path })?;
                Err(refused::replaced())
            }
            _ => Ok(()),
        }
    }

    /// Waits until the device has the names of both.
    pub(super) fn synchronise(&self) -> Result<(), Error> {
        synchronise(&self.above).about_path()
    }

    /// Removes it, as it has not been exchanged.
    pub(super) fn remove(self) -> Result<(), Error> {
        let Self { directory, above, beside, path, mount, id, .. } = self;
        remove_all(&Tree { root: &directory, path: &path, mount }, &id, &above, &beside)
    }

    /// Removes the old directory, as it has been exchanged.
    pub(super) fn remove_old(&self, root: &Directory) -> Result<(), Error> {
        remove_all(&Tree { root, path: &self.path, mount: self.mount }, &self.id, &self.above, &self.beside)
    }
}

/// Removes what a transaction that is not alive has left beside its directory: the replacement, or the old directory.
pub(super) fn clear(root: &Directory, path: &NativePath, id: &NativePath) -> Result<(), Error> {
    let beside = name_beside(id).about_path()?;
    let found = root.above_to_search().and_then(|above| {
        let found = above.metadata_of(&beside, false)?;
        Ok((above, found))
    });
    let (above, found) = match found {
        Ok(found) => found,
        // Nothing that it could have made is in a directory that it may not search.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(());
        }
        Err(error) => return Err(Error::new(&error, Subject::Path)),
    };
    let own = root.metadata().about_path()?;
    if found.is_same_file(&own) {
        // Those who have it open have opened it before it was exchanged.
        return Err(refused::replaced());
    }
    // The owner of the directory can have written the log.
    if found.user != own.user && !platform::is_own(&found) {
        return Err(refused::foreign_log(path.clone()));
    }
    // First the names that they have now.
    synchronise(&above).about_path()?;
    let old = match Directory::open(&beside, Some(&above)) {
        // Its transaction, which is alive and cannot be committed any more, has removed it.
        Err(error) if error.is_gone() => return Ok(()),
        old => old.about_path()?,
    };
    let tree = Tree { root: &old, path, mount: Mount::of(root).about_path()? };
    remove_all(&tree, id, &above, &beside)?;
    synchronise(&above).about_path()
}

/// Removes a directory beside that of a transaction, with everything in it.
fn remove_all(tree: &Tree<'_>, id: &NativePath, above: &Directory, name: &NativePath) -> Result<(), Error> {
    let id = platform::name_bytes(id);
    let own = tree.root.metadata().ok();
    let mut attempts = 0;
    loop {
        let removed =
            tree.clear(&id).and_then(|()| unless_missing(Directory::remove(name, Some(above))).about_path());
        match removed {
            // Another transaction, which has exchanged the directory, removes it as well.
            Err(_) if no_longer_names(above, name, own.as_ref()) => return Ok(()),
            // Somebody who has had it open since before the exchange removes what is in it, or is writing to it.
            Err(error)
                if attempts < NAMES_TRIED
                    && (error.is_gone()
                        || matches!(error, Error::Os { code, .. } if platform::is_not_empty(code))) =>
            {
                attempts += 1;
            }
            removed => return removed,
        }
    }
}

fn identity_of(above: &Directory, name: &NativePath) -> io::Result<Option<(u64, u128)>> {
    Ok(found(above, name, false)?.map(|found| (found.device, found.inode)))
}

/// The name of a directory in the one above it. That is the end of its path, unless it is a link, or ends with `..`.
fn name_of(root: &Directory, above: &Directory, path: &NativePath) -> Result<NativePath, Error> {
    let identity = root.identity().about_path()?;
    let has = |name: &NativePath| identity_of(above, name).is_ok_and(|found| found == Some(identity));
    let name = platform::file_name(path);
    let bytes = platform::name_bytes(&name);
    if bytes != b"." && bytes != b".." && has(&name) {
        return Ok(name);
    }
    let mut names = Vec::new();
    list(above, |entry| {
        if cfg!(not(unix)) || u128::from(entry.inode) == identity.1 {
            names.push(entry.name.to_vec());
        }
    })
    .about_path()?;
    let names: Vec<_> = names.iter().filter_map(|name| platform::native_name(name)).collect();
    names.into_iter().find(has).ok_or_else(refused::replaced)
}

/// Refuses a directory that the working directory is in, which would not exist any more.
fn unless_inside(root: &Directory) -> Result<(), Error> {
    let identity = root.identity().about_path()?;
    let Ok(mut here) = entry(".").and_then(|name| Directory::open_followed(&name, None)) else {
        return Ok(());
    };
    let mut last = None;
    loop {
        let Ok(found) = here.identity() else { return Ok(()) };
        if found == identity {
            return Err(refused::working_directory());
        }
        if last == Some(found) {
            return Ok(());
        }
        last = Some(found);
        // Those who may not search a directory are not told that it is in there.
        let Ok(next) = here.above_to_search() else { return Ok(()) };
        here = next;
    }
}
