//! The binding: extracts arguments, submits, converts. All decisions are made by the engine or the Python package.

mod alarm;
mod arguments;
mod dir_entry;
mod engine;
mod errors;
mod event_loop;
mod fairness;
mod find;
mod functions;
mod glob;
mod handle;
mod joining;
mod large_read;
mod limits;
mod listing;
mod lock;
mod next_item;
mod once;
mod operation;
mod path_work;
mod pending;
mod port;
mod pure_path;
mod references;
mod reports;
mod results;
mod scandir;
mod selection;
mod stat_result;
mod stop_iteration;
mod stream;
mod tree_arguments;
mod trio;
mod usage;
mod walk;

/// The native module of rapfiles; private.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::dir_entry::DirEntry;
    #[pymodule_export]
    use crate::engine::{configuration, configure, inspect, panic_in_worker, stats};
    #[pymodule_export]
    use crate::find::find;
    #[pymodule_export]
    use crate::functions::access::{access, chmod};
    #[pymodule_export]
    use crate::functions::atomic::{commit, discard, open_atomically};
    #[pymodule_export]
    use crate::functions::copy::{copy, copy_reports};
    #[pymodule_export]
    use crate::functions::directory::{mkdir, rmdir};
    #[pymodule_export]
    use crate::functions::entry::{touch, unlink, utime};
    #[pymodule_export]
    use crate::functions::home::home_directory;
    #[pymodule_export]
    use crate::functions::link::{link, readlink, symlink};
    #[pymodule_export]
    use crate::functions::metadata::{is_junction, is_mount, is_type, lstat, samefile, stat, statvfs};
    #[pymodule_export]
    use crate::functions::open::{adopt_descriptor, in_trio_task, new_handle, open_file};
    #[pymodule_export]
    use crate::functions::opening::Opening;
    #[pymodule_export]
    use crate::functions::ownership::{chown, group, owner};
    #[pymodule_export]
    use crate::functions::read::{read_bytes, read_text};
    #[pymodule_export]
    use crate::functions::remove_tree::{remove, remove_reports, remove_tree, remove_tree_here};
    #[pymodule_export]
    use crate::functions::rename::{exchange, rename, replace, synchronise};
    #[pymodule_export]
    use crate::functions::resolve::resolve;
    #[pymodule_export]
    use crate::functions::transaction::{Transaction, begin_transaction, recover};
    #[pymodule_export]
    use crate::functions::write::{
        append_bytes_durably, append_text_durably, truncate, write_bytes, write_bytes_atomically, write_text,
        write_text_atomically,
    };
    #[pymodule_export]
    use crate::functions::xattr::{getxattr, listxattr, removexattr, setxattr};
    #[pymodule_export]
    use crate::glob::glob;
    #[pymodule_export]
    use crate::handle::buffered::BufferedFile;
    #[pymodule_export]
    use crate::handle::open_file::{OpenFile, finish_closing, take_descriptor};
    #[pymodule_export]
    use crate::handle::raw::RawFile;
    #[pymodule_export]
    use crate::handle::text_file::{Counter, TextFile};
    #[pymodule_export]
    use crate::joining::Joining;
    #[pymodule_export]
    use crate::listing::{children, list_directory};
    #[pymodule_export]
    use crate::lock::{Lock, holds_lock, holds_locks};
    #[pymodule_export]
    use crate::next_item::set_next_slot;
    #[pymodule_export]
    use crate::operation::{Operation, checkpoint};
    #[pymodule_export]
    use crate::port::Completions;
    #[pymodule_export]
    use crate::pure_path::{construct_natively, init_path, new_path};
    #[pymodule_export]
    use crate::results::{Opened, Staged};
    #[pymodule_export]
    use crate::scandir::scan;
    #[pymodule_export]
    use crate::selection::Selection;
    #[pymodule_export]
    use crate::stream::{Source, Stream};
    #[pymodule_export]
    use crate::usage::{usage, usage_reports};
    #[pymodule_export]
    use crate::walk::walk;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        refuse_subinterpreter()?;
        crate::operation::set_slots(module.py());
        crate::operation::make_free_list(module.py())?;
        module.add("__version__", python_version())
    }

    /// Since Python 3.12 the interpreter itself refuses, with this message
    /// (`_PyImport_CheckSubinterpIncompatibleExtensionAllowed`
    /// in Python/import.c); before, the first operation would hang.
    fn refuse_subinterpreter() -> PyResult<()> {
        // SAFETY: a module is being initialised, so the thread is attached to an interpreter.
        let is_main = unsafe { pyo3::ffi::PyInterpreterState_Get() == pyo3::ffi::PyInterpreterState_Main() };
        if is_main {
            return Ok(());
        }
        Err(pyo3::exceptions::PyImportError::new_err(
            "module rapfiles._native does not support loading in subinterpreters",
        ))
    }

    /// Cargo's version as PEP 440 spells it.
    fn python_version() -> String {
        env!("CARGO_PKG_VERSION").replace("-alpha.", "a").replace("-beta.", "b").replace("-rc.", "rc")
    }
}
