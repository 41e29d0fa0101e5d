//! Reading and writing an open file and its buffers with system calls that may block: the building blocks of workers'
//! tasks.

use std::io;

use super::reader::{Filled, Reader, no_memory};
use super::writer::{Rest, Writer};
use crate::limits::POSITIONAL_FIRST;
use crate::platform::{self, File};
use crate::text::parallel;

/// How many bytes a regular file has from its position on.
pub(super) fn left_in(file: &File) -> io::Result<usize> {
    let position = platform::seek(file, 0, platform::FROM_HERE)?;
    let length = platform::length_of(file)?;
    usize::try_from(length.saturating_sub(position)).map_err(|_| no_memory())
}

/// Moves the file's position back to where the user is, and forgets what was read ahead.
pub(super) fn rewind(file: &File, reader: &mut Reader) -> io::Result<()> {
    if reader.len() > 0 {
        platform::seek(file, -(reader.len() as i64), platform::FROM_HERE)?;
    }
    reader.clear();
    Ok(())
}

/// The user's position. `unwritten`: the bytes that are still to be written; `rewind`: those that were read ahead when
/// writing began.
pub(super) fn position(file: &File, reader: &Reader, unwritten: u64, rewind: u64) -> io::Result<u64> {
    let position = platform::seek(file, 0, platform::FROM_HERE)?;
    Ok((position + unwritten).saturating_sub(reader.len() as u64 + rewind))
}

/// Moves the user's position; within the read-ahead without moving the file's position.
pub(super) fn seek(file: &File, reader: &mut Reader, mut offset: i64, whence: i32) -> io::Result<u64> {
    let ahead = reader.len() as i64;
    if whence == platform::FROM_START || whence == platform::FROM_HERE {
        let position = platform::seek(file, 0, platform::FROM_HERE)? as i64;
        let target = if whence == platform::FROM_HERE { position - ahead + offset } else { offset };
        if reader.move_by(target - (position - ahead)) {
            return Ok(target as u64);
        }
    }
    if whence == platform::FROM_HERE {
        offset -= ahead;
    }
    let position = platform::seek(file, offset, whence)?;
    reader.restart();
    Ok(position)
}

/// Fills the buffer: the number of valid bytes, and the content beyond it; on failure, the number of valid bytes and
/// the error.
pub(super) fn read_into(
    file: &File,
    buffer: &mut [u8],
    have: usize,
    to_end: bool,
) -> Result<(usize, Vec<u8>), (usize, io::Error)> {
    let mut length = have;
    while length < buffer.len() {
        let rest = &mut buffer[length..];
        // SAFETY: the slice is as long as it says.
        match unsafe { platform::read(file, rest.as_mut_ptr(), rest.len()) } {
            Ok(0) => return Ok((length, Vec::new())),
            Ok(read) => length += read,
            Err(error) if platform::would_block(&error) && length > 0 => return Ok((length, Vec::new())),
            Err(error) => return Err((length, error)),
        }
    }
    let mut tail = Vec::new();
    if to_end {
        platform::read_to_end(file, &mut tail, None).map_err(|error| (length, error))?;
    }
    Ok((length, tail))
}

/// The read-ahead and the rest of the file; `None` if waiting for it was interrupted.
pub(super) fn read_rest(
    file: &File,
    reader: &mut Reader,
    signal: Option<&platform::EventSignal>,
) -> io::Result<Option<Vec<u8>>> {
    if signal.is_some() {
        let filled = reader.read_ahead(file, usize::MAX, false, signal)?;
        if filled == Filled::Interrupted {
            return Ok(None);
        }
    }
    let mut rest = Vec::new();
    let left = if signal.is_none() { left_in(file).unwrap_or(0) } else { 0 };
    rest.try_reserve_exact(reader.len() + left + 1)?;
    rest.extend_from_slice(reader.available());
    reader.clear();
    if signal.is_none() {
        read_large(file, &mut rest, left)?;
        platform::read_to_end(file, &mut rest, None)?;
    }
    Ok(Some(rest))
}

/// Reads the rest of a large regular file with several threads, up to `left` bytes.
pub(super) fn read_large(file: &File, rest: &mut Vec<u8>, left: usize) -> io::Result<()> {
    let parts = parallel::parts(left);
    if parts == 1 {
        return Ok(());
    }
    struct Start(*mut u8);
    // SAFETY: each thread writes to a place of its own.
    unsafe impl Sync for Start {}
    let position = platform::seek(file, 0, platform::FROM_HERE)?;
    let start = Start(rest.spare_capacity_mut().as_mut_ptr().cast());
    let start = &start;
    let size = left.div_ceil(parts);
    let read = parallel::for_each_part(parts, |part| {
        let (from, to) = (part * size, ((part + 1) * size).min(left));
        let mut at = from;
        while at < to {
            // SAFETY: within the spare capacity, and this part of it belongs to this thread alone.
            let room = unsafe { std::slice::from_raw_parts_mut(start.0.add(at), to - at) };
            match platform::read_at(file, room, position + at as u64) {
                Ok(0) => break,
                Ok(count) => at += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Reading again in order finds the error.
                Err(_) => break,
            }
        }
        at - from == to - from
    });
    let complete = read.iter().take_while(|complete| **complete).count();
    let length = (complete * size).min(left);
    // SAFETY: that much has been read.
    unsafe { rest.set_len(rest.len() + length) };
    platform::seek(file, length as i64, platform::FROM_HERE).map(drop)
}

/// Writes everything at the file's position. An error includes how much was written before.
pub(super) fn write_all(file: &File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match platform::write(file, &bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if platform::would_block(&error) => {
                platform::wait_to_write(file).map_err(|error| (written, error))?;
            }
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// Moves back by the read-ahead, and writes everything: how much was written, and the error.
pub(super) fn write_out(file: &File, rewind: &mut u64, bytes: &[u8]) -> (usize, io::Result<()>) {
    if *rewind > 0 {
        if let Err(error) = platform::seek(file, -(*rewind as i64), platform::FROM_HERE) {
            return (0, Err(error));
        }
        *rewind = 0;
    }
    match write_all(file, bytes) {
        Ok(()) => (bytes.len(), Ok(())),
        Err((written, error)) => (written, Err(error)),
    }
}

/// Writes the write buffer in this thread.
pub(super) fn drain(file: &File, writer: &mut Writer) -> io::Result<()> {
    while let Some(piece) = writer.take() {
        let (written, result) = write_out(file, &mut writer.rewind, piece.bytes());
        writer.give_back(Rest::of(piece, written));
        result?;
    }
    Ok(())
}

/// Truncates the file; `None`: at the position.
pub(super) fn truncate(file: &File, reader: &mut Reader, length: Option<i64>) -> io::Result<u64> {
    rewind(file, reader)?;
    let length = match length {
        Some(length) => length,
        None => platform::seek(file, 0, platform::FROM_HERE)? as i64,
    };
    platform::set_length(file, length)?;
    Ok(length as u64)
}

pub(super) fn read_at(file: &File, size: usize, offset: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    while content.len() < size {
        let have = content.len();
        content.try_reserve((size - have).min(POSITIONAL_FIRST.max(have)))?;
        content.resize(content.capacity().min(size), 0);
        match platform::read_at(file, &mut content[have..], offset + have as u64) {
            Ok(0) => {
                content.truncate(have);
                break;
            }
            Ok(read) => content.truncate(have + read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => content.truncate(have),
            Err(error) => return Err(error),
        }
    }
    Ok(content)
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<u64> {
    let mut written = 0;
    while written < bytes.len() {
        match platform::write_at(file, &bytes[written..], offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written as u64)
}
