//! The sink that creates Python objects as results of operations on files.

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyBytes, PyInt, PyList, PyString};
use rapfiles_core::handle::{Failure, Fallible, MadeText, Sink, UnmadeText};
use rapfiles_core::memory::extend;
use rapfiles_core::{Error, Form, KeepAlive, Layout, Metadata, Text};

use super::payload::{Payload, Target};
use super::strings::{bytes_of, laid_out, new_bytes, string};
use super::text::{PythonCodec, utf8};
use crate::fairness::{self, Pace};
use crate::large_read;
use crate::results::{self, Converted};
use crate::stat_result;

/// Creates Python objects as results.
pub(crate) struct Objects;

/// The context in which an operation advances: a thread that is attached to the interpreter, and the file.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'py> {
    pub(crate) py: Python<'py>,
    pub(crate) pace: &'py Pace,
}

fn made<T>(result: PyResult<T>) -> Fallible<Objects, T> {
    result.map_err(Failure::Caller)
}

// SAFETY: the content of a bytes object stays in place for as long as there are references to it, and has room for a
// NUL after its size (`PyBytesObject`). With a GIL, every user of a handle holds it, except workers that perform a task
// of a turn's holder.
unsafe impl Sink for Objects {
    const ALONE: bool = !cfg!(Py_GIL_DISABLED);
    type Context<'a> = Caller<'a>;
    type Error = PyErr;
    type Value = Py<PyAny>;
    type Bytes = Py<PyBytes>;
    type Lines = Py<PyList>;
    type Source = Payload;
    type Target = Target;
    type Text = Py<PyString>;
    type ForeignCodec = PythonCodec;

    fn is_memory_short(caller: Caller<'_>, failure: &Failure<PyErr>) -> bool {
        match failure {
            Failure::Caller(error) => error.is_instance_of::<PyMemoryError>(caller.py),
            failure => matches!(failure, Failure::Error(Error::OutOfMemory)),
        }
    }

    fn must_yield(caller: Caller<'_>) -> Fallible<Self, bool> {
        made(fairness::spend_little(caller.py, caller.pace))
    }

    fn nothing(caller: Caller<'_>) -> Py<PyAny> {
        caller.py.None()
    }

    fn number(caller: Caller<'_>, number: u64) -> Fallible<Self, Py<PyAny>> {
        Ok(PyInt::new(caller.py, number).into_any().unbind())
    }

    #[inline]
    fn bytes(caller: Caller<'_>, content: &[u8]) -> Fallible<Self, Py<PyAny>> {
        made(bytes_of(caller.py, content).map(|bytes| bytes.into_any().unbind()))
    }

    #[inline]
    fn new_bytes(caller: Caller<'_>, length: usize) -> Fallible<Self, (Py<PyBytes>, *mut u8)> {
        made(new_bytes(caller.py, length).map(|(bytes, start)| (bytes.unbind(), start)))
    }

    #[inline]
    unsafe fn finish(
        caller: Caller<'_>,
        bytes: Py<PyBytes>,
        length: usize,
        tail: &[u8],
    ) -> Fallible<Self, Py<PyAny>> {
        let bytes = bytes.into_bound(caller.py).into_any();
        large_read::terminate(&bytes);
        made(results::filled(caller.py, Some(bytes.unbind()), length, tail))
    }

    unsafe fn content<'a>(caller: Caller<'_>, bytes: &'a Py<PyBytes>, length: usize) -> &'a [u8] {
        &bytes.as_bytes(caller.py)[..length]
    }

    fn keep_alive(caller: Caller<'_>, bytes: &Py<PyBytes>) -> KeepAlive {
        KeepAlive::new(bytes.clone_ref(caller.py))
    }

    fn metadata(caller: Caller<'_>, metadata: &Metadata) -> Fallible<Self, Py<PyAny>> {
        made(stat_result::build(caller.py, metadata))
    }

    #[inline]
    fn string(caller: Caller<'_>, content: &[u8], form: Form) -> Fallible<Self, Py<PyAny>> {
        made(string(caller.py, content, form).map(|text| text.into_any().unbind()))
    }

    fn text(caller: Caller<'_>, text: Text) -> Result<MadeText<Self>, UnmadeText<Self>> {
        match results::text(caller.py, text) {
            Ok(Converted::Value(value)) => Ok(MadeText::Value(value)),
            Ok(Converted::FillText(fill, room)) => Ok(MadeText::ToLayOut(fill, room)),
            Ok(Converted::Large(_)) => Ok(MadeText::Value(caller.py.None())),
            Err((error, text)) => Err((Failure::Caller(error), text)),
        }
    }

    fn no_lines(caller: Caller<'_>) -> Py<PyList> {
        PyList::empty(caller.py).unbind()
    }

    #[inline]
    fn add_line(caller: Caller<'_>, lines: &mut Py<PyList>, line: &[u8]) -> Fallible<Self, ()> {
        made(bytes_of(caller.py, line).and_then(|line| lines.bind(caller.py).append(line)))
    }

    #[inline]
    fn add_text_line(
        caller: Caller<'_>,
        lines: &mut Py<PyList>,
        line: &[u8],
        form: Form,
    ) -> Fallible<Self, usize> {
        made(string(caller.py, line, form).and_then(|line| {
            let length = line.len()?;
            lines.bind(caller.py).append(line).map(|()| length)
        }))
    }

    #[inline]
    fn add_measured_line(
        caller: Caller<'_>,
        lines: &mut Py<PyList>,
        line: &[u8],
        plain: bool,
        layout: Layout,
    ) -> Fallible<Self, ()> {
        made(laid_out(caller.py, line, plain, layout).and_then(|line| lines.bind(caller.py).append(line)))
    }

    fn lines(_caller: Caller<'_>, lines: Py<PyList>) -> Py<PyAny> {
        lines.into_any()
    }

    fn lines_content(lines: Py<PyList>) -> Option<Vec<u8>> {
        Python::attach(|py| {
            let mut content = Vec::new();
            for line in lines.bind(py).iter().filter_map(|line| line.cast_into::<PyBytes>().ok()) {
                extend(&mut content, line.as_bytes()).ok()?;
            }
            Some(content)
        })
    }

    fn text_lines_content(lines: Py<PyList>, latin1: bool) -> Option<Vec<u8>> {
        Python::attach(|py| {
            let mut content = Vec::new();
            for line in lines.bind(py).iter() {
                let Ok(line) = line.cast_into::<PyString>() else { continue };
                // SAFETY: the string is only read.
                match unsafe { line.data() } {
                    Ok(PyStringData::Ucs1(characters)) if latin1 => extend(&mut content, characters).ok()?,
                    _ => {
                        let line = utf8(&line).map_or(Vec::new(), |(bytes, _)| bytes);
                        extend(&mut content, &line).ok()?;
                    }
                }
            }
            Some(content)
        })
    }
}
