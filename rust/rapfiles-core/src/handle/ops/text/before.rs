//! Where a text file was before an operation that takes several steps, to be there again when it is given up halfway.

use crate::handle::guard::Guard;
use crate::handle::mark::Mark;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::text::{ForeignCodec, Snapshot, TextState};
use crate::handle::trace::Unread;

/// Where a text file was, and what the caller's decoder was like.
pub(super) struct Before<S: Sink> {
    mark: Option<Mark>,
    codec: Option<Saved<S>>,
}

/// What the caller's decoder was like, and from where it could go on to that.
type Saved<S> = (<<S as Sink>::ForeignCodec as ForeignCodec<S>>::Saved, Option<Snapshot<S>>);

impl<S: Sink> Default for Before<S> {
    fn default() -> Self {
        Self { mark: None, codec: None }
    }
}

impl<S: Sink> Before<S> {
    /// Notes where the file is, which the kernel has all of; whether the caller's decoder is to be asked, too.
    pub(super) fn note_place(&mut self, guard: &mut Guard<'_>) -> bool {
        self.mark = guard.mark();
        self.mark.is_some() && guard.decoder().is_some_and(|decoder| !decoder.is_native())
    }

    /// Notes what the caller's decoder is like.
    pub(super) fn note_codec(&mut self, context: S::Context<'_>, state: &TextState<S>) -> Fallible<S, ()> {
        self.codec = Some((state.codec.save(context)?, state.snapshot(context)?));
        Ok(())
    }

    /// Has the file go back, if it can.
    pub(super) fn go_back(&mut self, state: &TextState<S>) -> Option<Unread> {
        let mark = self.mark.take()?;
        if let Some((saved, snapshot)) = self.codec.take() {
            state.codec.restore(saved);
            state.set_snapshot(snapshot);
        }
        Some(Unread::Since(mark))
    }
}
