//! Tests of transactions below the Python package.

#[cfg(all(target_os = "linux", not(loom)))]
mod killed;
mod manifest;
