//! The target of one file: creating it, and giving it its name when it is complete.

use std::io;
use std::sync::Arc;

use super::copier::Pair;
use crate::platform::{self, File, NativePath, codes};
use crate::verbs::metadata::Metadata;
use crate::verbs::temporary::{Claim, create_temporary, give_name};

/// How a file gets its name when its content is complete.
#[derive(Debug)]
enum Finish {
    /// It existed before, and is written to in place.
    Nothing,
    /// It is new, in a directory with a temporary name.
    Hidden,
    /// It has no name yet.
    Unnamed,
    /// It has this temporary name, and has to be renamed.
    Temporary { name: NativePath, replaces: Option<Box<Metadata>> },
}

/// A file that is being written.
pub(crate) struct Target {
    file: Option<File>,
    name: NativePath,
    inside: Arc<Pair>,
    finish: Finish,
    /// Whether there is nothing to remove.
    finished: bool,
}

impl Target {
    fn new(file: File, name: NativePath, inside: Arc<Pair>, finish: Finish) -> Self {
        Self { file: Some(file), name, inside, finish, finished: false }
    }

    /// An existing file.
    pub(crate) fn in_place(file: File, name: NativePath, inside: Arc<Pair>) -> Self {
        Self::new(file, name, inside, Finish::Nothing)
    }

    /// A new file, in a directory with a temporary name.
    pub(crate) fn hidden(name: NativePath, inside: Arc<Pair>, mode: u32) -> io::Result<Self> {
        let file = inside.target()?.create(&name, mode)?;
        Ok(Self::new(file, name, inside, Finish::Hidden))
    }

    /// A new file, which appears under its name when it is complete. `replaces`: what has the name, and is replaced.
    pub(crate) fn appearing(
        name: NativePath,
        inside: Arc<Pair>,
        mode: u32,
        replaces: Option<Metadata>,
    ) -> io::Result<Self> {
        let directory = inside.target()?;
        if replaces.is_none()
            && let Some(file) = directory.create_unnamed(mode)?
        {
            return Ok(Self::new(file, name, inside, Finish::Unnamed));
        }
        let (temporary, file) = create_temporary(directory, mode)?;
        Ok(Self::new(
            file,
            name,
            inside,
            Finish::Temporary { name: temporary, replaces: replaces.map(Box::new) },
        ))
    }

    /// The file that it replaces, if any.
    pub(crate) fn old(&self) -> Option<&Metadata> {
        match &self.finish {
            Finish::Temporary { replaces, .. } => replaces.as_deref().filter(|old| old.is_regular_file()),
            _ => None,
        }
    }

    pub(crate) fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::from_raw_os_error(platform::BAD_DESCRIPTOR))
    }

    /// Closes the file, whose content and metadata are complete, and gives it its name. `false` if somebody else has
    /// taken the name meanwhile.
    pub(crate) fn finish(&mut self) -> io::Result<bool> {
        let directory = Arc::clone(&self.inside);
        let directory = directory.target()?;
        let Some(file) = self.file.take() else { return Ok(true) };
        let named = match &self.finish {
            Finish::Nothing | Finish::Hidden => Ok(()),
            Finish::Unnamed => directory.name_file(&file, &self.name),
            Finish::Temporary { name, replaces } => {
                let _claim = Claim::keep(&file)?;
                // Some errors are only reported by close(2); an incomplete file must not get the name.
                platform::close(file)?;
                let named = if replaces.is_some() {
                    directory.rename(name, &self.name)
                } else {
                    give_name(directory, name, &self.name)
                };
                return self.is_named(named);
            }
        };
        if self.is_named(named)? { platform::close(file).map(|()| true) } else { Ok(false) }
    }

    fn is_named(&mut self, named: io::Result<()>) -> io::Result<bool> {
        match named {
            Ok(()) => {
                self.finished = true;
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(codes::EXISTS) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let name = match &self.finish {
            Finish::Hidden => &self.name,
            Finish::Temporary { name, .. } => name,
            Finish::Nothing | Finish::Unnamed => return,
        };
        if !self.finished
            && let Ok(directory) = self.inside.target()
        {
            // There is nobody to report an error to.
            let _ = directory.unlink(name);
        }
    }
}
