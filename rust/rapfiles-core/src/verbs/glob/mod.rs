//! Globbing: the entries of a tree that match a pattern, as in pathlib.

mod barren;
mod case;
mod characters;
mod find;
mod name_pattern;
mod selector;

pub(crate) use characters::decode;
pub use find::{Glob, GlobFound, GlobGroup, GlobPart};
pub use name_pattern::NamePattern;
pub(crate) use name_pattern::Token;
pub use selector::{GlobRules, Selector};
