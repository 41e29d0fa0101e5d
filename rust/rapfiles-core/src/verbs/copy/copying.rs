//! `Copying`: the consumer's side of a copy or a move.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::aftermath::Aftermath;
use super::copier::{Copier, Mark, Pair, rename};
use super::moved::Moved;
use super::options::CopyRequest;
use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::progress::Progress;
use crate::engine::stream::{Part, Single, Slice, Step, Stream};
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::platform::NativePath;
use crate::verbs::descriptors::Admission;
use crate::verbs::post_order::{Manner, PostOrder};
use crate::verbs::remove_tree::{Removed, Removing};
use crate::verbs::report::{Amount, Policy, Report, Reporter};
use crate::verbs::tree::{Counts, Totals};

/// A copy or a move: a source of reports, until it is complete.
pub struct Copying {
    engine: Arc<Engine>,
    phase: Phase,
    reporter: Arc<Reporter>,
    /// Whether a tree was copied whose source has to be removed.
    copied: Arc<AtomicBool>,
    moved: Arc<Moved>,
    policy: Policy,
    aftermath: Arc<Aftermath>,
    admission: Arc<Admission>,
    source: NativePath,
}

enum Phase {
    /// A move is tried at a stroke, before it is counted what would have to be copied.
    Renaming(Stream<Single<Rename>>, Box<Counting>),
    Counting(Box<Counting>),
    Copying(Stream<PostOrder<Copier>>),
    /// The source is being removed.
    Removing(Removing),
    /// It has failed, and its remains are being removed.
    Clearing(Error),
    Over,
}

/// What is counted, and what comes then.
struct Counting {
    totals: Totals,
    copying: Stream<PostOrder<Copier>>,
}

/// A move at a stroke: the only part of its stream.
struct Rename {
    source: NativePath,
    target: NativePath,
    reporter: Arc<Reporter>,
}

impl Part for Rename {
    type Batch = ();

    fn step(&mut self, _slice: &Slice<'_>) -> Result<Step<()>, Error> {
        if !rename(&self.source, &self.target)? {
            return Ok(Step::Last(None));
        }
        self.reporter.file();
        self.reporter.begin_work(Some(Amount { files: 1, ..Amount::default() }));
        Ok(Step::Last(Some(())))
    }
}

impl Engine {
    /// Copies or moves a file, a link or a tree. A new target appears complete or not at all; nothing is left of an
    /// unfinished one.
    pub fn copy(&self, request: CopyRequest) -> Copying {
        let lane = self.lane(&request.source);
        let options = &request.options;
        let reporter = Arc::new(Reporter::new(options.policy, options.progress));
        let (copied, aftermath) = (Arc::<AtomicBool>::default(), Arc::<Aftermath>::default());
        let (moved, policy) = (Arc::<Moved>::default(), options.policy);
        let manner = Manner {
            // The first name of a file must exist before the others are created.
            in_turn: options.preserve_hard_links,
            selects: options.selects,
            descriptors: 2,
            workers: self.configuration().usable_cpus,
            shared: Arc::clone(&self.descriptors),
        };
        let (source, target, moves) = (request.source.clone(), request.target.clone(), request.moves);
        let totals = options.totals.then(|| {
            let counts = Counts {
                follow_symlinks: options.follow_symlinks,
                sizes: true,
                hard_links_once: options.preserve_hard_links,
            };
            Totals::new(self, source.clone(), counts, Arc::clone(&reporter))
        });
        let shared = (Arc::clone(&copied), Arc::clone(&moved), Arc::clone(&aftermath));
        let copier = Copier::new(self, lane, request, Arc::clone(&reporter), shared);
        let tree = PostOrder::new(
            copier,
            Arc::clone(&reporter),
            (Pair::outside(), Mark::outside()),
            source.clone(),
            &manner,
        );
        let admission = tree.admission();
        let copying = Stream::new(self, lane, Kind::Copy, tree);
        let phase = match totals {
            None => Phase::Copying(copying),
            Some(totals) => {
                let counting = Box::new(Counting { totals, copying });
                if moves {
                    let rename = Rename { source: source.clone(), target, reporter: Arc::clone(&reporter) };
                    Phase::Renaming(Stream::new(self, lane, Kind::Copy, Single::new(rename)), counting)
                } else {
                    Phase::Counting(counting)
                }
            }
        };
        Copying { engine: self.share(), phase, reporter, copied, moved, policy, aftermath, admission, source }
    }
}

impl Copying {
    /// The next report; `None` when it is complete, or after an error.
    pub fn next(&mut self, ticket: impl Fn() -> Arc<Ticket>) -> Progress<Result<Option<Report>, Error>> {
        loop {
            match &mut self.phase {
                Phase::Renaming(stream, _) => match stream.next(&ticket) {
                    Progress::Done(Ok(Some(()))) => self.phase = Phase::Over,
                    Progress::Done(Ok(None)) => {
                        let Phase::Renaming(_, counting) = std::mem::replace(&mut self.phase, Phase::Over)
                        else {
                            continue;
                        };
                        self.phase = Phase::Counting(counting);
                    }
                    Progress::Done(Err(error)) => {
                        self.phase = Phase::Over;
                        return Progress::Done(Err(error));
                    }
                    Progress::Pending(ticket) => return Progress::Pending(ticket),
                    Progress::Yield => return Progress::Yield,
                },
                Phase::Counting(counting) => match counting.totals.next(&ticket) {
                    Progress::Done(Ok(None)) => {
                        let Phase::Counting(counting) = std::mem::replace(&mut self.phase, Phase::Over)
                        else {
                            continue;
                        };
                        self.phase = Phase::Copying(counting.copying);
                    }
                    told => return told.map(|ended| Ok(ended?.map(Report::Progress))),
                },
                Phase::Copying(stream) => match admitted(stream, &self.admission, &ticket) {
                    Progress::Done(Ok(None)) => {
                        self.phase = if self.copied.load(Ordering::Relaxed) {
                            let (source, moved) = (self.source.clone(), Arc::clone(&self.moved));
                            Phase::Removing(self.engine.remove_moved(source, self.policy, moved))
                        } else {
                            Phase::Over
                        };
                    }
                    // A copy of another process is not removed by this one.
                    Progress::Done(Err(error)) if !matches!(error, Error::Forked) => {
                        self.phase = Phase::Clearing(error);
                    }
                    other => {
                        if matches!(other, Progress::Done(Ok(Some(_)))) {
                            self.admission.lend();
                        }
                        return other;
                    }
                },
                Phase::Clearing(_) => {
                    if let Some(ticket) = self.aftermath.wait(&ticket)
                        && !ticket.is_done()
                    {
                        return Progress::Pending(ticket);
                    }
                    let Phase::Clearing(error) = std::mem::replace(&mut self.phase, Phase::Over) else {
                        continue;
                    };
                    return Progress::Done(Err(error));
                }
                Phase::Removing(removing) => match removing.next(&ticket) {
                    Progress::Done(Ok(Some(Removed::Progress(_)))) => {}
                    Progress::Done(Ok(Some(Removed::Failed(_, error)))) => {
                        return Progress::Done(Ok(Some(Report::Failed(error))));
                    }
                    Progress::Done(Ok(None)) => self.phase = Phase::Over,
                    Progress::Done(Err(error)) => {
                        self.phase = Phase::Over;
                        return Progress::Done(Err(error));
                    }
                    Progress::Pending(ticket) => return Progress::Pending(ticket),
                    Progress::Yield => return Progress::Yield,
                },
                Phase::Over => return Progress::Done(Ok(None)),
            }
        }
    }

    /// The reporter of its progress.
    pub fn reporter(&self) -> &Arc<Reporter> {
        &self.reporter
    }

    /// How much has been done, in bytes.
    pub fn progress(&self) -> u64 {
        match &self.phase {
            Phase::Copying(stream) => stream.progress(),
            _ => 0,
        }
    }
}

/// The next report, or the admission to wait for first.
fn admitted(
    stream: &mut Stream<PostOrder<Copier>>,
    admission: &Arc<Admission>,
    ticket: impl Fn() -> Arc<Ticket>,
) -> Progress<Result<Option<Report>, Error>> {
    if stream.is_own()
        && let Some(waiting) = admission.ask(&ticket)
    {
        return Progress::Pending(waiting);
    }
    stream.next(ticket)
}

impl fmt::Debug for Copying {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Copying").finish_non_exhaustive()
    }
}
