//! Encodings that the engine does not have: Python's own incremental codecs.

use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use rapfiles_core::memory::{copied, joined};

use crate::errors::no_memory;
use crate::handle::strings::bytes_of;
use crate::once::intern;

/// The point from which a decoder can go on to where it is: its state there, and what it was given since.
pub(crate) struct Snapshot {
    pub(crate) flags: Py<PyAny>,
    pub(crate) input: Vec<u8>,
}

/// The codec objects of one text file.
#[derive(Default)]
pub(crate) struct Codec {
    pub(crate) decoder: Option<Py<PyAny>>,
    pub(crate) encoder: Option<Py<PyAny>>,
    pub(crate) snapshot: Option<Snapshot>,
}

/// Characters as UTF-8, and how many they are. Surrogates are encoded like other characters.
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

/// Decodes a chunk. Also gives the decoder's state before.
pub(crate) fn decode<'py>(
    decoder: &Bound<'py, PyAny>,
    input: &[u8],
    end: bool,
) -> PyResult<(Bound<'py, PyString>, Snapshot)> {
    let py = decoder.py();
    let (buffered, flags): (Bound<'py, PyBytes>, Bound<'py, PyAny>) =
        decoder.call_method0(intern!(py, "getstate"))?.extract()?;
    let text = decoder.call_method1(intern!(py, "decode"), (bytes_of(py, input)?, end))?;
    let text = text.cast_into::<PyString>().map_err(|error| {
        let kind = error.into_inner().get_type();
        PyTypeError::new_err(format!("decoder should return a string result, not '{kind}'"))
    })?;
    let input = joined(&[buffered.as_bytes(), input]).map_err(no_memory)?;
    let snapshot = Snapshot { flags: flags.unbind(), input };
    Ok((text, snapshot))
}
