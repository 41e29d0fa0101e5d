//! What a committed transaction does, as text in a file.
//!
//! A line for each record, words separated by single spaces; names with `%` and two hexadecimal digits for each byte
//! that is not a printable ASCII character. The last line has the checksum of all before it. Nothing that differs from
//! this is accepted.

use std::fmt::Write;

use super::name::Name;
use super::staged::Content;
use crate::verbs::metadata::Timestamp;

/// The first line: the format, and its version.
const HEADER: &str = "rapfiles transaction 1";

/// One change. Each may be done any number of times, and all in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// Create a directory.
    Make { name: Name },
    /// Rename a file of the log to this name. The content of one that was written is known.
    Put { file: u64, content: Option<Content>, name: Name },
    /// Write the content of a file of the log into another one, at its old end.
    Append { file: u64, content: Content, old: u64, name: Name },
    /// Remove the entry of this name, if this is when it was last modified.
    Remove { modified: Timestamp, name: Name },
}

impl Record {
    pub(super) fn name(&self) -> &Name {
        let (Self::Make { name }
        | Self::Put { name, .. }
        | Self::Append { name, .. }
        | Self::Remove { name, .. }) = self;
        name
    }
}

/// The text of a manifest.
pub(super) fn encode(records: &[Record]) -> String {
    let mut text = format!("{HEADER}\n");
    for record in records {
        let line = match record {
            Record::Make { .. } => "make".to_owned(),
            Record::Put { file, content: None, .. } => format!("move {file}"),
            Record::Put { file, content: Some(Content { size, hash }), .. } => {
                format!("put {file} {size} {}", hash.to_hex())
            }
            Record::Append { file, content: Content { size, hash }, old, .. } => {
                format!("append {file} {size} {} {old}", hash.to_hex())
            }
            Record::Remove { modified: Timestamp { seconds, nanoseconds }, .. } => {
                format!("remove {seconds} {nanoseconds}")
            }
        };
        let _ = writeln!(text, "{line} {}", escaped(record.name().bytes()));
    }
    let sum = blake3::hash(text.as_bytes());
    let _ = writeln!(text, "sum {}", sum.to_hex());
    text
}

/// The records of a manifest; `None` if it is not one, or not complete.
pub(super) fn decode(text: &[u8]) -> Option<Vec<Record>> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let end = text.rfind('\n')? + 1;
    let sum = blake3::Hash::from_hex(text[end..].strip_prefix("sum ")?).ok()?;
    if blake3::hash(&text.as_bytes()[..end]) != sum {
        return None;
    }
    let mut lines = text[..end].strip_suffix('\n')?.split('\n');
    if lines.next() != Some(HEADER) {
        return None;
    }
    lines.map(record).collect()
}

fn record(line: &str) -> Option<Record> {
    let words: Vec<&str> = line.split(' ').collect();
    let content = |size: &str, hash: &str| {
        Some(Content { size: size.parse().ok()?, hash: blake3::Hash::from_hex(hash).ok()? })
    };
    Some(match *words.as_slice() {
        ["make", name] => Record::Make { name: unescaped(name)? },
        ["move", file, name] => {
            Record::Put { file: file.parse().ok()?, content: None, name: unescaped(name)? }
        }
        ["put", file, size, hash, name] => Record::Put {
            file: file.parse().ok()?,
            content: Some(content(size, hash)?),
            name: unescaped(name)?,
        },
        ["append", file, size, hash, old, name] => Record::Append {
            file: file.parse().ok()?,
            content: content(size, hash)?,
            old: old.parse().ok()?,
            name: unescaped(name)?,
        },
        ["remove", seconds, nanoseconds, name] => Record::Remove {
            modified: Timestamp { seconds: seconds.parse().ok()?, nanoseconds: nanoseconds.parse().ok()? },
            name: unescaped(name)?,
        },
        _ => return None,
    })
}

fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_graphic() && *byte != b'%' {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Name> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            name.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            name.push(*first);
        }
    }
    Name::parse(&name)
}
