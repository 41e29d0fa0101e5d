//! The cookies that `tell()` of a text file returns: a position and the decoder's state there (`rapfiles._cookie`).

use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::handle::strings::bytes_of;
use crate::once::intern;

/// The content of a cookie.
#[derive(Debug, FromPyObject)]
pub(crate) struct Cookie<'py>(
    pub(crate) i64,
    pub(crate) Bound<'py, PyAny>,
    pub(crate) usize,
    pub(crate) bool,
    pub(crate) usize,
);

impl<'py> Cookie<'py> {
    /// Unpacks a cookie: position, decoder flags, bytes to feed, whether they end the file, characters to skip.
    pub(crate) fn parse(cookie: &Bound<'py, PyInt>) -> PyResult<Self> {
        let py = cookie.py();
        py.import(intern!(py, "rapfiles._cookie"))?.call_method1(intern!(py, "parse"), (cookie,))?.extract()
    }
}

/// Python's decoder for an encoding that the engine decodes itself.
pub(crate) fn new_decoder<'py>(
    py: Python<'py>,
    encoding: &str,
    newline: Option<&'static str>,
) -> PyResult<Bound<'py, PyAny>> {
    let cookies = py.import(intern!(py, "rapfiles._cookie"))?;
    cookies.call_method1(intern!(py, "new_decoder"), (encoding, newline))
}

/// The cookie for a position that has to be found by decoding again.
#[allow(clippy::too_many_arguments, reason = "they are what the place is known by")]
pub(crate) fn find(
    decoder: &Bound<'_, PyAny>,
    position: u64,
    flags: &Bound<'_, PyAny>,
    input: &[u8],
    used: usize,
    ratio: f64,
) -> PyResult<Py<PyAny>> {
    let py = decoder.py();
    let arguments = (decoder, position, flags, bytes_of(py, input)?, used, ratio);
    let cookies = py.import(intern!(py, "rapfiles._cookie"))?;
    Ok(cookies.call_method1(intern!(py, "find"), arguments)?.unbind())
}
