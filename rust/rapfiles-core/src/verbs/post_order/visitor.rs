//! What is done with the entries and directories of a tree, on the way down and on the way back up.

use std::io;
use std::sync::Arc;

use super::node::Node;
use crate::engine::stream::Slice;
use crate::error::{Error, Subject};
use crate::platform::{self, DirectoryReader, NativePath};
use crate::verbs::metadata::FileType;

/// The work on the entries and directories of a tree.
pub(crate) trait Visitor: Send + Sync + Sized + 'static {
    /// The open directory while it is worked in.
    type Place: Send + Sync + 'static;
    /// The data that is kept for a directory until it is left.
    type Mark: Send + Sync + 'static;
    /// An entry that takes several steps.
    type Leaf: Send + 'static;

    /// Whether all entries of a directory are known before anything is done with one: some file systems pass over some
    /// when others are removed meanwhile.
    const LISTS_FIRST: bool = false;
    /// Whether a directory that could not be entered for want of descriptors can be entered later: nothing was done.
    const ENTERS_LATER: bool = false;

    /// Visits an entry.
    fn visit(&self, at: &At<'_, Self>, file_type: Option<FileType>) -> Result<Visit<Self::Leaf>, Error>;

    /// Continues with an entry for as long as the slice lasts; `true` when it is done.
    fn go_on(&self, leaf: &mut Self::Leaf, at: &At<'_, Self>, slice: &Slice<'_>) -> Result<bool, Error>;

    /// Opens a directory; `None` if there is nothing to do in it.
    fn enter(&self, at: &At<'_, Self>) -> Result<Option<Entered<Self>>, Error>;

    /// Handles a directory that cannot be entered because no descriptor is left, although others have been closed.
    fn cannot_enter(&self, _at: &At<'_, Self>, error: Error) -> Result<(), Error> {
        Err(error)
    }

    /// Handles a directory whose entries, or some of them, could not be read.
    fn cannot_read(&self, node: &Node<Self>, error: &io::Error) -> Result<(), Error> {
        let path = platform::joined(node.names().into_iter());
        Err(Error::new(error, path.map_or(Subject::Nothing, Subject::Other)))
    }

    /// Opens again the directory that one is in, if that is still the one that it was; `None` where there is no way
    /// back and the consumer is told otherwise.
    fn above(
        &self,
        node: &Node<Self>,
        place: &Self::Place,
        above: &Node<Self>,
    ) -> Result<Option<Self::Place>, Error>;

    /// Handles that a directory cannot be opened again because no descriptor is left.
    fn cannot_go_back(&self, _node: &Node<Self>, error: Error) -> Result<(), Error> {
        Err(error)
    }

    /// Ends a directory after everything in it.
    fn leave(
        &self,
        node: &Arc<Node<Self>>,
        place: Arc<Self::Place>,
        above: &Arc<Self::Place>,
    ) -> Result<Left, Error>;

    /// Whether nothing is to be done until the consumer has seen to something. Then all tasks are put aside and the
    /// stream ends; another one goes on with them.
    fn is_paused(&self) -> bool {
        false
    }
}

/// The result of ending a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is ended.
    Done,
    /// It has to be entered once more.
    Again,
}

/// What to do with an entry.
pub(crate) enum Visit<Leaf> {
    /// Nothing more.
    Done,
    /// It takes several steps.
    Leaf(Leaf),
    /// It is a directory to enter.
    Directory,
}

/// A directory that has been opened.
pub(crate) struct Entered<V: Visitor> {
    pub(crate) place: V::Place,
    pub(crate) mark: V::Mark,
    pub(crate) reader: DirectoryReader,
    /// Whether there is no way back from here through `..`, so that the directories above have to stay open.
    pub(crate) keeps_above: bool,
}

/// The place of a visit.
pub(crate) struct At<'a, V: Visitor> {
    pub(crate) node: &'a Arc<Node<V>>,
    pub(crate) place: &'a Arc<V::Place>,
    pub(crate) name: &'a NativePath,
}
