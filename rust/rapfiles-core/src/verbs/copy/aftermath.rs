//! Removing what an unfinished copy leaves, in the background and in small steps.

use std::sync::{Arc, Mutex};

use crate::engine::lane::Lane;
use crate::engine::stream::{Slice, SliceBySlice};
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, runtime};
use crate::limits::STREAM_STEP;
use crate::outcome::Outcome;
use crate::platform::NativePath;
use crate::verbs::post_order::PostOrder;
use crate::verbs::remove_tree::{Remover, unattended};

/// Whether everything has been removed, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Aftermath(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    over: bool,
    waiter: Option<Arc<Ticket>>,
}

impl Aftermath {
    /// Nothing is left.
    pub(crate) fn over(&self) {
        let mut state = runtime::lock(&self.0);
        state.over = true;
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            waiter.finish(Ok(Outcome::Done));
        }
    }

    /// The ticket to wait for, unless nothing is left.
    pub(crate) fn wait(&self, ticket: impl FnOnce() -> Arc<Ticket>) -> Option<Arc<Ticket>> {
        let mut state = runtime::lock(&self.0);
        if state.over {
            return None;
        }
        let ticket = ticket();
        state.waiter = Some(Arc::clone(&ticket));
        Some(ticket)
    }

    /// Removes a tree, ignoring errors, and then reports that nothing is left.
    pub(crate) fn clear(self: Arc<Self>, engine: &Arc<Engine>, lane: Lane, tree: NativePath) {
        go_on(engine, lane, unattended(tree), self);
    }
}

fn go_on(
    engine: &Arc<Engine>,
    lane: Lane,
    mut removal: SliceBySlice<PostOrder<Remover>>,
    aftermath: Arc<Aftermath>,
) {
    let again = Arc::clone(engine);
    engine.spawn(lane, move || match removal.go_on(&Slice::alone(STREAM_STEP)) {
        Ok(false) => go_on(&again, lane, removal, aftermath),
        Ok(true) | Err(_) => aftermath.over(),
    });
}
