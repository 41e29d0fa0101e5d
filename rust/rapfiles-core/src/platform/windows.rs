//! The system calls of Windows, with the meaning that CPython gives them.

mod access;
mod copying;
mod descriptor;
mod directory;
mod entry;
mod errors;
mod event;
mod file;
mod handle;
mod lexical;
mod link;
mod locking;
mod metadata;
mod mount;
mod native_path;
mod resolve;
mod unsupported;

pub(crate) use access::{access, change_mode, set_times};
pub(crate) use copying::{
    begin_to_write_back, clone_content, copy_access_list_of, copy_attributes, copy_flags, copy_range,
    copy_whole, keeps_order, next_data, remove_access_lists, reserve, reserve_after, send, set_file_mode,
    set_file_owner, set_file_times, synchronise_directory, write_back,
};
pub(crate) use descriptor::{
    FROM_END, FROM_HERE, FROM_START, adopt, appends, descriptor, duplicate, into_descriptor, is_terminal,
    only_reads, open_file, read, seek, set_blocking, set_length, synchronise, wait_to_read, wait_to_write,
    would_block, write, write_at,
};
pub(crate) use directory::{
    Directory, DirectoryReader, LINKS_LOOP, LONGEST_PATH, PATH_TOO_LONG, clear_flags, codes, entry_name,
    file_name, is_no_directory, is_not_empty, is_own, is_refused, is_unable, joined, lacks_descriptors,
    make_directory, most_descriptors, name_bytes, native_name, native_path, random_name, remove_directory,
};
pub(crate) use entry::{RENAMES_OPEN_FILES, rename, unlink};
pub(crate) use errors::{BAD_DESCRIPTOR, EIO, IS_A_DIRECTORY, NO_THREAD, is_not_found, means_missing};
pub use event::EventSignal;
pub(crate) use file::{
    close, create, length_of, open_to_append, open_to_read, open_to_replace, read_at, read_to_end, truncate,
    write_all,
};
pub(crate) use link::{link, read_link, symlink};
pub(crate) use locking::{
    convert_lock, file_lock_holder, is_lost_by_converting, open_lock_file, range_holder, try_lock, unlock,
    wait_for_lock,
};
pub(crate) use metadata::{is_junction, metadata, metadata_of};
pub(crate) use mount::is_mount;
pub use native_path::NativePath;
pub(crate) use native_path::parent;
pub(crate) use resolve::resolve;
pub(crate) use unsupported::{
    account_id, account_name, at_fork, change_owner, close_inherited, expect_large_use, expect_small_use,
    get_attribute, home_directory, inheritable_descriptor, keep_freed_memory, list_attributes,
    remove_attribute, set_attribute, statvfs, with_signals_blocked,
};
