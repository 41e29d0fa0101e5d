//! Getting the position of a text file.

use std::sync::Arc;

use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::ops::checks::{check, check_open, check_written, number};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::handle::text::{ForeignCodec, Snapshot, TextState};
use crate::memory::copied;
use crate::text::Position;

/// Returns the user's position, as a cookie that only [`Seek`](super::Seek) understands.
pub struct Tell<S: Sink> {
    state: Arc<TextState<S>>,
    /// The data with which the position has to be found.
    place: Option<Place<S>>,
    number: Option<S::Value>,
}

struct Place<S: Sink> {
    position: u64,
    snapshot: Snapshot<S>,
    used: usize,
    ratio: f64,
}

impl<S: Sink> Tell<S> {
    /// Returns the user's position.
    pub fn new(state: &Arc<TextState<S>>) -> Self {
        Self { state: Arc::clone(state), place: None, number: None }
    }

    /// `position`: that of the file, which is after the decoded bytes.
    fn tell(
        &mut self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        position: u64,
    ) -> Fallible<S, Advance<S>> {
        // A file that is only written has none: its position is that of its bytes.
        let Some(decoder) = guard.decoder() else { return number(context, position) };
        let (snapshot, used, ratio) = if decoder.is_native() {
            match decoder.position() {
                Position::Before(bytes) => return number(context, position.saturating_sub(bytes as u64)),
                Position::Decode { input, pending, used, ratio } => {
                    let state = self.state.codec.plain_state(context, pending);
                    (Snapshot::new(state, copied(input)?), used, ratio)
                }
            }
        } else {
            let Some(snapshot) = self.state.snapshot()? else { return number(context, position) };
            (snapshot, decoder.used_characters(), decoder.ratio())
        };
        let position = position.saturating_sub(snapshot.input.len() as u64);
        self.place = Some(Place { position, snapshot, used, ratio });
        Ok(Advance::Call)
    }
}

impl<S: Sink> FileOperation<S> for Tell<S> {
    fn name(&self) -> &'static str {
        "tell"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        if let Some(number) = self.number.take() {
            return Ok(Advance::Done(number));
        }
        check_open(guard, Complaint::ClosedStream)?;
        check(file.handle.info.seekable, Complaint::TextNotSeekable)?;
        if let Some(step) = check_written(guard)? {
            return Ok(step);
        }
        if let Some(Reply::Count(position)) = reply {
            return self.tell(context, guard, position);
        }
        match guard.position() {
            Some(position) => self.tell(context, guard, position?),
            None => Ok(Advance::Task(Task::Position)),
        }
    }

    fn call(&mut self, context: S::Context<'_>, _guard: &mut Guard<'_>) -> Fallible<S, ()> {
        if let Some(Place { position, snapshot, used, ratio }) = self.place.take() {
            self.number = Some(self.state.codec.find(context, position, snapshot, used, ratio)?);
        }
        Ok(())
    }
}
