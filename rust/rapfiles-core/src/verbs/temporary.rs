//! Temporary names of files and directories that are not complete.

use std::io;

use crate::limits::{BEGUN_AGAIN, NAMES_TRIED};
use crate::lock::{Extent, Mode};
use crate::platform::{self, Directory, File, NativePath, codes};
use crate::verbs::metadata::Metadata;
use crate::verbs::replaced::{MayBeGone, found};

/// What the names begin with.
const PREFIX: &str = ".rapfiles-";
/// How many lower-case hexadecimal digits follow: 96 bits.
const DIGITS: usize = 24;
/// What is locked of a file that somebody is going to complete: the last byte that a file could have.
///
/// Not the whole file: until the writer has unlocked it, just after it was renamed, others who lock the target would find it
/// locked. The lock is exclusive for the writer, whose file is open for writing, and shared for whoever wants to remove it,
/// who may only be permitted to read it (`EBADF` in fcntl(2)).
pub(crate) const CLAIMED_BYTE: u64 = i64::MAX as u64 - 1;
const CLAIMED: Extent = Extent::Range { start: CLAIMED_BYTE, length: 1 };

/// Whether a name is a temporary one.
pub(crate) fn is_temporary(name: &[u8]) -> bool {
    let digits = name.strip_prefix(PREFIX.as_bytes());
    digits.is_some_and(|digits| {
        digits.len() == DIGITS && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Creates something under an unpredictable name.
pub(crate) fn with_temporary_name<T>(
    mut make: impl FnMut(&NativePath) -> io::Result<T>,
) -> io::Result<(NativePath, T)> {
    let mut attempts = 0;
    loop {
        let name = format!("{PREFIX}{}", platform::random_name()?);
        let Some(name) = platform::native_name(name.as_bytes()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match make(&name) {
            Ok(made) => return Ok((name, made)),
            Err(error) if error.raw_os_error() == Some(codes::EXISTS) && attempts < NAMES_TRIED => {
                attempts += 1
            }
            Err(error) => return Err(error),
        }
    }
}

/// Creates a file under an unpredictable name, and [claims](claim) it.
pub(crate) fn create_temporary(directory: &Directory, mode: u32) -> io::Result<(NativePath, File)> {
    for _ in 0..BEGUN_AGAIN {
        let (name, file) = with_temporary_name(|name| directory.create(name, mode))?;
        let kept = if claim(&file) { is_kept(directory, &name) } else { Ok(false) };
        if let Ok(true) = kept {
            return Ok((name, file));
        }
        // Somebody who has found it before it was locked has removed it, or is about to.
        let _ = directory.unlink(&name);
        kept?;
    }
    Err(io::Error::from_raw_os_error(codes::BUSY))
}

/// Whether nobody has removed a file before it was locked.
///
/// The open file does not tell: NFS and FUSE rename what is removed while it is open, so that it has a link still (sillyrename,
/// `nfs_sillyrename()` of `fs/nfs/unlink.c`; `hard_remove` of libfuse), or know it no more and say `ESTALE`.
fn is_kept(directory: &Directory, name: &NativePath) -> io::Result<bool> {
    Ok(!platform::RENAMES_OPEN_FILES || found(directory, name, false)?.is_some())
}

/// Locks a file that has a temporary name, or is to get one: as long as it is locked, somebody is going to complete it.
/// `false` if somebody is about to remove it.
///
/// Where files cannot be locked, nobody can tell whether one is abandoned, so nobody removes it. Nor does anybody where a
/// file has to be closed before it is renamed, and has no lock then.
pub(crate) fn claim(file: &File) -> bool {
    !platform::RENAMES_OPEN_FILES || platform::try_lock(file, Mode::Exclusive, CLAIMED).unwrap_or(true)
}

/// Keeps the [claim] on a file that is closed before it has its name.
#[derive(Debug)]
pub(crate) struct Claim(Option<File>);

impl Claim {
    pub(crate) fn keep(file: &File) -> io::Result<Self> {
        let kept = if platform::RENAMES_OPEN_FILES { Some(platform::duplicate(file)?) } else { None };
        Ok(Self(kept))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // Closing it is not enough if a child that was forked meanwhile has it open as well. There is nobody to report
            // an error to.
            let _ = platform::unlock(file, CLAIMED);
        }
    }
}

/// Removes a file with a temporary name that nobody is going to complete; `false` if it is not one, if that cannot be told,
/// or if it cannot be removed by this user.
pub(crate) fn remove_abandoned(directory: &Directory, name: &NativePath) -> io::Result<bool> {
    if !platform::RENAMES_OPEN_FILES {
        return Ok(false);
    }
    let is_file = |found: &Metadata| found.is_regular_file();
    // Who waits for somebody to open a FIFO must not go on because of this.
    if !found(directory, name, false)?.as_ref().is_some_and(is_file) {
        return Ok(false);
    }
    let opened = Directory::open_to_read(name, Some(directory), false)
        .and_then(|file| platform::metadata_of(&file).map(|opened| (file, opened)));
    let (file, opened) = match opened {
        Err(error) if stays(&error) => return Ok(false),
        opened => opened?,
    };
    if !is_file(&opened) || !platform::try_lock(&file, Mode::Shared, CLAIMED).unwrap_or(false) {
        return Ok(false);
    }
    // Whoever had locked it may have renamed it before.
    if !found(directory, name, false)?.is_some_and(|now| now.is_same_file(&opened)) {
        return Ok(false);
    }
    match directory.unlink(name) {
        Err(error) if stays(&error) => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// Whether an error of opening or removing a file says that it is not this user's to remove, or that there is none any more.
fn stays(error: &io::Error) -> bool {
    let replaced = error.raw_os_error() == Some(codes::LOOP);
    let refused = matches!(
        error.kind(),
        // In a directory for all, such as `/tmp`, it is its owner's.
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            // Something is mounted on it.
            | io::ErrorKind::ResourceBusy
            // Somebody has a lease of it, fcntl(2).
            | io::ErrorKind::WouldBlock
    );
    // Its writer has failed, and has removed it.
    refused || replaced || error.is_gone()
}

/// Renames a file or a directory to a name that is not in use.
pub(crate) fn give_name(directory: &Directory, from: &NativePath, to: &NativePath) -> io::Result<()> {
    match directory.rename_new(from, to) {
        // Some network and FUSE file systems cannot say "only if it is new".
        Err(error) if error.raw_os_error().is_some_and(platform::is_unable) => {
            match directory.make_name(to, from, directory) {
                Ok(()) => {
                    // It has its name now. That the other one cannot be removed does not make it incomplete.
                    let _ = directory.unlink(from);
                    Ok(())
                }
                Err(error) if error.raw_os_error() == Some(codes::EXISTS) => Err(error),
                // A directory, or no hard links either.
                Err(_) => match found(directory, to, false)? {
                    Some(_) => Err(io::Error::from_raw_os_error(codes::EXISTS)),
                    None => directory.rename(from, to),
                },
            }
        }
        renamed => renamed,
    }
}
