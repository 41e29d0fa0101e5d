//! The total size of a tree, counted before an operation on all of it.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::progress::Progress;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::limits::TOTALS_AT_ONCE;
use crate::platform::NativePath;
use crate::verbs::report::{Amount, Reporter, Snapshot};

#[cfg(doc)]
use super::listing::Listing;
use super::options::{Options, Purpose};
use super::walk::Tree;

/// What counts in a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Symbolic links are followed.
    pub(crate) follow_symlinks: bool,
    /// The sizes of files are wanted.
    pub(crate) sizes: bool,
    /// The content of a file with several names counts once.
    pub(crate) hard_links_once: bool,
}

/// Counts what is in a tree. What cannot be read is not counted: the operation itself will report it.
#[derive(Debug)]
pub struct Totals {
    tree: Tree,
    reporter: Arc<Reporter>,
    sum: Amount,
}

impl Totals {
    /// Counts what is copied, moved or removed.
    pub(crate) fn new(engine: &Engine, path: NativePath, counts: Counts, reporter: Arc<Reporter>) -> Self {
        let Counts { follow_symlinks, sizes, hard_links_once } = counts;
        let options = Options {
            purpose: Purpose::Totals { sizes, hard_links_once, follows_top: follow_symlinks },
            top_down: true,
            follow_symlinks,
            detect_loops: follow_symlinks,
            beyond_longest_path: true,
            ..Options::default()
        };
        Self::with_options(engine, path, options, reporter)
    }

    /// Counts what is looked at where a tree is read with these options: as many entries as [`Listing::amount`] tells of
    /// its directories. Sizes are not asked for: that would take as long as all that is to be done.
    pub fn of_reading(engine: &Engine, path: NativePath, options: &Options, reporter: Arc<Reporter>) -> Self {
        let filter = options.filter.of_ways();
        let options = Options {
            purpose: Purpose::Totals { sizes: false, hard_links_once: false, follows_top: true },
            top_down: true,
            sort: false,
            filter,
            ..options.clone()
        };
        Self::with_options(engine, path, options, reporter)
    }

    fn with_options(engine: &Engine, path: NativePath, options: Options, reporter: Arc<Reporter>) -> Self {
        reporter.counted(0);
        Self { tree: engine.walk(path, options), reporter, sum: Amount::default() }
    }

    /// The progress of the count; `None` at the end, when the reporter has the total.
    ///
    /// # Errors
    /// In a forked child.
    pub fn next(&mut self, ticket: impl Fn() -> Arc<Ticket>) -> Progress<Result<Option<Snapshot>, Error>> {
        for _ in 0..TOTALS_AT_ONCE {
            let listing = match self.tree.next(&ticket) {
                Progress::Done(Ok(Some(listing))) => listing,
                Progress::Done(Ok(None)) => {
                    self.reporter.begin_work(Some(self.sum));
                    return Progress::Done(Ok(None));
                }
                Progress::Done(Err(error @ Error::Forked)) => return Progress::Done(Err(error)),
                Progress::Done(Err(_)) => {
                    // The operation is possible without a total.
                    self.reporter.begin_work(None);
                    return Progress::Done(Ok(None));
                }
                Progress::Pending(ticket) => return Progress::Pending(ticket),
                Progress::Yield => return Progress::Yield,
            };
            let Amount { files, directories, bytes } = listing.amount();
            self.sum.files += files;
            self.sum.directories += directories;
            self.sum.bytes += bytes;
            self.reporter.counted(self.sum.files + self.sum.directories);
            if let Some(snapshot) = self.reporter.snapshot(|| listing.node().path()) {
                return Progress::Done(Ok(Some(snapshot)));
            }
            self.tree.take_back(listing);
        }
        Progress::Yield
    }
}
