//! Renaming entries of directories, and exchanging two of them.

use crate::error::{About, Error, Subject, code_of};
use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::replaced::again_if_stale;

/// Renames. `replace`: over an existing file on every platform.
pub(crate) fn rename(path: &NativePath, target: &NativePath, replace: bool) -> Result<(), Error> {
    platform::rename(path, target, replace).about(Subject::Both)
}

/// Renames, and waits until the device has the new name. The content comes first: a name that the device has may otherwise
/// lead to an empty file after a crash, see `verbs/atomic/staged.rs`.
pub(crate) fn rename_durably(path: &NativePath, target: &NativePath, replace: bool) -> Result<(), Error> {
    let (from, name) = Directory::of_entry(path).about(Subject::Both)?;
    let (into, new) = Directory::of_entry(target).about(Subject::Both)?;
    let parents = Parents::of(&from, &into)?;
    synchronise(&from, &name)?;
    from.rename_into(&name, &into, &new, replace).about(Subject::Both)?;
    parents.synchronise()
}

/// Exchanges two entries. `durable`: as for renaming.
pub(crate) fn exchange(path: &NativePath, other: &NativePath, durable: bool) -> Result<(), Error> {
    let (first, name) = Directory::of_entry(path).about(Subject::Both)?;
    let (second, other) = Directory::of_entry(other).about(Subject::Both)?;
    let mut parents = None;
    if durable {
        parents = Some(Parents::of(&first, &second)?);
        synchronise(&first, &name)?;
        synchronise(&second, &other)?;
    }
    first.exchange(&name, &second, &other).about(Subject::Both)?;
    parents.map_or(Ok(()), |parents| parents.synchronise())
}

/// Waits until the device has the content of an entry, if it is one that has some.
fn synchronise(directory: &Directory, name: &NativePath) -> Result<(), Error> {
    again_if_stale(|| {
        let metadata = directory.metadata_of(name, false)?;
        if metadata.is_regular_file() || metadata.is_directory() {
            Directory::synchronise_entry(name, Some(directory), false)?;
        }
        Ok(())
    })
    .about(Subject::Both)
}

/// The directories that a rename changes, opened before it because opening them must not fail afterwards.
struct Parents {
    into: File,
    /// If it is another one.
    from: Option<File>,
}

impl Parents {
    fn of(from: &Directory, into: &Directory) -> Result<Self, Error> {
        let same = from.identity().about(Subject::Both)? == into.identity().about(Subject::Both)?;
        let from = if same { None } else { Some(from.to_synchronise().about(Subject::Both)?) };
        Ok(Self { into: into.to_synchronise().about(Subject::Both)?, from })
    }

    /// The new name first: a crash in between may then leave both names, but not none.
    fn synchronise(&self) -> Result<(), Error> {
        for directory in [Some(&self.into), self.from.as_ref()].into_iter().flatten() {
            platform::synchronise_directory(directory)
                .map_err(|error| Error::NotDurable { code: code_of(&error), subject: Subject::Second })?;
        }
        Ok(())
    }
}
