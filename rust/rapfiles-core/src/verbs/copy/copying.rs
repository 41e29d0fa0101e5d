//! A copy or a move as its consumer sees it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::aftermath::Aftermath;
use super::copier::{Copier, Mark, Pair};
use super::moved::Moved;
use super::options::CopyRequest;
use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::progress::Progress;
use crate::engine::stream::Stream;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::platform::NativePath;
use crate::verbs::post_order::{Manner, PostOrder};
use crate::verbs::remove_tree::{Removed, Removing};
use crate::verbs::report::{Policy, Report, Reporter};

/// A copy or a move: what it has to tell, until it is over.
pub struct Copying {
    stage: Stage,
    reporter: Arc<Reporter>,
    /// A tree was copied whose source is to be removed.
    copied: Arc<AtomicBool>,
    moved: Arc<Moved>,
    policy: Policy,
    aftermath: Arc<Aftermath>,
    source: NativePath,
}

enum Stage {
    Copying(Stream<PostOrder<Copier>>),
    /// What was copied is removed where it was.
    Removing(Removing),
    /// It has failed, and what it leaves is being cleared away.
    Clearing(Error),
    Over,
}

impl Engine {
    /// Copies or moves a file, a link or a tree. A target that is new appears complete or not at all; nothing is left of one
    /// that is not completed.
    pub fn copy(&self, request: CopyRequest) -> Copying {
        let lane = self.lane(&request.source);
        let options = &request.options;
        let reporter = Arc::new(Reporter::new(options.policy, options.progress, options.total));
        let (copied, aftermath) = (Arc::<AtomicBool>::default(), Arc::<Aftermath>::default());
        let (moved, policy) = (Arc::<Moved>::default(), options.policy);
        let manner = Manner {
            // The first name of a file has to be there before the others are made.
            in_turn: options.preserve_hard_links,
            selects: options.selects,
            descriptors: 2,
            workers: self.configuration().usable_cpus,
        };
        let source = request.source.clone();
        let shared = (Arc::clone(&copied), Arc::clone(&moved), Arc::clone(&aftermath));
        let copier = Copier::new(self, lane, request, Arc::clone(&reporter), shared);
        let tree = PostOrder::new(
            copier,
            Arc::clone(&reporter),
            (Pair::outside(), Mark::outside()),
            source.clone(),
            &manner,
        );
        let stage = Stage::Copying(Stream::new(self, lane, Kind::Copy, tree));
        Copying { stage, reporter, copied, moved, policy, aftermath, source }
    }
}

impl Copying {
    /// What there is to tell next; `None` when it is done, or after an error.
    pub fn next(&mut self, ticket: impl Fn() -> Arc<Ticket>) -> Progress<Result<Option<Report>, Error>> {
        loop {
            match &mut self.stage {
                Stage::Copying(stream) => match stream.next(&ticket) {
                    Progress::Done(Ok(None)) => {
                        self.stage = if self.copied.load(Ordering::Relaxed) {
                            let (source, moved) = (self.source.clone(), Arc::clone(&self.moved));
                            Stage::Removing(Engine::current().remove_moved(source, self.policy, moved))
                        } else {
                            Stage::Over
                        };
                    }
                    // What was begun in another process is not ours to clear away.
                    Progress::Done(Err(error)) if !matches!(error, Error::Forked) => {
                        self.stage = Stage::Clearing(error);
                    }
                    other => return other,
                },
                Stage::Clearing(_) => {
                    if let Some(ticket) = self.aftermath.wait(&ticket)
                        && !ticket.is_done()
                    {
                        return Progress::Pending(ticket);
                    }
                    let Stage::Clearing(error) = std::mem::replace(&mut self.stage, Stage::Over) else {
                        continue;
                    };
                    return Progress::Done(Err(error));
                }
                Stage::Removing(removing) => match removing.next(&ticket) {
                    Progress::Done(Ok(Some(Removed::Progress(_)))) => {}
                    Progress::Done(Ok(Some(Removed::Failed(_, error)))) => {
                        return Progress::Done(Ok(Some(Report::Failed(error))));
                    }
                    Progress::Done(Ok(None)) => self.stage = Stage::Over,
                    Progress::Done(Err(error)) => {
                        self.stage = Stage::Over;
                        return Progress::Done(Err(error));
                    }
                    Progress::Pending(ticket) => return Progress::Pending(ticket),
                    Progress::Yield => return Progress::Yield,
                },
                Stage::Over => return Progress::Done(Ok(None)),
            }
        }
    }

    /// How far it has come.
    pub fn reporter(&self) -> &Arc<Reporter> {
        &self.reporter
    }

    /// How much has been done, in bytes.
    pub fn progress(&self) -> u64 {
        match &self.stage {
            Stage::Copying(stream) => stream.progress(),
            _ => 0,
        }
    }
}

impl fmt::Debug for Copying {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Copying").finish_non_exhaustive()
    }
}
