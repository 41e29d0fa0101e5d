//! Transactions: changes of several files in one directory, of which all happen or none, also after a crash.
//!
//! This is a redo log. All new content is staged in files of `<directory>/.rapfiles/<id>/` and synchronised. A manifest
//! says what is to be done with them. Renaming it to `commit` is the commit point: before, the transaction is undone by
//! removing the directory of the log; after, it is finished by applying the manifest, which may be done any number of
//! times.
//!
//! Two locks: `<id>/lock` is held for as long as the transaction may go on, so that recovery leaves it alone; and
//! `.rapfiles/lock` is held by a commit or a recovery, and only in one job of a worker, so that a transaction
//! never waits for one that is in its block.
//!
//! A transaction that exchanges its directory (`swap`) needs no redo log. Its changes are made in a copy beside the
//! directory; exchanging the two is the commit point. Before, the transaction is undone by removing the copy; after, it
//! is finished by removing the old directory, which has the same name then. The copy has a log of the same id, with the
//! entry `swapped`, so recovery finds one in the directory on both sides of the exchange, and knows by it on which.

mod apply;
mod changes;
mod commit;
mod copying;
mod duplicate;
mod file_lock;
mod log;
mod manifest;
mod name;
mod options;
mod places;
mod recover;
mod refused;
mod replacement;
mod stage;
mod staged;
mod swapping;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "it looks at the real file system")]
mod tests;
mod together;
#[allow(clippy::module_inception, reason = "the noun of the folder")]
mod transaction;
mod tree;

pub use options::TransactionOptions;
pub use recover::Recovery;
pub(crate) use recover::recover;
pub use stage::Staging;
pub(crate) use stage::StagingResult;
pub use transaction::Transaction;
