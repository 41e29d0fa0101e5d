//! Reading characters.

use std::sync::Arc;

use super::feeder::{Begun, Feeder, More, is_filled, take};
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::handle::text::TextState;
use crate::limits::MANY_CHARACTERS;
use crate::text::Decoder;

/// Reads a number of characters, fewer only at the end of the file.
pub struct Read<S: Sink> {
    characters: usize,
    feeder: Feeder<S>,
}

impl<S: Sink> Read<S> {
    /// Reads this many characters.
    pub fn new(state: &Arc<TextState<S>>, characters: usize) -> Self {
        Self { characters, feeder: Feeder::new(state, false) }
    }
}

impl<S: Sink> FileOperation<S> for Read<S> {
    fn name(&self) -> &'static str {
        "read"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        mut reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        let mut text = match self.feeder.begin(file, guard, &mut reply)? {
            Begun::Text(text) => text,
            Begun::Advance(step) => return Ok(step),
        };
        let filled = is_filled(&reply);
        if let Some(Reply::Text(decoded)) = reply {
            return Ok(Advance::Text(decoded));
        }
        let characters = self.characters;
        let mut many = false;
        let wanted = |decoder: &mut Decoder| {
            let missing = characters.saturating_sub(decoder.characters());
            many = missing > MANY_CHARACTERS && decoder.is_native();
            (missing > 0 && !many).then_some(missing)
        };
        match self.feeder.decode_until(&mut text, filled, wanted)? {
            More::Advance(step) => Ok(step),
            More::Enough if many => Ok(Advance::Task(Task::ReadText { characters: Some(characters) })),
            More::Enough => {
                let bytes = text.decoder.bytes_of(characters);
                take(context, &mut text, bytes)
            }
            More::End => {
                let bytes = text.decoder.len();
                let rest = take(context, &mut text, bytes)?;
                text.decoder.exhaust();
                if let Some(snapshot) = self.feeder.at_the_end.take() {
                    self.feeder.state.set_snapshot(Some(snapshot));
                }
                Ok(rest)
            }
        }
    }

    fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        self.feeder.call(context, guard)
    }
}
