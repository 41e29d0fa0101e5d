//! Overwriting a file that a rename cannot replace: a mount point, such as a single file that is mounted into a
//! container.

use std::io;

use crate::error::{About, Error, Subject, code_of};
use crate::limits::COPY_BUFFER;
use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::temporary::{create_temporary, give_name};

/// What the name of a backup ends with: a file with a temporary name without it may be incomplete.
const BACKUP: &[u8] = b".backup";
/// A name of up to this many bytes is part of that of its backup: for longer ones there may be no room.
const SHOWN: usize = 64;
/// Permissions of the backup.
const PRIVATE: u32 = 0o600;

/// What is written.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Bytes(&'a [u8]),
    /// Everything that a file has.
    Of(&'a File),
}

/// Overwrites a file: makes a backup beside it, writes the content, synchronises, and removes the backup.
///
/// After a crash in between, or if the old content cannot be restored after an error, the backup has it: it gets its
/// name when the device has all of it, and the file is overwritten when the device has the name. When this returns, the
/// device has the new content, and no backup.
pub(crate) fn overwrite(directory: &Directory, name: &NativePath, content: Content<'_>) -> Result<(), Error> {
    let old = Directory::open_to_read(name, Some(directory), false).about_path()?;
    let target = directory.open_to_overwrite(name).about_path()?;
    let entries = directory.to_synchronise().about_path()?;
    let backup = back_up(&old, directory, name, &entries).about_path()?;
    let written = replace(&target, content);
    if let Err(error) = &written
        && restore(directory, &backup, &target).is_err()
    {
        return Err(Error::BackupLeft { code: code_of(error), subject: Subject::Path, backup });
    }
    let removed = directory.unlink(&backup);
    written.and(removed).about_path()?;
    platform::synchronise_directory(&entries)
        .map_err(|error| Error::NotDurable { code: code_of(&error), subject: Subject::Path })
}

/// Makes a backup of a file, beside its name; returns its own. `entries`: the directory as an open file.
fn back_up(old: &File, directory: &Directory, of: &NativePath, entries: &File) -> io::Result<NativePath> {
    let (temporary, saved) = create_temporary(directory, PRIVATE)?;
    let named = copy(old, &saved).and_then(|()| {
        platform::synchronise(&saved, false)?;
        let name = backup_name(&temporary, of)?;
        give_name(directory, &temporary, &name)?;
        Ok(name)
    });
    let (name, done) = match named {
        Ok(name) => (name, platform::synchronise_directory(entries)),
        Err(error) => (temporary, Err(error)),
    };
    if done.is_err() {
        // The error that is reported is the first one.
        let _ = directory.unlink(&name);
    }
    done.map(|()| name)
}

/// The name of a backup of `of`, which nobody else has.
fn backup_name(temporary: &NativePath, of: &NativePath) -> io::Result<NativePath> {
    let mut name = platform::name_bytes(temporary);
    let of = platform::name_bytes(of);
    if of.len() <= SHOWN {
        name.push(b'-');
        name.extend_from_slice(&of);
    }
    name.extend_from_slice(BACKUP);
    platform::entry_name(&name)
}

/// Replaces the content of an open file.
fn replace(target: &File, content: Content<'_>) -> io::Result<()> {
    let length = match content {
        Content::Bytes(bytes) => {
            platform::write_all(target, bytes)?;
            bytes.len() as u64
        }
        Content::Of(source) => {
            copy(source, target)?;
            platform::length_of(source)?
        }
    };
    platform::set_length(target, length as i64)?;
    platform::synchronise(target, false)
}

/// Restores the old content.
fn restore(directory: &Directory, backup: &NativePath, target: &File) -> io::Result<()> {
    let saved = Directory::open_to_read(backup, Some(directory), false)?;
    platform::seek(target, 0, 0)?;
    copy(&saved, target)?;
    platform::set_length(target, platform::length_of(&saved)? as i64)?;
    platform::synchronise(target, false)
}

/// Copies the content of a file, from the start of one to the position of the other.
fn copy(source: &File, target: &File) -> io::Result<()> {
    let mut piece = vec![0; COPY_BUFFER];
    let mut offset = 0;
    loop {
        let count = platform::read_at(source, &mut piece, offset)?;
        if count == 0 {
            return Ok(());
        }
        platform::write_all(target, &piece[..count])?;
        offset += count as u64;
    }
}
