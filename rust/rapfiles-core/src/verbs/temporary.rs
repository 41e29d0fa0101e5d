//! Temporary names of files and directories that are not complete.

use std::io;

use crate::limits::NAMES_TRIED;
use crate::platform::{self, Directory, NativePath, codes};

/// Creates something under an unpredictable name.
pub(crate) fn with_temporary_name<T>(
    mut make: impl FnMut(&NativePath) -> io::Result<T>,
) -> io::Result<(NativePath, T)> {
    let mut attempts = 0;
    loop {
        let name = format!(".rapfiles-{}", platform::random_name()?);
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
                Err(_) => match Directory::entry(to, Some(directory), false) {
                    Ok(_) => Err(io::Error::from_raw_os_error(codes::EXISTS)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => directory.rename(from, to),
                    Err(error) => Err(error),
                },
            }
        }
        renamed => renamed,
    }
}
