//! The position of a text file before an operation with several steps, to restore it if the operation is cancelled.

use crate::handle::sink::{Fallible, Sink};
use crate::handle::text::{ForeignCodec, Snapshot, TextState};
use crate::handle::text_guard::TextGuard;
use crate::handle::trace::Unread;
use crate::text::Mark;

/// The position of a text file, and the state of the caller's decoder.
pub(super) struct Before<S: Sink> {
    mark: Option<Mark>,
    codec: Option<Saved<S>>,
}

/// The state of the caller's decoder, and its snapshot.
type Saved<S> = (<<S as Sink>::ForeignCodec as ForeignCodec<S>>::Saved, Option<Snapshot<S>>);

impl<S: Sink> Default for Before<S> {
    fn default() -> Self {
        Self { mark: None, codec: None }
    }
}

impl<S: Sink> Before<S> {
    /// Saves the position of the file, whose write buffer is empty; returns whether the caller's decoder has to be
    /// saved, too.
    pub(super) fn note_place(&mut self, text: &TextGuard<'_>) -> bool {
        self.mark = text.mark();
        self.mark.is_some() && !text.decoder.is_native()
    }

    /// Saves the state of the caller's decoder.
    pub(super) fn note_codec(&mut self, context: S::Context<'_>, state: &TextState<S>) -> Fallible<S, ()> {
        self.codec = Some((state.codec.save(context)?, state.snapshot()?));
        Ok(())
    }

    /// Restores the file's position, if possible.
    pub(super) fn go_back(&mut self, state: &TextState<S>) -> Option<Unread> {
        let mark = self.mark.take()?;
        if let Some((saved, snapshot)) = self.codec.take() {
            state.codec.restore(saved);
            state.set_snapshot(snapshot);
        }
        Some(Unread::Since(mark))
    }
}
