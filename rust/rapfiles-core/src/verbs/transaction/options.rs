//! The options of a transaction.

/// The options of a transaction.
#[derive(Debug, Clone, Copy)]
pub struct TransactionOptions {
    /// When the transaction is committed, the device has all of it.
    pub durable: bool,
    /// The directory is exchanged as a whole, so that others see all changes at once. That is always durable.
    pub swap: bool,
}
