//! Creating strings and bytes from what a handle has read.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use rapfiles_core::{Form, Layout};

use crate::results;

/// The string of ASCII bytes; `None` if memory cannot be allocated.
#[inline(always)]
pub(crate) fn ascii_string<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyString>> {
    // SAFETY: the call returns a new string, or null with an exception set.
    let text = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyUnicode_New(bytes.len() as isize, 0x7f)) };
    let Some(text) = text else {
        forget_error(py);
        return None;
    };
    if !bytes.is_empty() {
        // SAFETY: the characters of such a string follow its header (`Include/cpython/unicodeobject.h`).
        unsafe {
            let start = text.as_ptr().cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
        }
    }
    // SAFETY: it is a string.
    Some(unsafe { text.cast_into_unchecked() })
}

#[cold]
fn forget_error(py: Python<'_>) {
    drop(PyErr::take(py));
}

/// The string of decoded bytes.
pub(crate) fn string<'py>(py: Python<'py>, bytes: &[u8], form: Form) -> PyResult<Bound<'py, PyString>> {
    match form {
        Form::Ascii | Form::Latin1 => {
            let ascii = form == Form::Ascii || bytes.is_ascii();
            let text = new_string(py, bytes.len(), if ascii { 0x7f } else { 0xff })?;
            if !bytes.is_empty() {
                // SAFETY: the string has room for that many characters of one byte.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start(&text), bytes.len()) };
            }
            Ok(text)
        }
        Form::Utf8 if bytes.is_ascii() => string(py, bytes, Form::Ascii),
        Form::Utf8 => {
            let layout = Layout::of(bytes);
            let text = new_string(py, layout.characters, layout.highest())?;
            // SAFETY: the decoder has validated the bytes, and the string was made for this layout.
            unsafe { layout.write_to(bytes, start(&text)) };
            Ok(text)
        }
    }
}

/// The string of characters that have been measured. `plain`: they are copied unchanged.
pub(crate) fn laid_out<'py>(
    py: Python<'py>,
    bytes: &[u8],
    plain: bool,
    layout: Layout,
) -> PyResult<Bound<'py, PyString>> {
    let text = new_string(py, layout.characters, layout.highest())?;
    if bytes.is_empty() {
        return Ok(text);
    }
    // SAFETY: the string was made for this layout of these bytes, which are valid.
    unsafe {
        if plain || layout.characters == bytes.len() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start(&text), bytes.len());
        } else {
            layout.write_to(bytes, start(&text));
        }
    }
    Ok(text)
}

/// A string with uninitialised characters.
fn new_string(py: Python<'_>, characters: usize, highest: u32) -> PyResult<Bound<'_, PyString>> {
    let length = ffi::Py_ssize_t::try_from(characters)?;
    // SAFETY: the call returns a new string, or null with an exception set.
    let text = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(length, highest)) }?;
    // SAFETY: it is a string.
    Ok(unsafe { text.cast_into_unchecked() })
}

/// Where a new string's characters are. The empty one must not be written to.
fn start(text: &Bound<'_, PyString>) -> *mut u8 {
    // SAFETY: it is a string in the compact form.
    unsafe { ffi::PyUnicode_DATA(text.as_ptr()) }.cast()
}

/// A bytes object with uninitialised content, and a pointer to it.
#[inline]
pub(crate) fn new_bytes(py: Python<'_>, length: usize) -> PyResult<(Bound<'_, PyBytes>, *mut u8)> {
    let bytes = results::uninitialised_bytes(py, ffi::Py_ssize_t::try_from(length)?)?;
    // SAFETY: it is a bytes object.
    let bytes = unsafe { bytes.cast_into_unchecked::<PyBytes>() };
    // SAFETY: the same.
    let start = unsafe { ffi::PyBytes_AsString(bytes.as_ptr()) }.cast();
    Ok((bytes, start))
}

/// A bytes object with this content. `PyBytes::new` panics if memory cannot be allocated.
#[inline]
pub(crate) fn bytes_of<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let (bytes, start) = new_bytes(py, content.len())?;
    // SAFETY: the object has room for that much, and nobody else has seen it. The empty one is not written to.
    unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), start, content.len()) };
    Ok(bytes)
}
