//! Copying a file into the log.

use std::io;

use super::staged::{Staged, each_piece, file_name};
use crate::platform::{self, Directory, File};

/// Adds the content of a file to staged content.
pub(super) fn copy(source: &File, staged: &mut Staged, log: &Directory) -> io::Result<()> {
    // Some file systems can share it.
    if staged.size() == 0
        && let Some(file) = staged.file()
        && platform::clone_content(source, file).is_ok()
    {
        let shared = Directory::open_to_read(&file_name(staged.number)?, Some(log), false)?;
        each_piece(&shared, 0, |piece, _| {
            staged.add(piece);
            Ok(())
        })?;
        return staged.seek_to_end();
    }
    each_piece(source, 0, |piece, _| staged.write(log, piece)).map(drop)
}
