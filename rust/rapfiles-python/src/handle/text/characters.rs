//! Strings of characters to write, or to read again.

use std::ops::Range;

use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyBytes, PySlice, PyString};
use rapfiles_core::handle::{Characters, Failure, Fallible};
use rapfiles_core::memory::copied;
use rapfiles_core::{Data, KeepAlive, TextSource};

use crate::arguments::text_source;
use crate::errors::no_memory;
use crate::handle::objects::{Caller, Objects};
use crate::once::intern;

/// The caller's string to write.
pub(crate) fn to_be_written(text: &Bound<'_, PyAny>) -> PyResult<Py<PyString>> {
    match text.cast::<PyString>() {
        Ok(text) => Ok(text.clone().unbind()),
        Err(_) => {
            let kind = text.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
            Err(PyTypeError::new_err(format!("write() argument must be str, not {kind}")))
        }
    }
}

/// Characters as UTF-8, and their number. Surrogates are encoded like other characters.
pub(crate) fn utf8(text: &Bound<'_, PyString>) -> PyResult<(Vec<u8>, usize)> {
    let characters = text.len()?;
    match text.to_str() {
        Ok(text) => Ok((copied(text.as_bytes()).map_err(no_memory)?, characters)),
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) => {
            let py = text.py();
            let bytes = text.call_method1(intern!(py, "encode"), ("utf-8", "surrogatepass"))?;
            Ok((copied(bytes.cast::<PyBytes>()?.as_bytes()).map_err(no_memory)?, characters))
        }
        Err(error) => Err(error),
    }
}

/// A part of a string.
pub(crate) fn substring<'py>(
    text: &Bound<'py, PyString>,
    part: Range<usize>,
) -> PyResult<Bound<'py, PyString>> {
    if part.start == 0 && part.end == text.len()? {
        return Ok(text.clone());
    }
    let slice = PySlice::new(text.py(), part.start as isize, part.end as isize, 1);
    Ok(text.as_any().get_item(slice)?.cast_into()?)
}

impl Characters<Objects> for Py<PyString> {
    #[inline]
    fn length(&self, caller: Caller<'_>) -> usize {
        self.bind(caller.py).len().unwrap_or_default()
    }

    #[inline]
    fn narrow(&self, caller: Caller<'_>) -> Option<&[u8]> {
        // SAFETY: the characters are only read, and strings do not change.
        match unsafe { self.bind(caller.py).data() } {
            Ok(PyStringData::Ucs1(characters)) => {
                // SAFETY: they stay in place for as long as this reference to the string exists.
                Some(unsafe { std::slice::from_raw_parts(characters.as_ptr(), characters.len()) })
            }
            _ => None,
        }
    }

    fn shared(&self, caller: Caller<'_>) -> Data {
        let characters = self.narrow(caller).unwrap_or_default();
        let keep_alive = KeepAlive::new(self.clone_ref(caller.py));
        // SAFETY: a string never changes, and the reference keeps it alive.
        unsafe { Data::shared(characters.as_ptr(), characters.len(), keep_alive) }
    }

    fn has_line_end(&self, caller: Caller<'_>) -> bool {
        // SAFETY: the characters are only read.
        match unsafe { self.bind(caller.py).data() } {
            Ok(PyStringData::Ucs1(characters)) => memchr::memchr2(b'\n', b'\r', characters).is_some(),
            Ok(PyStringData::Ucs2(characters)) => characters.iter().any(|code| matches!(code, 10 | 13)),
            Ok(PyStringData::Ucs4(characters)) => characters.iter().any(|code| matches!(code, 10 | 13)),
            Err(_) => true,
        }
    }

    fn part(&self, caller: Caller<'_>, part: Range<usize>) -> Fallible<Objects, TextSource> {
        substring(self.bind(caller.py), part).and_then(|part| text_source(&part)).map_err(Failure::Caller)
    }
}
