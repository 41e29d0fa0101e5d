//! Copying the content of a file: by the best method of the file system, a bounded piece with each step.

use std::io;

use crate::engine::stream::Slice;
use crate::limits::{COPY_BUFFER, COPY_PIECE, COPY_SMALL};
use crate::platform::{self, File, is_unable};
use crate::verbs::metadata::Metadata;

/// The unit of `st_blocks`, whatever the file system's own is: see stat(2).
const BLOCK: u64 = 512;

/// The methods of copying content, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Shared until one of the files is changed (`FICLONE`, `ioctl_ficlone(2)`).
    Clone,
    /// Within the file system.
    Range,
    /// Within the kernel.
    Send,
    /// Through this process's memory.
    Buffer,
}

/// The copying of a file's content.
#[derive(Debug)]
pub(crate) struct Transfer {
    way: Way,
    size: u64,
    sparse: bool,
    /// Everything before this has been copied.
    at: u64,
    /// The end of the part that is being copied, which is followed by a hole or by the end.
    until: u64,
    /// Whether the current method has copied something.
    works: bool,
    buffer: Vec<u8>,
}

/// The result of trying one method.
enum Piece {
    /// The rest, after which there is nothing.
    Last(u64),
    Copied(u64),
    End,
    Unable,
}

impl Transfer {
    /// The copying of a file. `clones`: whether the file system may know how to share content.
    pub(crate) fn new(metadata: &Metadata, clones: bool) -> Self {
        let size = metadata.size;
        // Files that report a size of 0 may have content, as in /proc.
        let way = match size {
            0 => Way::Buffer,
            _ if clones => Way::Clone,
            size => Self::after_clone(size),
        };
        // ZFS has reported holes where there are none, in files that are not sparse: holes are only searched where
        // there must be some (openzfs/zfs#15526).
        let sparse = metadata.blocks.saturating_mul(BLOCK) < size;
        Self { way, size, sparse, at: 0, until: 0, works: false, buffer: Vec::new() }
    }

    fn after_clone(size: u64) -> Way {
        if size <= COPY_SMALL { Way::Buffer } else { Way::Range }
    }

    /// Starts again, for another target.
    pub(crate) fn restart(&mut self) {
        self.at = 0;
        self.until = 0;
        self.works = false;
    }

    /// Whether the files turned out not to be able to share content.
    pub(crate) fn could_not_clone(&self) -> bool {
        self.size > 0 && self.way != Way::Clone
    }

    /// Copies until everything is there, `true`, or the slice is over. `count` is told of each piece; holes count as
    /// what they are read as.
    pub(crate) fn go_on(
        &mut self,
        source: &File,
        target: &File,
        slice: &Slice<'_>,
        count: impl Fn(u64),
    ) -> io::Result<bool> {
        if self.way == Way::Clone {
            if platform::clone_content(source, target).is_ok() {
                count(self.size);
                return Ok(true);
            }
            self.way = Self::after_clone(self.size);
        }
        loop {
            if self.at == self.until {
                let before = self.at;
                if !self.next_extent(source)? {
                    platform::set_length(target, i64::try_from(self.size).unwrap_or(i64::MAX))?;
                    count(self.size.saturating_sub(before));
                    return Ok(true);
                }
                count(self.at.saturating_sub(before));
            }
            match self.copy(source, target)? {
                Piece::Copied(copied) => {
                    self.works = true;
                    self.at += copied;
                    count(copied);
                }
                Piece::Last(copied) => {
                    self.at += copied;
                    count(copied);
                    return Ok(true);
                }
                Piece::End if self.sparse => {
                    // It has shrunk meanwhile; its end is a hole of the target's, as if it had been cut a little later.
                    self.size = self.size.min(self.at);
                    self.until = self.at;
                }
                Piece::End => return Ok(true),
                Piece::Unable => {
                    self.way = if self.way == Way::Range { Way::Send } else { Way::Buffer };
                }
            }
            if slice.is_over() {
                return Ok(false);
            }
        }
    }

    /// Moves to the next part that is not a hole; `false` if there is none.
    fn next_extent(&mut self, source: &File) -> io::Result<bool> {
        if !self.sparse {
            self.until = u64::MAX;
            return Ok(true);
        }
        if self.at >= self.size {
            return Ok(false);
        }
        match platform::next_data(source, self.at) {
            Ok(Some((start, end))) if start < self.size => {
                (self.at, self.until) = (start, end.min(self.size));
                Ok(true)
            }
            Ok(_) => Ok(false),
            // The file system does not support that.
            Err(error) if error.raw_os_error().is_some_and(is_unable) => {
                self.sparse = false;
                self.until = u64::MAX;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    fn copy(&mut self, source: &File, target: &File) -> io::Result<Piece> {
        let most = (self.until - self.at).min(COPY_PIECE) as usize;
        let copied = match self.way {
            Way::Range => platform::copy_range(source, target, self.at, most),
            Way::Send => platform::send(source, target, self.at, most),
            Way::Clone | Way::Buffer => return self.copy_through_memory(source, target),
        };
        match copied {
            // Files of /proc and of some FUSE file systems have content that only read(2) gives.
            Ok(0) if self.at < self.size && !self.works => Ok(Piece::Unable),
            Ok(0) => Ok(Piece::End),
            Ok(copied) => Ok(Piece::Copied(copied as u64)),
            Err(error) if !self.works && error.raw_os_error().is_some_and(is_unable) => Ok(Piece::Unable),
            Err(error) => Err(error),
        }
    }

    fn copy_through_memory(&mut self, source: &File, target: &File) -> io::Result<Piece> {
        let rest = self.until - self.at;
        // With one byte more than it has, a file that has not grown is known to be at its end.
        let room =
            if self.size > 0 && self.size <= COPY_SMALL { self.size as usize + 1 } else { COPY_BUFFER };
        if self.buffer.is_empty() {
            self.buffer.try_reserve_exact(room)?;
            self.buffer.resize(room, 0);
        }
        let most = self.buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        let read = platform::read_at(source, &mut self.buffer[..most], self.at)?;
        let mut written = 0;
        while written < read {
            match platform::write_at(target, &self.buffer[written..read], self.at + written as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => written += count,
            }
        }
        Ok(match read as u64 {
            0 => Piece::End,
            read if read < most as u64 && !self.sparse && self.at + read == self.size => Piece::Last(read),
            read => Piece::Copied(read),
        })
    }
}
