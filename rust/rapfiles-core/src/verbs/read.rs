//! Reading whole files.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
#[cfg(target_os = "linux")]
use std::time::Instant;

use crate::cached::{MountNumber, Observation, Times};
use crate::engine::Engine;
use crate::engine::lane::Lane;
use crate::error::{About, Error, Subject};
use crate::limits::{COPIED_RESULT, LARGE_FILES_OPEN, READ_FILE_IN_SLICES, READ_IN_SLICES};
use crate::platform::{self, File, NativePath};
use crate::text::{Codec, Newline, Text, decode};
use crate::verbs::metadata::Metadata;
use crate::verbs::slices::{Sliced, Slices};

/// An open file of known size.
///
/// It stays open while the caller allocates a buffer for its content, so that the same file is read. If many are read
/// at once, most are opened again instead: descriptors are scarce.
#[derive(Debug)]
pub struct LargeFile {
    engine: Arc<Engine>,
    path: NativePath,
    file: OnceLock<File>,
    size: usize,
    device: u64,
    counted: bool,
    /// The mount, if tier 0 has opened it.
    mount: Option<MountNumber>,
    times: Times,
    /// Observes whether workers that read it update its access time.
    observation: Option<Observation>,
}

/// Counts a file that stays open; `false` if there are too many.
fn count(engine: &Engine) -> bool {
    let one_more = |open| (open < LARGE_FILES_OPEN).then_some(open + 1);
    engine.large_files.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
}

impl LargeFile {
    fn new(engine: &Engine, path: &NativePath, file: File, size: usize, metadata: &Metadata) -> Self {
        let counted = count(engine);
        Self {
            engine: engine.share(),
            path: path.clone(),
            file: if counted { OnceLock::from(file) } else { OnceLock::new() },
            size,
            device: metadata.device,
            counted,
            mount: None,
            times: Times::default(),
            observation: Observation::begin(metadata),
        }
    }

    /// A file that tier 0 has opened, and may read; `None` if too many are open.
    #[cfg(target_os = "linux")]
    pub(crate) fn at_hand(
        engine: &Engine,
        path: &NativePath,
        file: File,
        size: usize,
        (device, mount): (u64, MountNumber),
        now: Instant,
    ) -> Option<Self> {
        count(engine).then(|| Self {
            engine: engine.share(),
            path: path.clone(),
            file: OnceLock::from(file),
            size,
            device,
            counted: true,
            mount: Some(mount),
            times: Times::settled(Some(now)),
            observation: None,
        })
    }

    /// A read of all of it on the loop, in slices: see [`LargeFile::advance`].
    pub fn slices(&self) -> Slices {
        Slices::new(0, self.size, true)
    }

    /// Reads on the loop until it has to pause. [`Sliced::Missing`] if workers have to read it.
    ///
    /// # Safety
    /// `start` must be valid for writes of `size()` bytes and of one more.
    pub unsafe fn advance(&self, slices: &mut Slices, start: *mut u8) -> Sliced {
        let engine = self.engine.here();
        let most = if engine.configuration().usable_cpus > 1 { READ_FILE_IN_SLICES } else { READ_IN_SLICES };
        match (self.file.get(), self.mount) {
            // SAFETY: guaranteed by the caller.
            (Some(file), Some(mount)) if self.size <= most => unsafe {
                engine.read_slices(file, mount, &self.times, slices, start)
            },
            _ => Sliced::Missing,
        }
    }

    /// The size when it was opened, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The open file. Call in a worker.
    pub(crate) fn file(&self) -> Result<&File, Error> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let (file, _) = open(&self.path)?;
        // If another worker was first, its file is used.
        Ok(self.file.get_or_init(|| file))
    }

    /// Notes that workers have read it.
    pub(crate) fn has_been_read(&self) {
        if let Some((observation, file)) = self.observation.zip(self.file.get()) {
            observation.end(file);
        }
    }

    pub(crate) fn lane(&self) -> Lane {
        Lane::Mount(self.device)
    }
}

impl Drop for LargeFile {
    fn drop(&mut self) {
        if self.counted {
            self.engine.large_files.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(file) = self.file.take() {
            // Closing the last descriptor of a file without a name frees its blocks (`unlink(2)`), which may wait for a
            // journal.
            let named = || platform::metadata_of(&file).is_ok_and(|metadata| metadata.links > 0);
            if self.mount.is_some() && named() {
                drop(file);
            } else {
                self.engine.close(file);
            }
        }
    }
}

/// Opens a file for reading; a directory is refused, as by Python's `open()`.
fn open(path: &NativePath) -> Result<(File, Metadata), Error> {
    let file = platform::open_to_read(path).about_path()?;
    let metadata = platform::metadata_of(&file).about_path()?;
    if metadata.is_directory() {
        return Err(Error::Os { code: platform::IS_A_DIRECTORY, subject: Subject::Path });
    }
    Ok((file, metadata))
}

/// What a file holds.
pub(crate) enum Content {
    /// All of it.
    Whole(Vec<u8>),
    /// It is too large to be read before the caller provides a buffer.
    Large(LargeFile),
}

/// The whole content of a file.
pub(crate) fn read(engine: &Engine, path: &NativePath) -> Result<Content, Error> {
    let (file, metadata) = open(path)?;
    if metadata.is_regular_file()
        && metadata.size > COPIED_RESULT as u64
        && let Ok(size) = usize::try_from(metadata.size)
    {
        return Ok(Content::Large(LargeFile::new(engine, path, file, size, &metadata)));
    }
    let observation = Observation::begin(&metadata);
    let content = read_rest(&file, metadata.size)?;
    if let Some(observation) = observation {
        observation.end(&file);
    }
    Ok(Content::Whole(content))
}

/// The whole content of a file, decoded.
/// The inner error is content that the codec does not decode.
pub(crate) fn read_text(
    path: &NativePath,
    codec: Codec,
    newline: Newline,
) -> Result<Result<Text, Vec<u8>>, Error> {
    let (file, metadata) = open(path)?;
    let observation = Observation::begin(&metadata);
    let content = read_rest(&file, metadata.size)?;
    if let Some(observation) = observation {
        observation.end(&file);
    }
    drop(file);
    Ok(decode(content, codec, newline))
}

fn read_rest(file: &File, size: u64) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    // One byte more than the size, so that the read that finds the end needs no reallocation. If the size cannot be
    // allocated, that is an error, not an abort.
    let room = usize::try_from(size).ok().and_then(|size| size.checked_add(1));
    room.ok_or(())
        .and_then(|room| content.try_reserve_exact(room).map_err(drop))
        .map_err(|()| io::ErrorKind::OutOfMemory.into())
        .and_then(|()| platform::read_to_end(file, &mut content, None))
        .about(Subject::Nothing)?;
    Ok(content)
}
