//! Arguments: converting Python's paths, buffers and strings to the engine's.

use std::ffi::OsString;

#[cfg(unix)]
#[cfg(unix)]
use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyBytes, PyMemoryView, PyString};
use rapfiles_core::{Codec, Data, KeepAlive, NativePath, Newline, TextSource};

use crate::limits::COPIED_ARGUMENT;
#[cfg(unix)]
use crate::once::Once;
use crate::pure_path;

/// A path as the caller gave it.
pub(crate) struct PathArgument<'py> {
    text: Bound<'py, PyString>,
}

impl<'a, 'py> FromPyObject<'a, 'py> for PathArgument<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast_exact::<PyString>() {
            return Ok(Self { text: text.to_owned() });
        }
        if let Some(text) = pure_path::text(&object) {
            return Ok(Self { text });
        }
        // SAFETY: the object is alive, and the result is a new reference or null with an exception set.
        let path = unsafe { Bound::from_owned_ptr_or_err(object.py(), ffi::PyOS_FSPath(object.as_ptr())) }?;
        match path.cast_into::<PyString>() {
            Ok(text) => Ok(Self { text }),
            Err(error) => Err(PyTypeError::new_err(format!(
                "a path must be str or an os.PathLike object that gives str, not {}",
                error.into_inner().get_type().name()?
            ))),
        }
    }
}

impl<'py> PathArgument<'py> {
    /// The path for the engine. `function` is the name with which an error about NUL characters begins.
    pub(crate) fn native(&self, function: &str) -> PyResult<NativePath> {
        self.native_as(function, "path")
    }

    /// As [`Self::native`], if the function has another name for the argument.
    pub(crate) fn native_as(&self, function: &str, argument: &str) -> PyResult<NativePath> {
        native_path(&self.text, function, argument)
    }

    /// The text for the `filename` of an error.
    pub(crate) fn name(self) -> Py<PyString> {
        self.text.unbind()
    }
}

/// The path to open, and how an error names it: `str`, or `bytes` as it was given.
pub(crate) fn native_name(path: &Bound<'_, PyAny>) -> PyResult<(NativePath, Py<PyAny>)> {
    #[cfg(unix)]
    if let Ok(bytes) = path.cast::<PyBytes>() {
        let native = NativePath::from_vec(bytes.as_bytes().to_vec());
        let native = native.map_err(|_| null_character(path.py(), "io.open", "path"))?;
        return Ok((native, path.clone().unbind()));
    }
    let text = path.cast::<PyString>()?;
    Ok((native_path(text, "io.open", "path")?, path.clone().unbind()))
}

/// A name that the engine takes like a path.
fn native_path(text: &Bound<'_, PyString>, function: &str, argument: &str) -> PyResult<NativePath> {
    from_os_string(text, encoded(text)?, function, argument)
}

#[cfg(unix)]
fn encoded(text: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let py = text.py();
    if file_system_encoding_is_utf8(py)? {
        match text.to_str() {
            Ok(text) => {
                // With room for the NUL that terminates it for a system call.
                let mut bytes = Vec::with_capacity(text.len() + 1);
                bytes.extend_from_slice(text.as_bytes());
                return Ok(bytes);
            }
            // Names that are not valid UTF-8 come as surrogates.
            Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(py) => {}
            Err(error) => return Err(error),
        }
    }
    // SAFETY: the text is a str, and the result is a new reference or null with an exception set.
    let bytes = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_EncodeFSDefault(text.as_ptr())) }?;
    Ok(bytes.cast_into::<PyBytes>()?.as_bytes().to_vec())
}

#[cfg(unix)]
fn file_system_encoding_is_utf8(py: Python<'_>) -> PyResult<bool> {
    static UTF8: Once<bool> = Once::new();
    UTF8.get_or_try_init(py, || {
        let encoding: String = py.import("sys")?.call_method0("getfilesystemencoding")?.extract()?;
        Ok(encoding.eq_ignore_ascii_case("utf-8"))
    })
    .copied()
}

#[cfg(unix)]
fn from_os_string(
    text: &Bound<'_, PyString>,
    encoded: Vec<u8>,
    function: &str,
    argument: &str,
) -> PyResult<NativePath> {
    NativePath::from_vec(encoded).map_err(|_| null_character(text.py(), function, argument))
}

#[cfg(windows)]
fn encoded(text: &Bound<'_, PyString>) -> PyResult<OsString> {
    text.extract()
}

#[cfg(windows)]
fn from_os_string(
    text: &Bound<'_, PyString>,
    encoded: OsString,
    function: &str,
    argument: &str,
) -> PyResult<NativePath> {
    NativePath::from_os_string(encoded).map_err(|_| null_character(text.py(), function, argument))
}

/// The error of the running Python, about `function` and `argument`.
fn null_character(py: Python<'_>, function: &str, argument: &str) -> PyErr {
    // Windows' message speaks of characters, the others' only since 3.13 (`path_converter` in CPython's
    // Modules/posixmodule.c).
    let characters = cfg!(windows) || py.version_info() >= (3, 13);
    let function = match function {
        // It calls `os.lstat` since 3.14, `os.stat` before.
        "Path.lstat" if py.version_info() >= (3, 14) => "lstat",
        "Path.lstat" => "stat",
        function => function,
    };
    match function {
        "io.open" if cfg!(windows) => PyValueError::new_err("embedded null character"),
        "io.open" => PyValueError::new_err("embedded null byte"),
        _ if characters => {
            PyValueError::new_err(format!("{function}: embedded null character in {argument}"))
        }
        _ => PyValueError::new_err("embedded null byte"),
    }
}

/// The name of an extended attribute, `str` or `bytes`.
pub(crate) fn attribute_name(name: &Bound<'_, PyAny>, function: &str) -> PyResult<NativePath> {
    if let Ok(name) = name.cast::<PyString>() {
        return native_path(name, function, "attribute");
    }
    match name.cast::<PyBytes>() {
        #[cfg(unix)]
        Ok(bytes) => NativePath::from_vec(bytes.as_bytes().to_vec())
            .map_err(|_| null_character(name.py(), function, "attribute")),
        #[cfg(windows)]
        Ok(_) => Err(PyTypeError::new_err("attribute must be str")),
        Err(_) => Err(PyTypeError::new_err(format!(
            "attribute must be str or bytes, not {}",
            name.get_type().name()?
        ))),
    }
}

/// Bytes to write, from any object with a contiguous buffer.
pub(crate) fn data(object: &Bound<'_, PyAny>) -> PyResult<Data> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        let content = bytes.as_bytes();
        if content.len() <= COPIED_ARGUMENT {
            return Ok(Data::Owned(content.to_vec()));
        }
        // SAFETY: a bytes object never changes, and the reference keeps it alive.
        return Ok(unsafe {
            Data::shared(content.as_ptr(), content.len(), KeepAlive::new(bytes.clone().unbind()))
        });
    }
    // The view keeps the buffer in place, and as an object of its own it can be released in any thread.
    let view = PyMemoryView::from(object)?;
    let mut buffer = ffi::Py_buffer::new();
    // SAFETY: the buffer is filled by the call, or an exception is set.
    if unsafe { ffi::PyObject_GetBuffer(view.as_ptr(), &raw mut buffer, ffi::PyBUF_SIMPLE) } != 0 {
        return Err(PyErr::fetch(object.py()));
    }
    let (start, length) = (buffer.buf as *const u8, buffer.len as usize);
    // SAFETY: it was got just now. The view still holds on to what it shows.
    unsafe { ffi::PyBuffer_Release(&raw mut buffer) };
    if length == 0 {
        return Ok(Data::Owned(Vec::new()));
    }
    if length <= COPIED_ARGUMENT {
        // SAFETY: the view keeps the bytes there.
        return Ok(Data::Owned(unsafe { std::slice::from_raw_parts(start, length) }.to_vec()));
    }
    // SAFETY: the view keeps the bytes there.
    Ok(unsafe { Data::shared(start, length, KeepAlive::new(view.unbind())) })
}

/// The characters of a string, in place.
pub(crate) fn text_source(text: &Bound<'_, PyString>) -> PyResult<TextSource> {
    // SAFETY: the characters are only read, and strings do not change.
    let (start, length, width, ascii) = match unsafe { text.data() }? {
        PyStringData::Ucs1(chars) => (chars.as_ptr(), chars.len(), 1, chars.is_ascii()),
        PyStringData::Ucs2(chars) => (chars.as_ptr().cast(), chars.len() * 2, 2, false),
        PyStringData::Ucs4(chars) => (chars.as_ptr().cast(), chars.len() * 4, 4, false),
    };
    let data = if length <= COPIED_ARGUMENT {
        // SAFETY: the string is alive.
        Data::Owned(unsafe { std::slice::from_raw_parts(start, length) }.to_vec())
    } else {
        // SAFETY: a string never changes, and the reference keeps it alive.
        unsafe { Data::shared(start, length, KeepAlive::new(text.clone().unbind())) }
    };
    Ok(TextSource::new(data, width, ascii))
}

/// The codec that the Python package has chosen.
pub(crate) fn codec(name: &str) -> PyResult<Codec> {
    match name {
        "utf-8" => Ok(Codec::Utf8),
        "ascii" => Ok(Codec::Ascii),
        "latin-1" => Ok(Codec::Latin1),
        _ => Err(PyValueError::new_err(format!("not a native codec: {name}"))),
    }
}

/// What `newline` means to `open()` when reading.
pub(crate) fn newline_read(newline: Option<&str>) -> Newline {
    if newline.is_none() { Newline::Universal } else { Newline::Untouched }
}

/// What `newline` means to `open()` when writing.
pub(crate) fn newline_written(newline: Option<&str>) -> Newline {
    match newline {
        Some("\r") => Newline::CarriageReturn,
        Some("\r\n") => Newline::CarriageReturnLineFeed,
        None if cfg!(windows) => Newline::CarriageReturnLineFeed,
        _ => Newline::Untouched,
    }
}

/// A string as the platform's.
pub(crate) fn os_string(text: &Bound<'_, PyString>) -> PyResult<OsString> {
    text.extract()
}
