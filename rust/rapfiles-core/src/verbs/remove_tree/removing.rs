//! A removal from the consumer's side, which may react to each error before the removal goes on.

use std::fmt;
use std::sync::Arc;

use super::remover::{Mark, Place, Remover};
use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::progress::Progress;
use crate::engine::stream::{SliceBySlice, Stream, run_here};
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::limits::STREAM_STEPS;
use crate::platform::NativePath;
use crate::verbs::copy::Moved;
use crate::verbs::descriptors::{Admission, Descriptors};
use crate::verbs::post_order::{Manner, PostOrder};
use crate::verbs::report::{Policy, Report, Reporter, Snapshot};
use crate::verbs::tree::{Counts, Totals};

/// A report of a removal.
#[derive(Debug)]
pub enum Removed {
    /// Its progress.
    Progress(Snapshot),
    /// Something could not be removed. With the name of the function in Python's `os` that corresponds to the call.
    Failed(&'static str, Error),
}

/// What is to be removed.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) path: NativePath,
    pub(crate) policy: Policy,
    /// Whether missing permissions are granted, and a missing directory counts as removed.
    pub(crate) lenient: bool,
    /// Nothing else is removed.
    pub(crate) moved: Option<Arc<Moved>>,
}

impl Request {
    fn lenient(path: NativePath, ignore_errors: bool) -> Self {
        let policy = if ignore_errors { Policy::Ignore } else { Policy::Raise };
        Self { path, policy, lenient: true, moved: None }
    }

    pub(crate) fn tree(
        self,
        reporter: &Arc<Reporter>,
        workers: usize,
        shared: Arc<Descriptors>,
    ) -> PostOrder<Remover> {
        let manner = Manner { in_turn: false, selects: false, descriptors: 1, workers, shared };
        let path = self.path.clone();
        let remover = Remover::new(self, Arc::clone(reporter));
        let outside = (Place::default(), Mark::default());
        PostOrder::new(remover, Arc::clone(reporter), outside, path, &manner)
    }
}

/// A removal: its reports, until it is over.
pub struct Removing {
    /// `None` when it is over.
    tree: Option<PostOrder<Remover>>,
    admission: Arc<Admission>,
    /// Workers process the tree in it; none does while the consumer handles a failure.
    stream: Stream<PostOrder<Remover>>,
    /// The stream has ended.
    stands_still: bool,
    policy: Policy,
    reporter: Arc<Reporter>,
    /// The count of what there is to remove, while it goes on.
    totals: Option<Box<Totals>>,
}

impl Removing {
    fn new(engine: &Engine, request: Request, progress: bool) -> Self {
        let policy = request.policy;
        let reporter = Arc::new(Reporter::new(policy, progress));
        let lane = engine.lane(&request.path);
        let workers = engine.configuration().usable_cpus.clamp(1, STREAM_STEPS);
        let tree = request.tree(&reporter, workers, Arc::clone(&engine.descriptors));
        let stream = Stream::new(engine, lane, Kind::RemoveTree, tree.clone());
        let admission = tree.admission();
        Self { tree: Some(tree), admission, stream, stands_still: false, policy, reporter, totals: None }
    }

    /// The next report; `None` when everything is removed, or after an error that ends it.
    pub fn next(&mut self, ticket: impl Fn() -> Arc<Ticket>) -> Progress<Result<Option<Removed>, Error>> {
        if let Some(totals) = &mut self.totals {
            match totals.next(&ticket) {
                Progress::Done(Ok(None)) => self.totals = None,
                told => return told.map(|ended| Ok(ended?.map(Removed::Progress))),
            }
        }
        loop {
            let Some(tree) = &self.tree else { return Progress::Done(Ok(None)) };
            if self.stands_still {
                match tree.visitor().take_failure() {
                    Some((_, error)) if self.policy == Policy::Raise => {
                        self.end();
                        return Progress::Done(Err(error));
                    }
                    Some((function, error)) => {
                        self.admission.lend();
                        return Progress::Done(Ok(Some(Removed::Failed(function, error))));
                    }
                    None if tree.is_over() => {
                        self.end();
                        return Progress::Done(Ok(None));
                    }
                    None if !self.stream.is_own() => {
                        self.end();
                        return Progress::Done(Err(Error::Forked));
                    }
                    None => {
                        self.stream = self.stream.followed_by(tree.clone());
                        self.stands_still = false;
                    }
                }
            }
            if self.stream.is_own()
                && let Some(admitted) = self.admission.ask(&ticket)
            {
                return Progress::Pending(admitted);
            }
            return match self.stream.next(&ticket) {
                Progress::Done(Ok(None)) => {
                    self.stands_still = true;
                    continue;
                }
                // A removal has no selection.
                Progress::Done(Ok(Some(Report::Selecting(_)))) => continue,
                Progress::Done(Ok(Some(Report::Progress(snapshot)))) => {
                    self.admission.lend();
                    Progress::Done(Ok(Some(Removed::Progress(snapshot))))
                }
                Progress::Done(Ok(Some(Report::Failed(error))) | Err(error)) => {
                    self.end();
                    Progress::Done(Err(error))
                }
                Progress::Pending(ticket) => Progress::Pending(ticket),
                Progress::Yield => Progress::Yield,
            };
        }
    }

    /// How far it has come.
    pub fn reporter(&self) -> &Arc<Reporter> {
        &self.reporter
    }

    /// The number of entries that have been processed.
    pub fn progress(&self) -> u64 {
        self.reporter.entries()
    }

    fn end(&mut self) {
        let Some(tree) = self.tree.take() else { return };
        if !self.stream.is_own() {
            // What a forked child has inherited is left as it is.
            std::mem::forget(tree);
        } else if self.stream.has_begun() && !tree.is_over() {
            // Directories are open.
            self.stream.leave_to_worker(move || drop(tree));
        }
    }
}

impl Drop for Removing {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Removing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Removing").finish_non_exhaustive()
    }
}

impl Engine {
    /// Removes a directory with everything in it. Where there is none, nothing happens; where there is something else, such
    /// as a link to one, that is an error. Missing permissions are granted, and flags that prevent a removal cleared.
    pub fn remove_tree(&self, path: NativePath, ignore_errors: bool) -> Removing {
        Removing::new(self, Request::lenient(path, ignore_errors), false)
    }

    /// Removes a directory with everything in it, as `shutil.rmtree` does: what is not there is an error, and permissions
    /// stay as they are. `totals`: what there is to remove is counted first.
    pub fn remove(&self, path: NativePath, policy: Policy, progress: bool, totals: bool) -> Removing {
        let top = path.clone();
        let request = Request { path, policy, lenient: false, moved: None };
        let mut removing = Removing::new(self, request, progress);
        removing.totals = totals.then(|| {
            let counts = Counts { follow_symlinks: false, sizes: false, hard_links_once: false };
            Box::new(Totals::new(self, top, counts, Arc::clone(&removing.reporter)))
        });
        removing
    }

    /// Removes what has been moved elsewhere, and nothing else that is in the tree.
    pub(crate) fn remove_moved(&self, path: NativePath, policy: Policy, moved: Arc<Moved>) -> Removing {
        let request = Request { path, policy, lenient: false, moved: Some(moved) };
        Removing::new(self, request, false)
    }
}

/// The removal of a tree that nobody waits for; its errors are ignored.
pub(crate) fn unattended(path: NativePath) -> SliceBySlice<PostOrder<Remover>> {
    let reporter = Arc::new(Reporter::new(Policy::Ignore, false));
    SliceBySlice::new(Request::lenient(path, true).tree(&reporter, 1, Arc::default()))
}

/// Does the same in this thread. `between` is called now and then; its error stops the removal.
///
/// # Errors
/// When something cannot be removed and errors are not to be ignored; that of `between`.
pub fn remove_tree<E: From<Error>>(
    path: NativePath,
    ignore_errors: bool,
    between: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let request = Request::lenient(path, ignore_errors);
    let reporter = Arc::new(Reporter::new(request.policy, false));
    let tree = request.tree(&reporter, 1, Arc::default());
    run_here(tree.clone(), drop, between)?;
    tree.visitor().take_failure().map_or(Ok(()), |(_, error)| Err(error.into()))
}
