//! Tests of the text of manifests and of names.

use super::super::manifest::{Record, decode, encode};
use super::super::name::Name;
use super::super::staged::Content;
use crate::verbs::metadata::Timestamp;

fn records() -> Vec<Record> {
    let name = |bytes: &[u8]| Name::parse(bytes).unwrap();
    let content = Content { size: 7, hash: blake3::hash(b"content") };
    vec![
        Record::Make { name: name(b"new") },
        Record::Put { file: 1, content: Some(content), name: name(b"new/with space and 100%\n") },
        #[cfg(unix)]
        Record::Put { file: 2, content: None, name: name(b"\xff\xfe not UTF-8 \x01") },
        Record::Append { file: 3, content, old: u64::MAX, name: name("gr\u{fc}\u{df}".as_bytes()) },
        Record::Remove { modified: Timestamp { seconds: -1, nanoseconds: 999_999_999 }, name: name(b"%41") },
    ]
}

#[test]
fn what_was_encoded_is_decoded() {
    let text = encode(&records());
    assert!(text.is_ascii());
    assert_eq!(decode(text.as_bytes()), Some(records()));
    assert_eq!(decode(encode(&[]).as_bytes()), Some(Vec::new()));
}

#[test]
fn nothing_else_is_a_manifest() {
    let text = encode(&records()).into_bytes();
    for end in 0..text.len() {
        assert_eq!(decode(&text[..end]), None, "cut off at {end}");
    }
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut damaged = text.clone();
            damaged[at] ^= 1 << bit;
            // Hexadecimal digits of the checksum may be of either case.
            assert!(matches!(decode(&damaged), None | Some(_) if damaged != text));
            if at < text.len() - 66 {
                assert_eq!(decode(&damaged), None, "bit {bit} of byte {at}");
            }
        }
    }
    let mut longer = text.clone();
    longer.push(b'\n');
    assert_eq!(decode(&longer), None);
}

#[test]
fn a_manifest_names_nothing_outside() {
    for name in ["..", "a/../../b", "/etc/passwd", ".rapfiles/x", ".RapFiles", "a//b", ".", "", "a/"] {
        let body = format!("rapfiles transaction 1\nremove 1 0 {name}\n");
        let text = format!("{body}sum {}\n", blake3::hash(body.as_bytes()).to_hex());
        assert_eq!(decode(text.as_bytes()), None, "{name}");
    }
}

#[test]
fn names_cannot_lead_out() {
    for name in [&b"../x"[..], b"/x", b"x/..", b"x/./y", b"", b"a\0b", b".rapfiles"] {
        assert_eq!(Name::parse(name), None);
    }
    let name = Name::parse(b"a/b/c").unwrap();
    assert_eq!(name.parent(), Name::parse(b"a/b"));
    assert_eq!(Name::found(b"a/b", b"c"), name);
    assert_eq!(Name::found(b"", b"c"), Name::parse(b"c").unwrap());
    assert!(Name::parse(b"x").unwrap().parent().is_none());
}
