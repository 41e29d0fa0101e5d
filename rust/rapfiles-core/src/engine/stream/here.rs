//! The work of a source without workers: in the calling thread, all at once or one slice at a time.

use crate::engine::runtime;
use crate::engine::stream::slice::{Signals, Slice};
use crate::engine::stream::source::{Claim, Part, Source, Step};
use crate::error::Error;
use crate::limits::STREAM_ASKS_EVERY;

/// Does all of a source's work in this thread, for a caller without a loop. `between` is called every
/// `STREAM_ASKS_EVERY`; its error stops the work.
///
/// # Errors
/// The first one that a part reports, or that of `between`.
pub fn run_here<S: Source, E: From<Error>>(
    mut source: S,
    mut take: impl FnMut(S::Batch),
    mut between: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let signals = Signals::new();
    let mut until = runtime::now() + STREAM_ASKS_EVERY;
    while let Claim::Part(mut part) = source.claim() {
        loop {
            match part.step(&Slice::outside(until, &signals))? {
                Step::Batch(batch) => take(batch),
                Step::Again | Step::Later => {}
                Step::Last(batch) => {
                    batch.into_iter().for_each(&mut take);
                    break;
                }
            }
            if runtime::now() >= until {
                between()?;
                until = runtime::now() + STREAM_ASKS_EVERY;
            }
        }
    }
    Ok(())
}

/// A source whose work is done one slice at a time in the calling thread, and whose batches nobody wants.
pub(crate) struct SliceBySlice<S: Source> {
    /// Dropped first, as in a stream.
    part: Option<S::Part>,
    source: S,
}

impl<S: Source> SliceBySlice<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { part: None, source }
    }

    /// Goes on for as long as the slice lasts; `true` when everything is done.
    pub(crate) fn go_on(&mut self, slice: &Slice<'_>) -> Result<bool, Error> {
        loop {
            let part = match &mut self.part {
                Some(part) => part,
                none => match self.source.claim() {
                    Claim::Part(part) => none.insert(part),
                    Claim::Later | Claim::OnDemand | Claim::Over => return Ok(true),
                },
            };
            if let Step::Last(_) = part.step(slice)? {
                self.part = None;
            }
            if slice.is_over() {
                return Ok(false);
            }
        }
    }
}

#[cfg(all(test, unix))]
impl<S: Source> SliceBySlice<S> {
    /// What is under way.
    pub(crate) fn part(&self) -> Option<&S::Part> {
        self.part.as_ref()
    }

    /// Goes on with a slice that is over as soon as something has been done.
    pub(crate) fn go_on_shortly(&mut self) -> Result<bool, Error> {
        let signals = Signals::new();
        self.go_on(&Slice::outside(runtime::now(), &signals))
    }
}
