//! Creating and removing directories.

use crate::error::{About, Error, Subject};
use crate::platform::{self, NativePath};
use crate::verbs::metadata::{self, FileType};
use crate::verbs::resolve;

/// The mode of directories for which the caller gave none.
const DEFAULT_MODE: u32 = 0o777;

/// The parameters of `mkdir`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MakeDirectory {
    pub(crate) mode: u32,
    pub(crate) parents: bool,
    pub(crate) exist_ok: bool,
    pub(crate) parent_mode: Option<u32>,
    /// Whether every error of the check for an existing directory means no.
    pub(crate) tolerant: bool,
}

/// Creates a directory, and missing parents if requested.
///
/// The order of the calls is that of `Path.mkdir` (CPython's Lib/pathlib.py), so that concurrent changes by other
/// processes have the same effect.
pub(crate) fn make(path: &NativePath, request: MakeDirectory) -> Result<(), Error> {
    let mut missing: Vec<NativePath> = Vec::new();
    let mut current = path.clone();
    // Up to the first parent that can be created …
    loop {
        match make_one(
            &current,
            mode_of(path, &current, request),
            exists_ok(path, &current, request),
            request,
        ) {
            Ok(()) => break,
            Err(code) if platform::is_not_found(code) && request.parents => match resolve::parent(&current) {
                Some(parent) => missing.push(std::mem::replace(&mut current, parent)),
                None => return Err(refused(path, current, code)),
            },
            Err(code) => return Err(refused(path, current, code)),
        }
    }
    // … and back down.
    while let Some(next) = missing.pop() {
        make_one(&next, mode_of(path, &next, request), exists_ok(path, &next, request), request)
            .map_err(|code| refused(path, next, code))?;
    }
    Ok(())
}

fn mode_of(path: &NativePath, current: &NativePath, request: MakeDirectory) -> u32 {
    if current == path { request.mode } else { request.parent_mode.unwrap_or(DEFAULT_MODE) }
}

fn exists_ok(path: &NativePath, current: &NativePath, request: MakeDirectory) -> bool {
    current != path || request.exist_ok
}

fn make_one(path: &NativePath, mode: u32, exist_ok: bool, request: MakeDirectory) -> Result<(), i32> {
    let Err(error) = platform::make_directory(path, mode) else { return Ok(()) };
    let code = Error::new(&error, Subject::Path).code().unwrap_or(platform::EIO);
    if platform::is_not_found(code) || !exist_ok {
        return Err(code);
    }
    match metadata::is_type(path, FileType::DIRECTORY, true, request.tolerant) {
        Ok(true) => Ok(()),
        Ok(false) => Err(code),
        Err(error) => Err(error.code().unwrap_or(code)),
    }
}

fn refused(path: &NativePath, current: NativePath, code: i32) -> Error {
    let subject = if current == *path { Subject::Path } else { Subject::Other(current) };
    Error::Os { code, subject }
}

/// Removes an empty directory.
pub(crate) fn remove(path: &NativePath) -> Result<(), Error> {
    platform::remove_directory(path).about_path()
}
