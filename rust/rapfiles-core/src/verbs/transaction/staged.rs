//! Staged content: files of a log, numbered.

use std::io;

use crate::platform::{self, Directory, File, NativePath};

/// The permissions of a new file, before the umask. The directory of the log is private.
const NEW: u32 = 0o666;

/// How much content there is, and its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) hash: blake3::Hash,
}

/// A file of a log, and the content that was written to it.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) number: u64,
    /// Open until it is synchronised: an error that the kernel has found in writing back is reported to those who had
    /// the file open then.
    file: Option<File>,
    size: u64,
    hasher: blake3::Hasher,
    /// There is more in the file, which could not be removed.
    broken: bool,
}

/// The name of a staged file in its log.
pub(super) fn file_name(number: u64) -> io::Result<NativePath> {
    platform::entry_name(number.to_string().as_bytes())
}

impl Staged {
    /// Creates an empty one.
    pub(super) fn create(log: &Directory, number: u64) -> io::Result<Self> {
        let file = log.create(&file_name(number)?, NEW)?;
        Ok(Self { number, file: Some(file), size: 0, hasher: blake3::Hasher::new(), broken: false })
    }

    /// Adds content to its end.
    pub(super) fn write(&mut self, log: &Directory, content: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(log.open_to_overwrite(&file_name(self.number)?)?);
            self.seek_to_end()?;
        }
        if let Some(file) = &self.file
            && let Err(error) = platform::write_all(file, content)
        {
            // A part may have been written.
            self.broken =
                platform::set_length(file, self.size as i64).is_err() || self.seek_to_end().is_err();
            return Err(error);
        }
        self.hasher.update(content);
        self.size += content.len() as u64;
        Ok(())
    }

    /// Goes to where more content is written.
    pub(super) fn seek_to_end(&self) -> io::Result<()> {
        let end = self.size as i64;
        self.file.as_ref().map_or(Ok(()), |file| platform::seek(file, end, platform::FROM_START).map(drop))
    }

    /// Content that was written to the file in another way.
    pub(super) fn add(&mut self, content: &[u8]) {
        self.hasher.update(content);
        self.size += content.len() as u64;
    }

    /// The file, if it is still open.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Begins to write it to the device. `keep`: keep it open until it is synchronised with others.
    pub(super) fn settle(&mut self, keep: bool, durable: bool) -> io::Result<()> {
        match &self.file {
            Some(file) if keep => {
                platform::begin_to_write_back(file);
                Ok(())
            }
            _ => self.synchronise(durable),
        }
    }

    /// Opens it again, if it is not open.
    pub(super) fn reopen(&mut self, log: &Directory) -> io::Result<&File> {
        if self.file.is_none() {
            self.file = Some(log.open_to_overwrite(&file_name(self.number)?)?);
        }
        self.file.as_ref().ok_or_else(|| io::Error::from_raw_os_error(platform::BAD_DESCRIPTOR))
    }

    /// Waits until the device has it, if it is open.
    pub(super) fn synchronise(&mut self, durable: bool) -> io::Result<()> {
        let Some(file) = self.take()? else { return Ok(()) };
        // Never a second time: see `verbs/atomic/content.rs`.
        platform::synchronise(&file, !durable)?;
        platform::close(file)
    }

    /// Hands over the file, if it is open and so has not been synchronised.
    pub(super) fn take(&mut self) -> io::Result<Option<File>> {
        if self.broken {
            return Err(io::Error::from_raw_os_error(platform::EIO));
        }
        Ok(self.file.take())
    }

    /// What was written to it.
    pub(super) fn content(&self) -> Content {
        Content { size: self.size, hash: self.hasher.finalize() }
    }

    /// How much was written to it.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// The content of a file: how much, and its checksum.
pub(super) fn content_of(file: &File) -> io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    let size = each_piece(file, 0, |piece, _| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(Content { size, hash: hasher.finalize() })
}

/// Reads a file from an offset to its end; returns how much that is.
pub(super) fn each_piece(
    file: &File,
    from: u64,
    mut each: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<u64> {
    let mut piece = vec![0; crate::limits::COPY_BUFFER];
    let mut offset = from;
    loop {
        match platform::read_at(file, &mut piece, offset)? {
            0 => return Ok(offset - from),
            count => {
                each(&piece[..count], offset)?;
                offset += count as u64;
            }
        }
    }
}
