//! A stream's source: numbered batches, from parts that take their time, fail, and hold something open.

use std::sync::Arc;

use super::world::world;
use crate::engine::stream::{Claim, Order, Part, Slice, Source, Step};
use crate::error::{Error, Subject};

/// A part's number, and the batch's within it.
pub(super) type Batch = (u8, u8);

pub(super) struct Numbers {
    pub(super) parts: u8,
    pub(super) batches: u8,
    pub(super) failing: bool,
    pub(super) by_readiness: bool,
    pub(super) claimed: u8,
    /// Everything that comes from it has one.
    pub(super) kept: Arc<()>,
}

pub(super) struct Piece {
    number: u8,
    next: u8,
    batches: u8,
    failing: bool,
    _kept: Arc<()>,
}

/// The code of the error with which a part fails.
pub(super) const FAILED: i32 = 900;

impl Source for Numbers {
    type Batch = Batch;
    type Part = Piece;

    fn claim(&mut self) -> Claim<Piece> {
        if self.claimed == self.parts {
            return Claim::Over;
        }
        self.claimed += 1;
        Claim::Part(Piece {
            number: self.claimed,
            next: 0,
            batches: self.batches,
            failing: self.failing && self.claimed == self.parts.div_ceil(2),
            _kept: Arc::clone(&self.kept),
        })
    }

    fn order(&self) -> Order {
        if self.by_readiness { Order::AsReady } else { Order::AsClaimed }
    }
}

impl Part for Piece {
    type Batch = Batch;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Batch>, Error> {
        let Some(world) = world() else { return Ok(Step::Last(None)) };
        for _ in 0..world.random() % 3 {
            world.step();
        }
        if world.chance(16) {
            world.sleep(std::time::Duration::from_millis(world.random() % 8));
        }
        if slice.is_over() && world.chance(128) {
            return Ok(Step::Again);
        }
        if self.failing && self.next == self.batches {
            return Err(Error::Os { code: FAILED, subject: Subject::Nothing });
        }
        if self.next >= self.batches {
            return Ok(Step::Last(None));
        }
        self.next += 1;
        let batch = (self.number, self.next);
        Ok(if self.next == self.batches && !self.failing && world.chance(128) {
            Step::Last(Some(batch))
        } else {
            Step::Batch(batch)
        })
    }
}
