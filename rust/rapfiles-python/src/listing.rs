//! The names in a directory and the paths of its children, created in small lots so that no step blocks the loop for
//! long.

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Block, Engine, NativePath, Progress, ReadDirectory, Single, Stream, Ticket};

use crate::arguments::PathArgument;
use crate::dir_entry::{self, spelled};
use crate::errors::{self, Names};
use crate::limits::{MOST_MADE_AHEAD, NAMES_AT_ONCE, PATHS_AT_ONCE};
use crate::operation::{Operation, Work};
use crate::pure_path::{Children, known_types};
use crate::stream::{Items, Manners, Source, WholeWork};

/// What to create from a name.
enum Maker {
    /// A string.
    Name,
    /// The child of a directory. `plain`: whether its class leaves to pathlib how paths are made.
    Child { directory: Py<PyAny>, prefix: Py<PyString>, plain: bool },
}

/// The content of a directory, converted for Python.
///
/// As in pathlib, nothing is handed out before the directory has been read to its end: renaming or removing entries
/// during the iteration does not affect it. But paths are created while workers continue to read.
struct ListingItems {
    stream: Stream<Single<ReadDirectory>>,
    names: Names,
    maker: Maker,
    blocks: VecDeque<Block>,
    /// How many of the first block have been converted.
    at: usize,
    /// Objects that were created before the end was read.
    held: VecDeque<Vec<Py<PyAny>>>,
    whole: bool,
}

impl ListingItems {
    fn new(path: PathArgument<'_>, native: NativePath, maker: Maker) -> Self {
        Self {
            stream: Engine::current().list(native),
            names: Names::one(path.name()),
            maker,
            blocks: VecDeque::new(),
            at: 0,
            held: VecDeque::new(),
            whole: false,
        }
    }

    /// Creates the next few; none if there are no more names.
    fn make_lot(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        if self.blocks.front().is_some_and(|block| block.len() == self.at) {
            if let Some(block) = self.blocks.pop_front() {
                self.stream.take_back(block);
            }
            self.at = 0;
        }
        let Maker::Child { directory, prefix, plain } = &self.maker else {
            return self
                .next_names(py, NAMES_AT_ONCE)
                .map(|found| Ok(found?.0.into_any().unbind()))
                .collect();
        };
        let (directory, prefix) = (directory.clone_ref(py), prefix.clone_ref(py));
        let (directory, prefix) = (directory.bind(py), prefix.bind(py));
        if *plain && let Some(children) = Children::of(directory, prefix) {
            let child = |found: PyResult<_>| {
                let (name, known) = found?;
                Ok(children.make(name, known)?.unbind())
            };
            return self.next_names(py, NAMES_AT_ONCE).map(child).collect();
        }
        let join = |found: PyResult<_>| {
            let (name, known): (Bound<'_, PyString>, u8) = found?;
            Ok(dir_entry::joined(directory, prefix.add(name)?.cast_into()?, known)?.unbind())
        };
        self.next_names(py, PATHS_AT_ONCE).map(join).collect()
    }

    /// Whether to create more before the end has been read. Not with a class of the user's, which may observe that.
    fn makes_ahead(&self) -> bool {
        let plain = !matches!(self.maker, Maker::Child { plain: false, .. });
        plain
            && self.held.len() < MOST_MADE_AHEAD
            && self.blocks.iter().map(Block::len).sum::<usize>() > self.at
    }

    /// The next names of the current block, and the types for the `info` of each.
    fn next_names<'py>(
        &mut self,
        py: Python<'py>,
        most: usize,
    ) -> impl Iterator<Item = PyResult<(Bound<'py, PyString>, u8)>> {
        let (block, from) = (self.blocks.front(), self.at);
        self.at = block.map_or(0, |block| block.len().min(from + most));
        (from..self.at).filter_map(move |index| block?.get(index)).map(move |entry| {
            let known = entry.file_type.map_or(0, |file_type| known_types(Ok(file_type), None));
            Ok((spelled(py, entry.name)?, known))
        })
    }
}

impl Items for ListingItems {
    fn advance(&mut self, py: Python<'_>, manners: &Manners) -> Progress<PyResult<bool>> {
        if self.whole {
            return Progress::Done(Ok(false));
        }
        loop {
            let ticket = match self.stream.next(Ticket::unique) {
                Progress::Done(Ok(Some(block))) => {
                    self.blocks.push_back(block);
                    continue;
                }
                Progress::Done(Ok(None)) => {
                    self.whole = true;
                    return Progress::Done(Ok(true));
                }
                Progress::Done(Err(error)) => {
                    return Progress::Done(Err(errors::exception(py, error, &self.names)));
                }
                Progress::Yield => return Progress::Yield,
                Progress::Pending(ticket) => ticket,
            };
            while !ticket.is_done() {
                if !self.makes_ahead() {
                    return Progress::Pending(ticket);
                }
                let made = self.make_lot(py).map(|lot| self.held.push_back(lot));
                match made.and_then(|()| manners.gives_way(py)) {
                    Ok(true) => return Progress::Yield,
                    Ok(false) => {}
                    Err(error) => return Progress::Done(Err(error)),
                }
            }
        }
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        if !self.whole {
            return Ok(Vec::new());
        }
        match self.held.pop_front() {
            Some(lot) => Ok(lot),
            None => self.make_lot(py),
        }
    }

    fn progress(&self) -> u64 {
        self.stream.progress()
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for item in self.held.iter().flatten() {
            visit.call(item)?;
        }
        match &self.maker {
            Maker::Name => Ok(()),
            Maker::Child { directory, .. } => visit.call(directory),
        }
    }
}

/// The children of a directory, as the source of a stream. `prefix`: the text of their paths before the name.
/// `plain`: whether the directory's class leaves to pathlib how paths are made.
#[pyfunction]
#[pyo3(signature = (directory, prefix, plain, /))]
pub(crate) fn children(
    directory: &Bound<'_, PyAny>,
    prefix: Bound<'_, PyString>,
    plain: bool,
) -> PyResult<Source> {
    let path: PathArgument<'_> = directory.extract()?;
    let native = path.native(function(directory.py()))?;
    let maker = Maker::Child { directory: directory.clone().unbind(), prefix: prefix.unbind(), plain };
    Ok(Source::new(ListingItems::new(path, native, maker)))
}

/// The names in a directory, as a list.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn list_directory(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let native = path.native(function(py))?;
    let items = ListingItems::new(path, native, Maker::Name);
    Operation::of(py, Work::Whole(WholeWork::listing(py, "listdir", items)))
}

/// The function that an error about NUL characters names: up to Python 3.12, pathlib calls os.listdir (`Path.iterdir`
/// in Lib/pathlib.py).
fn function(py: Python<'_>) -> &'static str {
    if py.version_info() >= (3, 13) { "scandir" } else { "listdir" }
}
