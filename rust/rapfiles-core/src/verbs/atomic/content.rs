//! The wait for a file's content, before what makes it count: its name, or the commit point of a transaction.

use std::io;

use crate::platform::{self, File};

/// Waits until a file's content is sure to be there with whatever is changed after this. `ordered`: the file system keeps
/// the order of changes ([`platform::keeps_order`]), so that it suffices to have given the content to the device.
///
/// Never a second time: after a failure the kernel marks the pages clean, so another call would succeed without writing
/// anything (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
pub(crate) fn synchronise_content(file: &File, ordered: bool, data_only: bool) -> io::Result<()> {
    match ordered {
        true => platform::write_back(file),
        false => platform::synchronise(file, data_only),
    }
}
