//! `realpath` as Python's `posixpath` defines it, version by version.
//!
//! Python's own source (`Lib/posixpath.py` of 3.11, 3.13, 3.14 and 3.15) is the reference. The C library's
//! `realpath(3)` cannot be used: it has no lenient mode, and its errors name other paths.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::{NativePath, metadata, read_link};
use crate::error::{Error, Subject};
use crate::verbs::resolve::Strictness;

/// Python 3.13 names absolute paths in errors and continues after a loop of links.
const ABSOLUTE_THROUGHOUT: u32 = 13;
/// Python 3.14 refuses to go up from a file.
const FILES_HAVE_NO_PARENT: u32 = 14;

/// The components that remain to be resolved.
enum Rest {
    Name(Vec<u8>),
    /// All names before this one are resolved: so is the link at this path.
    Resolved(Vec<u8>),
}

struct Resolution {
    rest: Vec<Rest>,
    /// How many of `rest` are names.
    names: usize,
    /// What has been resolved; empty for the current directory, before Python 3.13.
    path: Vec<u8>,
}

impl Resolution {
    fn push(&mut self, path: &[u8]) {
        for name in path.split(|byte| *byte == b'/').rev() {
            self.rest.push(Rest::Name(name.to_vec()));
            self.names += 1;
        }
    }

    fn pop(&mut self) -> Option<Rest> {
        let rest = self.rest.pop();
        self.names -= usize::from(matches!(rest, Some(Rest::Name(_))));
        rest
    }

    fn joined(&self, name: &[u8]) -> Vec<u8> {
        let mut joined = self.path.clone();
        if !joined.is_empty() && !joined.ends_with(b"/") {
            joined.push(b'/');
        }
        joined.extend_from_slice(name);
        joined
    }

    fn go_up(&mut self) {
        match self.path.iter().rposition(|byte| *byte == b'/') {
            _ if self.path.is_empty() => self.path = b"..".to_vec(),
            _ if self.path == b".." || self.path.ends_with(b"/..") => self.path.extend_from_slice(b"/.."),
            Some(0) => self.path.truncate(1),
            Some(slash) => self.path.truncate(slash),
            None => self.path.clear(),
        }
    }

    /// Whether an error at the component taken last means that the path is kept as it is from there on.
    fn keeps(&self, error: &Error, strictness: Strictness) -> bool {
        match strictness {
            Strictness::Lenient => true,
            Strictness::AllowMissing => error.code() == Some(libc::ENOENT),
            Strictness::AllButLast => error.code() == Some(libc::ENOENT) && self.names == 0,
            Strictness::Strict => false,
        }
    }
}

/// The path without symbolic links, by the rules of this minor version of Python 3.
pub(crate) fn resolve(path: &NativePath, strictness: Strictness, rules: u32) -> Result<OsString, Error> {
    let strict = strictness != Strictness::Lenient;
    let absolute_throughout = rules >= ABSOLUTE_THROUGHOUT;
    let bytes = path.to_bytes();
    let start = match bytes.first() {
        Some(b'/') => b"/".to_vec(),
        _ if absolute_throughout => working_directory()?,
        _ => Vec::new(),
    };
    let mut resolution = Resolution { rest: Vec::new(), names: 0, path: start };
    resolution.push(bytes);
    let mut seen: HashMap<Vec<u8>, Option<Vec<u8>>> = HashMap::new();
    while let Some(rest) = resolution.pop() {
        let name = match rest {
            Rest::Resolved(link) => {
                seen.insert(link, Some(resolution.path.clone()));
                continue;
            }
            Rest::Name(name) => name,
        };
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                resolution.go_up();
                continue;
            }
            _ => {}
        }
        let next = resolution.joined(&name);
        let native = NativePath::from_vec(next.clone()).map_err(|_| refused(libc::EINVAL, &next))?;
        let is_link = match is_link(&native, &next, &resolution, strict && rules >= FILES_HAVE_NO_PARENT) {
            Ok(is_link) => is_link,
            Err(error) if resolution.keeps(&error, strictness) => false,
            Err(error) => return Err(error),
        };
        if !is_link {
            resolution.path = next;
            continue;
        }
        match seen.get(&next) {
            Some(Some(resolved)) => resolution.path = resolved.clone(),
            Some(None) => {
                // The link is being resolved, so it leads to itself.
                if strict {
                    return Err(refused(libc::ELOOP, &next));
                }
                resolution.path = next;
                if !absolute_throughout {
                    return keep_the_rest(resolution);
                }
            }
            None => {
                let target = match read_link(&native).map_err(|error| of_path(&error, &next)) {
                    Ok(target) => target.into_vec(),
                    // Before Python 3.13, errors here are raised in any case.
                    Err(error) if absolute_throughout && resolution.keeps(&error, strictness) => {
                        resolution.path = next;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                seen.insert(next.clone(), None);
                if target.first() == Some(&b'/') {
                    resolution.path = b"/".to_vec();
                }
                resolution.rest.push(Rest::Resolved(next));
                resolution.push(&target);
            }
        }
    }
    finish(resolution.path, rules, strict)
}

/// Whether there is a link at `path`.
fn is_link(
    path: &NativePath,
    bytes: &[u8],
    resolution: &Resolution,
    files_have_no_parent: bool,
) -> Result<bool, Error> {
    let metadata = metadata(path, false).map_err(|error| of_path(&error, bytes))?;
    if files_have_no_parent && resolution.names > 0 && !metadata.is_symlink() && !metadata.is_directory() {
        return Err(refused(libc::ENOTDIR, bytes));
    }
    Ok(metadata.is_symlink())
}

fn of_path(error: &std::io::Error, path: &[u8]) -> Error {
    refused(error.raw_os_error().unwrap_or(libc::EIO), path)
}

fn refused(code: i32, path: &[u8]) -> Error {
    let subject = NativePath::from_vec(path.to_vec()).map_or(Subject::Path, Subject::Other);
    Error::Os { code, subject }
}

/// Up to Python 3.12, nothing after a loop of links is resolved.
fn keep_the_rest(mut resolution: Resolution) -> Result<OsString, Error> {
    while let Some(rest) = resolution.pop() {
        if let Rest::Name(name) = rest {
            resolution.path = resolution.joined(&name);
        }
    }
    finish(resolution.path, 0, false)
}

fn finish(path: Vec<u8>, rules: u32, strict: bool) -> Result<OsString, Error> {
    if rules >= ABSOLUTE_THROUGHOUT {
        return Ok(OsString::from_vec(path));
    }
    let path = normalised(path)?;
    // Up to Python 3.12, `Path.resolve` checks whether the result is a loop.
    if !strict {
        let native = NativePath::from_vec(path.clone()).map_err(|_| refused(libc::EINVAL, &path))?;
        if metadata(&native, true).is_err_and(|error| error.raw_os_error() == Some(libc::ELOOP)) {
            return Err(refused(libc::ELOOP, &path));
        }
    }
    Ok(OsString::from_vec(path))
}

/// `os.path.abspath`.
fn normalised(path: Vec<u8>) -> Result<Vec<u8>, Error> {
    let absolute = if path.starts_with(b"/") {
        path
    } else {
        let mut joined = working_directory()?;
        joined.push(b'/');
        joined.extend_from_slice(&path);
        joined
    };
    let mut names: Vec<&[u8]> = Vec::new();
    for name in absolute.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            _ => names.push(name),
        }
    }
    let mut normalised = Vec::with_capacity(absolute.len());
    for name in names {
        normalised.push(b'/');
        normalised.extend_from_slice(name);
    }
    if normalised.is_empty() {
        normalised.push(b'/');
    }
    Ok(normalised)
}

fn working_directory() -> Result<Vec<u8>, Error> {
    let directory = std::env::current_dir().map_err(|error| Error::new(&error, Subject::Nothing))?;
    Ok(directory.as_os_str().as_bytes().to_vec())
}
