//! What workers do for a tree: each reads directories until they are a batch.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use crate::engine::stream::{Claim, Order, Part, Slice, Source, Step};
use crate::engine::{Engine, runtime};
use crate::error::Error;
use crate::platform::NativePath;
use crate::verbs::descriptors::Patience;

use super::batches::Batches;
use super::frontier::{Frontier, Next};
use super::listing::{self, Begun, Listing, Reading};
use super::node::Node;
use super::open_directories::OpenDirectories;
use super::options::{Options, Purpose};
use super::usage::Counted;

/// What the consumer and the workers of a tree share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) engine: Arc<Engine>,
    pub(super) options: Options,
    pub(super) open: Arc<OpenDirectories>,
    /// The device of the first directory.
    pub(super) device: OnceLock<u64>,
    pub(super) counted: Counted,
    batches: Batches,
    /// The number of the owner that is wanted, once it has been looked up.
    owner: OnceLock<u32>,
    frontier: Mutex<Frontier>,
}

impl Shared {
    pub(super) fn new(engine: Arc<Engine>, root: NativePath, options: Options) -> (Arc<Self>, Arc<Node>) {
        let (root, open) = (Node::root(root), Arc::clone(&engine.descriptors.kept));
        let processors = engine.configuration().usable_cpus;
        let frontier = Mutex::new(Frontier::new(Arc::clone(&root), options.workers, processors));
        let shared = Self {
            engine,
            options,
            open: Arc::clone(&open),
            device: OnceLock::new(),
            counted: Counted::default(),
            batches: Batches::new(),
            owner: OnceLock::new(),
            frontier,
        };
        (Arc::new(shared), root)
    }

    /// Looks up what is wanted by name, before anything is read.
    fn look_up(&self) -> Result<(), Error> {
        if let Some(owner) = &self.options.filter.owner
            && self.owner.get().is_none()
        {
            let _ = self.owner.set(owner.id(false)?);
        }
        Ok(())
    }

    pub(super) fn owner(&self) -> Option<u32> {
        self.owner.get().copied()
    }

    pub(super) fn frontier(&self) -> MutexGuard<'_, Frontier> {
        runtime::lock(&self.frontier)
    }
}

/// The source of the directories of a tree.
#[derive(Debug)]
pub struct WalkSource(pub(super) Arc<Shared>);

impl Source for WalkSource {
    type Batch = Vec<Listing>;
    type Part = WalkPart;

    fn claim(&mut self) -> Claim<WalkPart> {
        match self.0.frontier().begin_part() {
            Some(next) => {
                let (next, shared) = (Some(next), Arc::clone(&self.0));
                Claim::Part(WalkPart {
                    shared,
                    next,
                    reading: None,
                    patience: Patience::default(),
                    began: None,
                    batch: Vec::new(),
                    size: 0,
                    full: None,
                })
            }
            None => Claim::OnDemand,
        }
    }

    fn order(&self) -> Order {
        // The consumer brings them into theirs.
        Order::AsReady
    }
}

/// The reading of as many directories as make a batch.
#[derive(Debug)]
pub struct WalkPart {
    shared: Arc<Shared>,
    next: Option<Next>,
    reading: Option<Reading>,
    patience: Patience,
    /// When it began with the directory.
    began: Option<Instant>,
    batch: Vec<Listing>,
    size: usize,
    /// The size and the time at which the batch is handed out. They hold for all steps that it takes: after a directory
    /// that took long, the next one may take as long, or for ever.
    full: Option<(usize, Instant)>,
}

impl WalkPart {
    /// A directory has been read.
    fn finish(&mut self, listing: Listing) {
        let names = self.shared.options.purpose == Purpose::Names;
        let listing = if names { listing.without_content() } else { listing };
        self.size += listing::size(&listing);
        let took = self.began.take().map(runtime::elapsed);
        let mut frontier = self.shared.frontier();
        frontier.finish(listing.node(), listing.children(), listing.weight());
        frontier.note(took.unwrap_or_default());
        drop(frontier);
        self.batch.push(listing);
    }

    /// What has been read; another batch begins.
    fn hand_out(&mut self) -> Vec<Listing> {
        (self.size, self.full) = (0, None);
        std::mem::take(&mut self.batch)
    }
}

impl Part for WalkPart {
    type Batch = Vec<Listing>;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Vec<Listing>>, Error> {
        let (most, until) = *self.full.get_or_insert_with(|| self.shared.batches.begin());
        loop {
            if let Some(next) = self.next.take() {
                if next.0.may_wait_for_others() && !self.batch.is_empty() {
                    // It may never answer, and what has been read may be all that the consumer needs.
                    self.next = Some(next);
                    return Ok(Step::Batch(self.hand_out()));
                }
                self.began = Some(runtime::now());
                self.shared.look_up()?;
                let mut may_wait = || self.patience.lasts(&self.shared.engine.descriptors, 1);
                match Reading::begin(next, &self.shared, &mut may_wait) {
                    Begun::Reading(reading) => self.reading = Some(reading),
                    Begun::Lacking(next) => {
                        self.next = Some(next);
                        if self.batch.is_empty() {
                            return Ok(Step::Later);
                        }
                        return Ok(Step::Batch(self.hand_out()));
                    }
                    Begun::Over(listing) => self.finish(listing),
                    Begun::Elsewhere(next) => {
                        self.next = Some(next);
                        continue;
                    }
                }
            }
            if let Some(mut reading) = self.reading.take() {
                if reading.go_on(&self.shared, slice)? {
                    let listing = reading.finish(&self.shared)?;
                    self.finish(listing);
                } else {
                    self.reading = Some(reading);
                    if slice.is_unwanted()
                        || (slice.is_over() && self.shared.engine.descriptors.may_leave_open())
                    {
                        if self.batch.is_empty() {
                            return Ok(Step::Again);
                        }
                        return Ok(Step::Batch(self.hand_out()));
                    }
                    continue;
                }
            }
            let is_full = self.size >= most || slice.is_over() || runtime::now() >= until;
            let mut frontier = self.shared.frontier();
            self.next = if is_full { None } else { frontier.take() };
            if self.next.is_none() {
                frontier.end_part();
                drop(frontier);
                return Ok(Step::Last(Some(std::mem::take(&mut self.batch))));
            }
        }
    }
}
