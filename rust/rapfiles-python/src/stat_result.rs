//! `os.stat_result`: creating real ones, with all fields of this platform.

use std::sync::Mutex;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyType};
use rapfiles_core::{Metadata, Timestamp};

use crate::once::Once;

/// The field at one position of the structure.
#[derive(Debug, Clone, Copy)]
enum Field {
    Mode,
    Inode,
    ShortInode,
    Device,
    ShortDevice,
    Links,
    User,
    Group,
    Size,
    Seconds(Time),
    Float(Time),
    Nanoseconds(Time),
    BlockSize,
    Blocks,
    SpecialDevice,
    Flags,
    Generation,
    FileAttributes,
    ReparseTag,
    Other,
}

#[derive(Debug, Clone, Copy)]
enum Time {
    Accessed,
    Modified,
    Changed,
    Born,
}

impl Field {
    fn named(name: &str) -> Self {
        match name {
            "st_mode" => Self::Mode,
            "st_ino" => Self::Inode,
            "st_dev" => Self::Device,
            "st_nlink" => Self::Links,
            "st_uid" => Self::User,
            "st_gid" => Self::Group,
            "st_size" => Self::Size,
            "st_atime" => Self::Float(Time::Accessed),
            "st_mtime" => Self::Float(Time::Modified),
            "st_ctime" => Self::Float(Time::Changed),
            "st_birthtime" => Self::Float(Time::Born),
            "st_atime_ns" => Self::Nanoseconds(Time::Accessed),
            "st_mtime_ns" => Self::Nanoseconds(Time::Modified),
            "st_ctime_ns" => Self::Nanoseconds(Time::Changed),
            "st_birthtime_ns" => Self::Nanoseconds(Time::Born),
            "st_blksize" => Self::BlockSize,
            "st_blocks" => Self::Blocks,
            "st_rdev" => Self::SpecialDevice,
            "st_flags" => Self::Flags,
            "st_gen" => Self::Generation,
            "st_file_attributes" => Self::FileAttributes,
            "st_reparse_tag" => Self::ReparseTag,
            _ => Self::Other,
        }
    }

    /// The number of a field that is often the same for one file after another: they share a device, an owner, permissions
    /// and the second in which they were written. Integers of any sign, as bits.
    fn often_the_same(self, metadata: &Metadata) -> Option<u64> {
        Some(match self {
            Self::Mode => metadata.mode.into(),
            Self::Device => metadata.device,
            Self::Links => metadata.links,
            Self::User => metadata.user.into(),
            Self::Group => metadata.group.into(),
            Self::BlockSize => metadata.block_size,
            Self::SpecialDevice => metadata.special_device,
            Self::Seconds(time) => point(time, metadata).seconds as u64,
            _ => return None,
        })
    }

    /// Which time it is, and the number of its form.
    fn time(self) -> Option<(usize, Time)> {
        match self {
            Self::Seconds(time) => Some((0, time)),
            Self::Float(time) => Some((1, time)),
            Self::Nanoseconds(time) => Some((2, time)),
            _ => None,
        }
    }
}

/// A number and its object.
type Last = Option<(u64, Py<PyAny>)>;

struct Layout {
    kind: Py<PyType>,
    fields: Vec<Field>,
    /// The last number in each field that is [often the same](Field::often_the_same), and its object.
    last: Mutex<Vec<Last>>,
}

static LAYOUT: Once<Layout> = Once::new();

/// The positions of this Python's structure. The type lists its named fields in order; after the first seven come three
/// unnamed ones, the times in whole seconds (`stat_result_fields` in CPython's Modules/posixmodule.c).
fn layout(py: Python<'_>) -> PyResult<&'static Layout> {
    LAYOUT.get_or_try_init(py, || {
        let kind = py.import("os")?.getattr("stat_result")?.cast_into::<PyType>()?;
        let descriptor = py.import("types")?.getattr("MemberDescriptorType")?;
        let members = kind.getattr("__dict__")?.call_method0("items")?;
        let short_numbers = cfg!(windows) && py.version_info() < (3, 12);
        let mut fields = Vec::new();
        for member in members.try_iter()? {
            let (name, value): (String, Bound<'_, PyAny>) = member?.extract()?;
            if value.is_instance(&descriptor)? {
                fields.push(match Field::named(&name) {
                    // Windows' numbers were shorter up to Python 3.11.
                    Field::Inode if short_numbers => Field::ShortInode,
                    Field::Device if short_numbers => Field::ShortDevice,
                    field => field,
                });
            }
        }
        let seconds = [Time::Accessed, Time::Modified, Time::Changed].map(Field::Seconds);
        fields.splice(7..7, seconds);
        let last = fields.iter().map(|_| None).collect();
        Ok(Layout { kind: kind.unbind(), fields, last: Mutex::new(last) })
    })
}

/// A real `os.stat_result`.
pub(crate) fn build(py: Python<'_>, metadata: &Metadata) -> PyResult<Py<PyAny>> {
    let layout = layout(py)?;
    let kind = layout.kind.bind(py).as_type_ptr();
    // SAFETY: the type is a struct sequence, and the result is a new reference or null with an exception set.
    let result = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyStructSequence_New(kind)) }?;
    // Times are often equal, and then share their numbers. The last one in each form:
    let mut last: [Option<(Timestamp, Bound<'_, PyAny>)>; 3] = [const { None }; 3];
    // Without the GIL, another thread may have it, and sharing numbers between threads would make both slower.
    let mut numbers = if cfg!(Py_GIL_DISABLED) { None } else { layout.last.try_lock().ok() };
    for (position, field) in layout.fields.iter().enumerate() {
        let same = numbers.as_mut().and_then(|numbers| Some((field.often_the_same(metadata)?, numbers)));
        let value = match (field.time(), same) {
            (_, Some((number, numbers))) => match &numbers[position] {
                Some((before, same)) if *before == number => same.bind(py).clone(),
                _ => {
                    let value = value(py, *field, metadata)?;
                    numbers[position] = Some((number, value.clone().unbind()));
                    value
                }
            },
            (None, None) => value(py, *field, metadata)?,
            (Some((form, time)), None) => {
                let time = point(time, metadata);
                match &last[form] {
                    Some((before, same)) if *before == time => same.clone(),
                    _ => {
                        let value = value(py, *field, metadata)?;
                        last[form] = Some((time, value.clone()));
                        value
                    }
                }
            }
        };
        // SAFETY: the sequence is new, the position is one of its own, and the reference is handed over.
        unsafe {
            ffi::PyStructSequence_SetItem(result.as_ptr(), position as ffi::Py_ssize_t, value.into_ptr())
        };
    }
    Ok(result.unbind())
}

fn value<'py>(py: Python<'py>, field: Field, metadata: &Metadata) -> PyResult<Bound<'py, PyAny>> {
    let integer = |value: u64| PyInt::new(py, value).into_any();
    Ok(match field {
        Field::Mode => integer(metadata.mode.into()),
        Field::Inode => match u64::try_from(metadata.inode) {
            Ok(inode) => integer(inode),
            Err(_) => metadata.inode.into_pyobject(py)?.into_any(),
        },
        Field::ShortInode => integer(metadata.inode as u64),
        Field::Device => integer(metadata.device),
        Field::ShortDevice => integer(u64::from(metadata.device as u32)),
        Field::Links => integer(metadata.links),
        Field::User => integer(metadata.user.into()),
        Field::Group => integer(metadata.group.into()),
        Field::Size => integer(metadata.size),
        Field::Seconds(time) => PyInt::new(py, point(time, metadata).seconds).into_any(),
        Field::Float(time) => {
            let Timestamp { seconds, nanoseconds } = point(time, metadata);
            PyFloat::new(py, seconds as f64 + 1e-9 * f64::from(nanoseconds)).into_any()
        }
        Field::Nanoseconds(time) => {
            let Timestamp { seconds, nanoseconds } = point(time, metadata);
            match seconds.checked_mul(1_000_000_000).and_then(|total| total.checked_add(nanoseconds.into())) {
                Some(total) => PyInt::new(py, total).into_any(),
                None => (i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))
                    .into_pyobject(py)?
                    .into_any(),
            }
        }
        Field::BlockSize => integer(metadata.block_size),
        Field::Blocks => integer(metadata.blocks),
        Field::SpecialDevice => integer(metadata.special_device),
        Field::Flags => integer(metadata.flags.into()),
        Field::Generation => integer(metadata.generation.into()),
        Field::FileAttributes => integer(metadata.file_attributes.into()),
        Field::ReparseTag => integer(metadata.reparse_tag.into()),
        Field::Other => py.None().into_bound(py),
    })
}

fn point(time: Time, metadata: &Metadata) -> Timestamp {
    match time {
        Time::Accessed => metadata.accessed,
        Time::Modified => metadata.modified,
        Time::Changed => metadata.changed,
        Time::Born => metadata.born.unwrap_or_default(),
    }
}
