//! The engine: submitting operations, the workers that run them, and the delivery of their results.

pub(crate) mod budget;
pub(crate) mod configuration;
pub(crate) mod counters;
#[allow(clippy::module_inception, reason = "the noun of the folder")]
mod engine;
pub(crate) mod keep_alive;
pub(crate) mod kind;
pub(crate) mod lane;
pub(crate) mod pool;
pub(crate) mod port;
pub(crate) mod progress;
pub(crate) mod queue;
pub(crate) mod runtime;
pub(crate) mod stream;
pub(crate) mod ticket;
pub(crate) mod timing;

pub(crate) use engine::Process;
pub use engine::{Engine, Submitted};
