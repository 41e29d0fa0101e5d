//! The lexical half of a path where pathlib is slow: creating a path from a string, and its text.
//!
//! In Python 3.11 these run a dozen Python functions and an exception, which takes as long as the system calls of an
//! operation; later versions defer the same work until the text is needed. Here it is done natively for ordinary POSIX
//! paths, on the same attributes (`Lib/pathlib.py`, since 3.13 `Lib/pathlib/`). All other paths are left to pathlib,
//! and so is everything in a version whose attributes are not the expected ones.
//!
//! A class that is to be called often has this in its `tp_vectorcall` ([`construct_natively`]), which is called without
//! a tuple of arguments, and instead of `__new__` and `__init__`. Subclasses do not inherit that slot (the C API's
//! reference on `PyTypeObject.tp_vectorcall`).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple, PyType};
use rapfiles_core::FileType;

use crate::once::{Once, intern};

/// The slots of `PurePath`.
struct Slots {
    pure_path: Py<PyType>,
    /// The text, once it has been requested.
    text: Offset,
    source: Source,
    /// The class that was last found to inherit how its text is made.
    plain: Mutex<Option<Py<PyType>>>,
    /// The directory of the path that was made last.
    directory: Mutex<Option<Directory>>,
    /// The functions that make a path, where a class inherits them.
    new: Py<PyAny>,
    init: Py<PyAny>,
    /// The version of the class in whose `tp_vectorcall` these are not called, when that was last found to inherit
    /// them.
    version: AtomicU32,
}

/// The directory part of a path: the next paths are often in the same directory.
struct Directory {
    /// The text up to the last slash, and that too.
    text: String,
    parts: Py<PyTuple>,
}

/// The slots from which the text is made.
enum Source {
    /// Python 3.11: the path is parsed at once.
    Parsed { drive: Offset, root: Offset, parts: Offset },
    /// Python 3.12 and later: the arguments are kept.
    Arguments(Offset),
}

type Offset = ffi::Py_ssize_t;

static SLOTS: Once<Option<Slots>> = Once::new();

/// The places of the running Python's `PurePath`; `None` if they are not as expected.
fn slots(py: Python<'_>) -> Option<&'static Slots> {
    SLOTS.get_or_init(py, || Slots::find(py).ok().flatten()).as_ref()
}

/// The text of a path object; `None` if it has to be asked itself.
pub(crate) fn text<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyString>> {
    let slots = slots(object.py())?;
    if !slots.is_plain(&object.get_type()) {
        return None;
    }
    // SAFETY: the object is an instance of `PurePath`, whose slots are at these places.
    let slot = |offset| unsafe { slot(object, offset) };
    if let Some(text) = slot(slots.text) {
        return text.cast_into().ok();
    }
    let text = match slots.source {
        Source::Parsed { drive, root, parts } => parsed_text(&slot(drive)?, &slot(root)?, &slot(parts)?)?,
        Source::Arguments(arguments) => {
            let arguments = slot(arguments)?.cast_into::<PyList>().ok()?;
            let text = arguments.get_item(0).ok()?.cast_into_exact::<PyString>().ok()?;
            if arguments.len() != 1 || ordinary(&text).is_none() {
                return None;
            }
            text
        }
    };
    // SAFETY: as above; the slot is empty, as was seen, and takes over a reference.
    unsafe { *place(object, slots.text) = text.clone().into_ptr() };
    Some(text)
}

/// What `PurePosixPath._format_parsed_parts` makes of a path with a drive, a root and parts.
fn parsed_text<'py>(
    drive: &Bound<'py, PyAny>,
    root: &Bound<'py, PyAny>,
    parts: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyString>> {
    let py = root.py();
    let parts = parts.cast::<PyList>().ok()?;
    if !drive.is_truthy().ok()? && !root.is_truthy().ok()? {
        let text = join(parts)?;
        return Some(if text.is_empty().ok()? { intern!(py, ".").clone() } else { text });
    }
    let anchor = drive.add(root).ok()?;
    anchor.add(join(&parts.get_slice(1, parts.len()))?).ok()?.cast_into().ok()
}

fn join<'py>(parts: &Bound<'py, PyList>) -> Option<Bound<'py, PyString>> {
    let py = parts.py();
    // SAFETY: the separator is a str, and the result is a new reference or null with an exception set.
    let text = unsafe { ffi::PyUnicode_Join(intern!(py, "/").as_ptr(), parts.as_ptr()) };
    // SAFETY: as above.
    unsafe { Bound::from_owned_ptr_or_err(py, text) }.ok()?.cast_into().ok()
}

/// `PurePath.__new__` of Python 3.11.
#[pyfunction]
#[pyo3(signature = (class, /, *segments))]
pub(crate) fn new_path<'py>(
    class: &Bound<'py, PyType>,
    segments: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    static NEW: Once<Py<PyAny>> = Once::new();
    let py = class.py();
    if segments.len() == 1
        && let Some(path) = ordinary_path(class, segments.get_item(0)?)
    {
        return Ok(path);
    }
    let new = NEW.get_or_try_init(py, || {
        py.import("pathlib")?.getattr("PurePath")?.getattr("__new__").map(Bound::unbind)
    })?;
    let arguments = std::iter::once(class.clone().into_any()).chain(segments.iter());
    new.bind(py).call1(PyTuple::new(py, arguments.collect::<Vec<_>>())?)
}

/// `PurePath.__init__`, which has nothing to do in Python 3.11.
#[pyfunction]
#[pyo3(signature = (*segments))]
pub(crate) fn init_path(segments: &Bound<'_, PyTuple>) {
    let _ = segments;
}

/// A path from a single string that is already in pathlib's normal form, created without pathlib.
fn ordinary_path<'py>(class: &Bound<'py, PyType>, text: Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = class.py();
    let slots = slots(py)?;
    if !slots.is_plain(class) {
        return None;
    }
    let text = text.cast_into_exact::<PyString>().ok()?;
    let (drive, root, parts) = match slots.source {
        Source::Parsed { drive, root, parts } => (drive, root, parts),
        Source::Arguments(arguments) => {
            ordinary(&text)?;
            let list = PyList::new(py, [&text]).ok()?;
            let object = new_object(class).ok()?;
            // SAFETY: the object is new, so its slots are empty, and each takes over a reference.
            unsafe {
                *place(&object, arguments) = list.into_ptr();
                *place(&object, slots.text) = text.into_ptr();
            }
            return Some(object);
        }
    };
    let content = text.to_str().ok()?;
    let start = content.bytes().rposition(|byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (directory, name) = content.split_at(start);
    let absolute = directory.starts_with('/');
    let before = slots.parts_of(py, directory)?;
    if name == "." || (name.is_empty() && content != "/") {
        return None;
    }
    // Not interned, as pathlib does it, to find equal names faster: most names are seen once.
    let name = (!name.is_empty()).then(|| PyString::new(py, name));
    let list = parts_list(&before, name).ok()?;
    let empty = intern!(py, "");
    let object = new_object(class).ok()?;
    // SAFETY: the object is new, so its slots are empty, and each takes over a reference.
    unsafe {
        *place(&object, drive) = empty.clone().into_ptr();
        *place(&object, root) =
            if absolute { intern!(py, "/").clone().into_ptr() } else { empty.clone().into_ptr() };
        *place(&object, parts) = list.into_ptr();
        *place(&object, slots.text) = text.into_ptr();
    }
    Some(object)
}

/// Makes calls of a class create its paths here if the argument is in pathlib's normal form: for this class only, not
/// for its subclasses.
#[pyfunction]
#[pyo3(signature = (class, /))]
pub(crate) fn construct_natively(class: &Bound<'_, PyType>) {
    if slots(class.py()).is_some() {
        // SAFETY: the class is alive, and the function follows the protocol of the slot.
        unsafe { (*class.as_type_ptr()).tp_vectorcall = Some(construct) };
    }
}

/// What `type.__call__` does with a class of paths.
///
/// # Safety
/// Called by the interpreter with that class and the arguments of a vectorcall.
unsafe extern "C" fn construct(
    class: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise: the interpreter is attached, and `arguments` has as many as `count` says, and behind
    // them the keywords' values.
    unsafe {
        // PyO3 is not informed of that, which takes a tenth of the whole: it would only defer the dropping of `Py`
        // references, of which a new path drops none.
        let py = Python::assume_attached();
        let class_object = Bound::from_borrowed_ptr(py, class).cast_into_unchecked::<PyType>();
        let count = ffi::PyVectorcall_NARGS(count);
        if count == 1 && keywords.is_null() && Slots::makes(&class_object) {
            let text = Bound::from_borrowed_ptr(py, *arguments);
            if let Some(path) = ordinary_path(&class_object, text) {
                return path.into_ptr();
            }
        }
        Python::attach(|py| {
            call_type(&class_object, arguments, count, keywords).map_or_else(
                |error| {
                    error.restore(py);
                    std::ptr::null_mut()
                },
                Bound::into_ptr,
            )
        })
    }
}

/// Lets the metaclass create the instance.
///
/// # Safety
/// As for [`construct`].
#[cold]
unsafe fn call_type<'py>(
    class: &Bound<'py, PyType>,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    // SAFETY: guaranteed by the caller.
    let argument = |at: ffi::Py_ssize_t| unsafe { Bound::from_borrowed_ptr(py, *arguments.offset(at)) };
    let positional = PyTuple::new(py, (0..count).map(argument).collect::<Vec<_>>())?;
    // SAFETY: guaranteed by the caller: null or a tuple.
    let named = match unsafe { Bound::from_borrowed_ptr_or_opt(py, keywords) } {
        None => None,
        Some(names) => {
            let named = PyDict::new(py);
            for (at, name) in names.cast_into::<PyTuple>()?.iter().enumerate() {
                named.set_item(name, argument(count + at as ffi::Py_ssize_t))?;
            }
            Some(named)
        }
    };
    let named = named.as_ref().map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: every class of classes is called by this slot, which gives a new reference, or null with an exception
    // set.
    unsafe {
        let object = match (*ffi::Py_TYPE(class.as_ptr())).tp_call {
            Some(call) => call(class.as_ptr(), positional.as_ptr(), named),
            None => std::ptr::null_mut(),
        };
        Bound::from_owned_ptr_or_err(py, object)
    }
}

/// Where the paths of a class keep what their `info` knows.
fn info_slot(class: &Bound<'_, PyType>) -> Option<Offset> {
    class.getattr(intern!(class.py(), "_info")).ok().and_then(|slot| offset(&slot))
}

/// Whether the paths of a class have no place for anything that could refer back to them, or to what refers to them.
pub(crate) fn is_simple(class: &Bound<'_, PyType>) -> bool {
    ends_with_slot(class, info_slot(class))
}

/// The same, for a class whose slot is known.
fn ends_with_slot(class: &Bound<'_, PyType>, info: Option<Offset>) -> bool {
    // SAFETY: a type object has these fields.
    let (size, dictionary) =
        unsafe { ((*class.as_type_ptr()).tp_basicsize, (*class.as_type_ptr()).tp_dictoffset) };
    // `AsyncPath` has declared the last slot of its instances, and a subclass has others or a dictionary.
    dictionary == 0 && info.is_some_and(|info| size == info + size_of::<Offset>() as Offset)
}

/// Creates the children of a directory, as joining the names to it would.
pub(crate) struct Children<'py> {
    class: Bound<'py, PyType>,
    /// The part of the text before the name.
    prefix: Bound<'py, PyString>,
    text: Offset,
    /// Where the parts are, or the arguments.
    list: Offset,
    /// Where a path keeps what its `info` knows.
    info: Option<Offset>,
    /// See `is_simple`.
    simple: bool,
    /// The parts of the directory, where paths are parsed at once, and its drive and root.
    parts: Option<Bound<'py, PyList>>,
    anchor: Vec<(Offset, Bound<'py, PyAny>)>,
}

impl<'py> Children<'py> {
    /// Of a directory whose class leaves to pathlib how paths are made; `None` if they have to be joined.
    pub(crate) fn of(directory: &Bound<'py, PyAny>, prefix: &Bound<'py, PyString>) -> Option<Self> {
        let (slots, class) = (slots(directory.py())?, directory.get_type());
        if !slots.is_plain(&class) {
            return None;
        }
        // SAFETY: the object is an instance of `PurePath`, whose slots are at these places.
        let slot = |offset| unsafe { slot(directory, offset) };
        let (list, parts, anchor) = match slots.source {
            Source::Parsed { drive, root, parts } => {
                let anchor = vec![(drive, slot(drive)?), (root, slot(root)?)];
                (parts, Some(slot(parts)?.cast_into().ok()?), anchor)
            }
            Source::Arguments(arguments) => (arguments, None, Vec::new()),
        };
        let info = info_slot(&class);
        let simple = ends_with_slot(&class, info);
        Some(Self { class, prefix: prefix.clone(), text: slots.text, list, info, simple, parts, anchor })
    }

    /// The child of this name. `known`: what its `info` knows already.
    pub(crate) fn make(&self, name: Bound<'py, PyString>, known: u8) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        // SAFETY: both are strings; the result is a new reference, or null with an exception set.
        let text = unsafe { ffi::PyUnicode_Concat(self.prefix.as_ptr(), name.as_ptr()) };
        // SAFETY: as above.
        let text = unsafe { Bound::from_owned_ptr_or_err(py, text) }?;
        let list = match &self.parts {
            Some(parts) => with_behind(parts, name)?,
            None => PyList::new(py, [&text])?,
        };
        let object = new_object(&self.class)?;
        // SAFETY: the object is new, so its slots are empty, and each takes over a reference.
        unsafe {
            for (offset, part) in &self.anchor {
                *place(&object, *offset) = part.clone().into_ptr();
            }
            let list = list.into_ptr();
            *place(&object, self.list) = list;
            *place(&object, self.text) = text.into_ptr();
            if let Some(info) = self.info
                && known != 0
            {
                *place(&object, info) = PyInt::new(py, known).into_ptr();
            }
            // The collector need not traverse these: a list of strings, which nobody changes, and an object that can
            // refer only to strings, numbers and such lists. They cannot be part of a cycle, so reference counting
            // frees them.
            ffi::PyObject_GC_UnTrack(list.cast());
            if self.simple {
                ffi::PyObject_GC_UnTrack(object.as_ptr().cast());
            }
        }
        Ok(object)
    }
}

/// What `info` is told of a path that comes from a listing, as `rapfiles._info` reads it: in the lower four bits its
/// own type, in the upper four that of what it leads to, each as `S_IFMT` has it; 0 where nothing is known, and 15
/// where there is nothing, or nothing that can be reached.
pub(crate) fn known_types(own: Result<FileType, i32>, target: Option<Result<FileType, i32>>) -> u8 {
    const ABSENT: u8 = 15;
    let bits =
        |known: Result<FileType, i32>| known.map_or(ABSENT, |file_type| (file_type.0 >> 12) as u8 & 15);
    match (own, target) {
        (Ok(FileType::SYMLINK), None) => bits(own),
        (_, target) => bits(own) | bits(target.unwrap_or(own)) << 4,
    }
}

/// The same for a path of which one of them may not be known: its own type, or that of what it leads to.
pub(crate) fn known_of(own: Option<FileType>, target: Option<FileType>) -> u8 {
    match (own, target) {
        (Some(own), target) => known_types(Ok(own), target.map(Ok)),
        (None, Some(target)) => known_types(Ok(target), None) & 0xf0,
        (None, None) => 0,
    }
}

/// A list of these parts, and perhaps a name.
fn parts_list<'py>(
    parts: &Bound<'py, PyTuple>,
    name: Option<Bound<'py, PyString>>,
) -> PyResult<Bound<'py, PyList>> {
    let (py, length) = (parts.py(), parts.len() as ffi::Py_ssize_t);
    // SAFETY: the new list has that many empty places, each of which takes over a reference. Nothing here runs Python
    // code.
    unsafe {
        let list = ffi::PyList_New(length + ffi::Py_ssize_t::from(name.is_some()));
        let result = Bound::from_owned_ptr_or_err(py, list)?.cast_into_unchecked();
        for index in 0..length {
            ffi::PyList_SET_ITEM(list, index, ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(parts.as_ptr(), index)));
        }
        if let Some(name) = name {
            ffi::PyList_SET_ITEM(list, length, name.into_ptr());
        }
        Ok(result)
    }
}

/// A list with one item more.
fn with_behind<'py>(list: &Bound<'py, PyList>, item: Bound<'py, PyString>) -> PyResult<Bound<'py, PyList>> {
    let (py, length) = (list.py(), list.len() as ffi::Py_ssize_t);
    // SAFETY: the new list has that many empty places, each of which takes over a reference. Nothing here runs Python
    // code, and a list of parts never changes.
    unsafe {
        let longer = ffi::PyList_New(length + 1);
        let result = Bound::from_owned_ptr_or_err(py, longer)?.cast_into_unchecked();
        for index in 0..length {
            ffi::PyList_SET_ITEM(longer, index, ffi::Py_NewRef(ffi::PyList_GET_ITEM(list.as_ptr(), index)));
        }
        ffi::PyList_SET_ITEM(longer, length, item.into_ptr());
        Ok(result)
    }
}

/// An instance of a class of paths, with nothing in its slots.
fn new_object<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    // SAFETY: the class is one that inherits from `object` through `PurePath`, neither of which wants arguments of
    // `object.__new__`, which is always there.
    unsafe {
        let object = match ffi::PyBaseObject_Type.tp_new {
            Some(new) => new(class.as_type_ptr(), PyTuple::empty(py).as_ptr(), std::ptr::null_mut()),
            None => std::ptr::null_mut(),
        };
        Bound::from_owned_ptr_or_err(py, object)
    }
}

/// The text of a path, if that is written as pathlib would write it: no name is empty or a dot.
fn ordinary<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a str> {
    // Names that are not valid UTF-8 are not ordinary.
    let text = text.to_str().ok()?;
    let names = text.strip_prefix('/').unwrap_or(text);
    let ordinary = text == "/" || names.split('/').all(|name| !name.is_empty() && name != ".");
    ordinary.then_some(text)
}

/// # Safety
/// The object must have a slot at this offset.
unsafe fn place(object: &Bound<'_, PyAny>, offset: Offset) -> *mut *mut ffi::PyObject {
    // SAFETY: guaranteed by the caller.
    unsafe { object.as_ptr().cast::<u8>().offset(offset).cast() }
}

/// # Safety
/// The object must have a slot at this offset.
unsafe fn slot<'py>(object: &Bound<'py, PyAny>, offset: Offset) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the caller's promise; a slot holds a reference or null.
    unsafe { Bound::from_borrowed_ptr_or_opt(object.py(), *place(object, offset)) }
}

impl Slots {
    fn find(py: Python<'_>) -> PyResult<Option<Self>> {
        // Without the interpreter's lock, a slot may change while it is looked at.
        if cfg!(windows) || py.import("sys")?.getattr("abiflags")?.contains("t")? {
            return Ok(None);
        }
        let pure_path = py.import("pathlib")?.getattr("PurePath")?.cast_into::<PyType>()?;
        let offset = |name: &str| pure_path.getattr(name).ok().and_then(|descriptor| offset(&descriptor));
        let source = if py.version_info() >= (3, 12) {
            offset("_raw_paths").map(Source::Arguments)
        } else {
            match (offset("_drv"), offset("_root"), offset("_parts")) {
                (Some(drive), Some(root), Some(parts)) => Some(Source::Parsed { drive, root, parts }),
                _ => None,
            }
        };
        let (Some(text), Some(source)) = (offset("_str"), source) else { return Ok(None) };
        let (plain, directory) = (Mutex::new(None), Mutex::new(None));
        let (new, init) = if matches!(source, Source::Arguments(_)) {
            (pure_path.getattr("__new__")?, pure_path.getattr("__init__")?)
        } else {
            let ours = py.import("rapfiles._native")?;
            (ours.getattr("new_path")?, ours.getattr("init_path")?)
        };
        let (new, init, version) = (new.unbind(), init.unbind(), AtomicU32::new(0));
        Ok(Some(Self { pure_path: pure_path.unbind(), text, source, plain, directory, new, init, version }))
    }

    /// Whether a class leaves it to pathlib, or to what stands for that here, how its paths are made. For one class:
    /// what it was like is known until it changes, and with it its version (`PyType_Modified`).
    fn makes(class: &Bound<'_, PyType>) -> bool {
        let Some(slots) = slots(class.py()) else { return false };
        // SAFETY: the class is alive, and this is only written with the GIL held.
        let version = unsafe { (*class.as_type_ptr()).tp_version_tag };
        if version != 0 && slots.version.load(Ordering::Relaxed) == version {
            return true;
        }
        let inherits =
            |name: &str, function: &Py<PyAny>| class.getattr(name).is_ok_and(|found| found.is(function));
        let inherits = inherits("__new__", &slots.new) && inherits("__init__", &slots.init);
        if inherits {
            // SAFETY: as above. Looking at it has given it a version.
            let version = unsafe { (*class.as_type_ptr()).tp_version_tag };
            slots.version.store(version, Ordering::Relaxed);
        }
        inherits
    }

    /// The parts of what comes before the last name of a path; `None` if it is not ordinary.
    fn parts_of<'py>(&self, py: Python<'py>, directory: &str) -> Option<Bound<'py, PyTuple>> {
        let last = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.text == directory) {
            return Some(last.parts.clone_ref(py).into_bound(py));
        }
        // Making objects may run Python code.
        drop(last);
        let names = directory.strip_prefix('/').unwrap_or(directory);
        let anchor = (names.len() < directory.len()).then(|| intern!(py, "/").clone());
        let names = names.split_terminator('/');
        if names.clone().any(|name| name.is_empty() || name == ".") {
            return None;
        }
        let parts = anchor.into_iter().chain(names.map(|name| PyString::intern(py, name)));
        let parts = PyTuple::new(py, parts.collect::<Vec<_>>()).ok()?;
        let new = Directory { text: directory.to_owned(), parts: parts.clone().unbind() };
        let mut last = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(new);
        drop(last);
        drop(before.map(|before| before.parts.into_bound(py)));
        Some(parts)
    }

    /// Whether a class makes the text of its paths as `PurePath` does.
    fn is_plain(&self, class: &Bound<'_, PyType>) -> bool {
        let plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if plain.as_ref().is_some_and(|plain| plain.is(class)) {
            return true;
        }
        // Looking at a class may run Python code.
        drop(plain);
        let pure_path = self.pure_path.bind(class.py());
        let inherits =
            |name: &str| -> PyResult<bool> { Ok(class.getattr(name)?.is(&pure_path.getattr(name)?)) };
        let usual = class.is_subclass(pure_path).unwrap_or(false)
            && inherits("__fspath__").unwrap_or(false)
            && inherits("__str__").unwrap_or(false);
        if usual {
            let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
            let before = plain.replace(class.clone().unbind());
            drop(plain);
            drop(before);
        }
        usual
    }
}

/// The place of a slot in an instance, if this is the descriptor of one.
fn offset(descriptor: &Bound<'_, PyAny>) -> Option<Offset> {
    // SAFETY: the type object of slots' descriptors is always there.
    let is_member = unsafe { ffi::Py_TYPE(descriptor.as_ptr()) == &raw mut ffi::PyMemberDescr_Type };
    if !is_member {
        return None;
    }
    let descriptor = descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
    // SAFETY: the type was looked at, and a descriptor points to its definition for as long as its class exists.
    let member = unsafe { &*(*descriptor).d_member };
    (member.type_code == ffi::Py_T_OBJECT_EX).then_some(member.offset)
}
