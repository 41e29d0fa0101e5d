//! `realpath` as Python's `ntpath` defines it, version by version.
//!
//! Python's own source (`Lib/ntpath.py` of 3.11, 3.13, 3.14 and 3.15) is the reference. The system resolves what exists;
//! of what it cannot resolve, the directories that exist are resolved and the rest is kept.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Foundation as codes;
use windows_sys::Win32::Storage::FileSystem::{GetFinalPathNameByHandleW, VOLUME_NAME_DOS};

use super::directory::{find, name_of};
use super::errors::{code, is_not_found};
use super::handle::{open_to_look, text};
use super::lexical::{folded, is_absolute, join, normalised, split};
use super::link::target_of;
use super::{NativePath, metadata};
use crate::error::{Error, Subject};
use crate::verbs::resolve::Strictness;

/// Python 3.13 asks the directory for the name of what may not be opened.
const NAMES_FROM_DIRECTORIES: u32 = 13;
/// Up to Python 3.12, `Path.resolve` looks whether the result is a loop of links.
const LAST_TO_LOOK_FOR_LOOPS: u32 = 12;

/// Errors after which a path is resolved from its parent on.
const UNRESOLVABLE: [u32; 16] = [
    codes::ERROR_INVALID_FUNCTION,
    codes::ERROR_FILE_NOT_FOUND,
    codes::ERROR_PATH_NOT_FOUND,
    codes::ERROR_ACCESS_DENIED,
    codes::ERROR_NOT_READY,
    codes::ERROR_SHARING_VIOLATION,
    codes::ERROR_NOT_SUPPORTED,
    codes::ERROR_BAD_NETPATH,
    codes::ERROR_NETWORK_ACCESS_DENIED,
    codes::ERROR_BAD_NET_NAME,
    codes::ERROR_INVALID_PARAMETER,
    codes::ERROR_INVALID_NAME,
    codes::ERROR_BAD_PATHNAME,
    codes::ERROR_UNRECOGNIZED_VOLUME,
    codes::ERROR_CANT_ACCESS_FILE,
    codes::ERROR_CANT_RESOLVE_FILENAME,
];

/// Those of them that say that there is something, which may just not be opened.
const UNOPENABLE: [u32; 7] = [
    codes::ERROR_INVALID_FUNCTION,
    codes::ERROR_ACCESS_DENIED,
    codes::ERROR_SHARING_VIOLATION,
    codes::ERROR_NOT_SUPPORTED,
    codes::ERROR_INVALID_PARAMETER,
    codes::ERROR_CANT_ACCESS_FILE,
    codes::ERROR_CANT_RESOLVE_FILENAME,
];

/// Errors at which following links ends.
const UNREADABLE_LINK: [u32; 12] = [
    codes::ERROR_INVALID_FUNCTION,
    codes::ERROR_FILE_NOT_FOUND,
    codes::ERROR_PATH_NOT_FOUND,
    codes::ERROR_ACCESS_DENIED,
    codes::ERROR_NOT_READY,
    codes::ERROR_SHARING_VIOLATION,
    codes::ERROR_NOT_SUPPORTED,
    codes::ERROR_BAD_NET_NAME,
    codes::ERROR_INVALID_PARAMETER,
    codes::ERROR_NOT_A_REPARSE_POINT,
    codes::ERROR_INVALID_REPARSE_DATA,
    codes::ERROR_REPARSE_TAG_INVALID,
];

const PREFIX: &str = r"\\?\";
const UNC_PREFIX: &str = r"\\?\UNC\";

/// Why a step failed: the code, and the path that it was about.
struct Failure {
    code: u32,
    path: Vec<u16>,
}

impl Failure {
    fn is_kept(&self, strictness: Strictness) -> bool {
        match strictness {
            Strictness::Lenient => true,
            Strictness::AllowMissing | Strictness::AllButLast => is_not_found(self.code.cast_signed()),
            Strictness::Strict => false,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let subject = NativePath::from_wide(failure.path).map_or(Subject::Path, Subject::Other);
        Self::Os { code: failure.code.cast_signed(), subject }
    }
}

/// The path without symbolic links, by the rules of this minor version of Python 3.
pub(crate) fn resolve(path: &NativePath, strictness: Strictness, rules: u32) -> Result<OsString, Error> {
    let mut path = normalised(path.units());
    if folded(&path) == wide("nul") {
        return Ok(OsString::from(r"\\.\NUL"));
    }
    let had_prefix = path.starts_with(&wide(PREFIX));
    if !had_prefix && !is_absolute(&path, rules) {
        let directory = working_directory().map_err(|error| Error::new(&error, Subject::Nothing))?;
        path = join(&directory, &path);
    }
    let (resolved, first_failure) = match final_path(&path) {
        Ok(resolved) => (resolved, 0),
        Err(failure) if failure.is_kept(strictness) => {
            if strictness == Strictness::AllButLast && !has_directory(&path) {
                return Err(failure.into());
            }
            (as_far_as_possible(path, strictness, rules)?, failure.code)
        }
        Err(failure) => return Err(failure.into()),
    };
    let resolved = if had_prefix { resolved } else { without_prefix(resolved, first_failure) };
    let resolved = OsString::from_wide(&resolved);
    if rules <= LAST_TO_LOOK_FOR_LOOPS && strictness == Strictness::Lenient {
        refuse_loop(&resolved)?;
    }
    Ok(resolved)
}

/// Whether what a path stands in is a directory.
fn has_directory(path: &[u16]) -> bool {
    native(split(path).0.as_slice())
        .is_ok_and(|above| metadata(&above, true).is_ok_and(|it| it.is_directory()))
}

/// `ntpath._getfinalpathname_nonstrict`: the directories that exist, and what was not found in them.
fn as_far_as_possible(mut path: Vec<u16>, strictness: Strictness, rules: u32) -> Result<Vec<u16>, Failure> {
    let mut tail: Vec<u16> = Vec::new();
    let with_tail = |path: Vec<u16>, tail: &[u16]| if tail.is_empty() { path } else { join(&path, tail) };
    while !path.is_empty() {
        let failure = match final_path(&path) {
            Ok(resolved) => return Ok(with_tail(resolved, &tail)),
            Err(failure) => failure,
        };
        if !failure.is_kept(strictness) || !UNRESOLVABLE.contains(&failure.code) {
            return Err(failure);
        }
        // What the system does not follow may still be readable as a link.
        match followed(&path, strictness, rules) {
            Ok(target) if target != path => return Ok(with_tail(target, &tail)),
            Ok(_) => {}
            Err(failure) if failure.is_kept(strictness) => {}
            Err(failure) => return Err(failure),
        }
        let (parent, name) = split(&path);
        let name = if rules >= NAMES_FROM_DIRECTORIES && UNOPENABLE.contains(&failure.code) {
            match name_in_directory(&path) {
                Ok(name) => name,
                Err(failure) if failure.is_kept(strictness) => name.to_vec(),
                Err(failure) => return Err(failure),
            }
        } else {
            name.to_vec()
        };
        if !parent.is_empty() && name.is_empty() {
            return Ok([parent, tail].concat());
        }
        tail = with_tail(name, &tail);
        path = parent;
    }
    Ok(tail)
}

/// `ntpath._readlink_deep`: where the links from a path on lead, read one by one.
fn followed(path: &[u16], strictness: Strictness, rules: u32) -> Result<Vec<u16>, Failure> {
    let mut path = path.to_vec();
    let mut seen: Vec<Vec<u16>> = Vec::new();
    loop {
        let folded = folded(&path);
        if seen.contains(&folded) {
            return Ok(path);
        }
        seen.push(folded);
        let native = native(&path)?;
        match target_of(&native) {
            Ok(target) if is_absolute(&target, rules) => path = target,
            // Only a symbolic link is known to be relative to its own place.
            Ok(target) if is_symlink(&native) => {
                let (directory, _) = split(&path);
                path = normalised(&join(&directory, &target));
            }
            Ok(_) => return Ok(path),
            Err(error) => {
                let failure = Failure { code: code(&error), path: path.clone() };
                // A reparse point of another kind is no error.
                let other_kind = failure.code == codes::ERROR_REPARSE_TAG_INVALID;
                let unreadable = failure.is_kept(strictness) && UNREADABLE_LINK.contains(&failure.code);
                return if other_kind || unreadable { Ok(path) } else { Err(failure) };
            }
        }
    }
}

fn is_symlink(path: &NativePath) -> bool {
    metadata(path, false).is_ok_and(|metadata| metadata.is_symlink())
}

/// The name that a directory has for what may not be opened.
fn name_in_directory(path: &[u16]) -> Result<Vec<u16>, Failure> {
    let found = find(&native(path)?);
    let (_, found) = found.map_err(|error| Failure { code: code(&error), path: path.to_vec() })?;
    Ok(name_of(&found).encode_wide().collect())
}

/// What the system resolves a path to; always with the prefix `\\?\`.
fn final_path(path: &[u16]) -> Result<Vec<u16>, Failure> {
    let native = native(path)?;
    let failed = |error: io::Error| Failure { code: code(&error), path: path.to_vec() };
    let handle = open_to_look(&native, 0, 0, true).map_err(failed)?;
    // SAFETY: the handle is open, and the room is as long as it says.
    text(|room, length| unsafe {
        GetFinalPathNameByHandleW(handle.as_raw_handle(), room, length, VOLUME_NAME_DOS)
    })
    .map_err(failed)
}

/// Takes the prefix away that the system has added, if the path means the same without it.
fn without_prefix(path: Vec<u16>, first_failure: u32) -> Vec<u16> {
    let short = if let Some(share) = path.strip_prefix(wide(UNC_PREFIX).as_slice()) {
        [&wide(r"\\"), share].concat()
    } else if let Some(rest) = path.strip_prefix(wide(PREFIX).as_slice()) {
        rest.to_vec()
    } else {
        return path;
    };
    match final_path(&short) {
        Ok(resolved) if resolved == path => short,
        // It did not exist before either.
        Err(failure) if failure.code == first_failure => short,
        _ => path,
    }
}

fn refuse_loop(path: &OsString) -> Result<(), Error> {
    let path: Vec<u16> = path.encode_wide().collect();
    match metadata(&native(&path)?, true) {
        Err(error) if code(&error) == codes::ERROR_CANT_RESOLVE_FILENAME => {
            Err(Failure { code: code(&error), path }.into())
        }
        _ => Ok(()),
    }
}

fn native(path: &[u16]) -> Result<NativePath, Failure> {
    NativePath::from_wide(path.to_vec())
        .ok_or_else(|| Failure { code: codes::ERROR_INVALID_NAME, path: path.to_vec() })
}

/// The working directory.
pub(super) fn working_directory() -> io::Result<Vec<u16>> {
    Ok(std::env::current_dir()?.as_os_str().encode_wide().collect())
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// The newest rules.
    const NEWEST: u32 = u32::MAX;

    fn resolved(path: &Path, strictness: Strictness) -> Result<PathBuf, Error> {
        resolve(&NativePath::from(path), strictness, NEWEST).map(PathBuf::from)
    }

    /// What the standard library resolves it to, which always has the prefix.
    fn expected(path: &Path) -> PathBuf {
        let path = fs::canonicalize(path).unwrap().into_os_string().into_string().unwrap();
        PathBuf::from(path.strip_prefix(PREFIX).unwrap())
    }

    #[test]
    fn what_exists_is_resolved_without_a_prefix() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("File");
        fs::write(&file, b"").unwrap();
        for strictness in
            [Strictness::Lenient, Strictness::AllowMissing, Strictness::AllButLast, Strictness::Strict]
        {
            assert_eq!(resolved(&file, strictness).unwrap(), expected(&file));
            let roundabout = directory.path().join("missing").join("..").join("FILE");
            assert_eq!(resolved(&roundabout, strictness).unwrap(), expected(&file));
        }
        assert_eq!(resolved(Path::new("."), Strictness::Strict).unwrap(), expected(Path::new(".")));
    }

    #[test]
    fn what_is_missing_is_kept_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing").join("deeper");
        let kept = expected(directory.path()).join("missing").join("deeper");
        assert_eq!(resolved(&missing, Strictness::Lenient).unwrap(), kept);
        assert_eq!(resolved(&missing, Strictness::AllowMissing).unwrap(), kept);
        for strictness in [Strictness::AllButLast, Strictness::Strict] {
            match resolved(&missing, strictness) {
                Err(Error::Os { code: 3, subject: Subject::Other(path) }) => {
                    assert_eq!(PathBuf::from(path.to_os_string()), missing);
                }
                other => panic!("{other:?}"),
            }
        }
        let last = directory.path().join("missing");
        assert_eq!(
            resolved(&last, Strictness::AllButLast).unwrap(),
            expected(directory.path()).join("missing")
        );
    }

    #[test]
    fn devices_and_prefixes_stay_what_they_are() {
        assert_eq!(resolved(Path::new("NuL"), Strictness::Strict).unwrap(), Path::new(r"\\.\NUL"));
        let directory = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap();
        assert_eq!(resolved(&path, Strictness::Strict).unwrap(), path);
    }
}
