//! The operations on text files, driven without Python.
#![cfg(unix)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rapfiles_core::handle::ops::text::{Read, ReadAll, ReadLine, ReadLines, Seek, Tell, Write};
use rapfiles_core::handle::ops::{Close, Flush};
use rapfiles_core::handle::{Complaint, Failure, TextSettings, TextState};
use rapfiles_core::{Codec, Decoder};
use support::{Answered, File, Utf16, Value, Values, cancel_after, complaint, folder, number, open, run};

type State = Arc<TextState<Values>>;

const NEWLINES: [Option<&str>; 5] = [None, Some(""), Some("\n"), Some("\r"), Some("\r\n")];
const CODECS: [Option<Codec>; 3] = [Some(Codec::Utf8), Some(Codec::Latin1), None];

/// A text file. `native`: the engine's codec, or that of the caller's.
fn open_text(
    path: &Path,
    write: bool,
    native: Option<Codec>,
    newline: Option<&'static str>,
) -> (File, State) {
    let file = open(path, (true, write, false));
    let settings =
        TextSettings { native, newline, line_buffering: false, write_through: false, sliced: true };
    file.handle.begin().unwrap().unwrap().set_decoder(Some(Decoder::new(native, settings.line_ends())));
    (file, Arc::new(TextState::new(settings, Utf16::default())))
}

/// Text of `length` characters, with line ends of all kinds, and characters of other widths where the codec has them.
fn content(length: usize, native: Option<Codec>) -> String {
    let others: &[char] = if native == Some(Codec::Latin1) { &['é', 'x'] } else { &['é', '€'] };
    let character = |at: usize| match at % 83 {
        17 => '\r',
        50 | 18 if at.is_multiple_of(2) => '\n',
        70 => '\n',
        79 => others[0],
        81 => others[1],
        other => char::from(b'a' + (other % 26) as u8),
    };
    (0..length).map(character).collect()
}

fn encoded(text: &str, native: Option<Codec>) -> Vec<u8> {
    match native {
        Some(Codec::Latin1) => text.chars().map(|character| u8::try_from(character).unwrap()).collect(),
        Some(_) => text.as_bytes().to_vec(),
        None => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    }
}

/// What is read of a text. The caller's decoder leaves line ends as they are.
fn translated(text: &str, native: Option<Codec>, newline: Option<&str>) -> String {
    if newline.is_none() && native.is_some() {
        text.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        text.to_owned()
    }
}

/// The lines of a text that has been read.
fn lines(text: &str, native: Option<Codec>, newline: Option<&str>) -> Vec<String> {
    let universal = newline == Some("");
    let end = newline.filter(|newline| !newline.is_empty()).unwrap_or("\n");
    // The caller's decoder is to translate them before anybody looks for the ends.
    assert!(native.is_some() || newline == Some("\n"));
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = if universal {
            rest.find(['\r', '\n']).map(|at| at + if rest[at..].starts_with("\r\n") { 2 } else { 1 })
        } else {
            rest.find(end).map(|at| at + end.len())
        };
        let (line, after) = rest.split_at(at.unwrap_or(rest.len()));
        lines.push(line.to_owned());
        rest = after;
    }
    lines
}

fn text(answer: Answered) -> String {
    match answer {
        Ok(Value::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn close(file: &File) {
    assert_eq!(run(file, Close::default()).unwrap(), Value::Nothing);
}

#[test]
fn text_of_any_size_is_read_in_any_pieces() {
    let folder = folder("text-read");
    let path = folder.join("file");
    for native in CODECS {
        for length in [0, 1, 8191, 8192, 8193, 32_767, 32_769, 70_000, 263_000, 1_100_000] {
            let content = content(length, native);
            fs::write(&path, encoded(&content, native)).unwrap();
            for newline in [None, Some("")] {
                let expected = translated(&content, native, newline);
                for size in [1, 100, 8192, 32_768, 32_769, 300_000] {
                    if length / size > 1000 {
                        continue;
                    }
                    let (file, state) = open_text(&path, false, native, newline);
                    let mut whole = String::new();
                    loop {
                        let part = text(run(&file, Read::new(&state, size)));
                        whole.push_str(&part);
                        if part.is_empty() {
                            break;
                        }
                        assert!(part.chars().count() == size || whole == expected, "{length} {size}");
                    }
                    assert!(whole == expected, "{native:?} {length} {newline:?} in pieces of {size}");
                    close(&file);
                }
                let (file, state) = open_text(&path, false, native, newline);
                let begun = text(run(&file, Read::new(&state, 3)));
                assert!(begun + &text(run(&file, ReadAll::new(&state))) == expected, "{native:?} {length}");
                close(&file);
                assert_eq!(complaint(run(&file, ReadAll::new(&state))), Complaint::ClosedStream);
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn lines_end_where_they_are_said_to() {
    let folder = folder("text-lines");
    let path = folder.join("file");
    for native in CODECS {
        for length in [0, 1, 8192, 30_000, 1_100_000] {
            let content = content(length, native);
            fs::write(&path, encoded(&content, native)).unwrap();
            for newline in NEWLINES {
                if native.is_none() && newline != Some("\n") {
                    continue;
                }
                let expected = lines(&translated(&content, native, newline), native, newline);
                let (file, state) = open_text(&path, false, native, newline);
                if length < 100_000 {
                    for line in &expected {
                        assert_eq!(text(run(&file, ReadLine::new(&state, None, true))), *line);
                    }
                    let end = run(&file, ReadLine::new(&state, None, true));
                    assert!(matches!(end, Err(Failure::NoMoreItems)));
                    run(&file, Seek::new(&state, Value::Number(0), 0)).unwrap();
                    let begun = expected.first().cloned().unwrap_or_default();
                    let begun: String = begun.chars().take(2).collect();
                    assert_eq!(text(run(&file, ReadLine::new(&state, Some(2), false))), begun);
                    run(&file, Seek::new(&state, Value::Number(0), 0)).unwrap();
                }
                match run(&file, ReadLines::new(&state, None)) {
                    Ok(Value::Lines(lines)) => {
                        let expected: Vec<_> = expected.iter().map(|line| line.as_bytes()).collect();
                        assert!(lines == expected, "{native:?} {length} {newline:?}");
                    }
                    other => panic!("{other:?}"),
                }
                assert_eq!(text(run(&file, ReadLine::new(&state, None, false))), "");
                close(&file);
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_place_that_was_told_is_found_again() {
    let folder = folder("text-tell");
    let path = folder.join("file");
    for native in CODECS {
        let content = content(40_000, native);
        fs::write(&path, encoded(&content, native)).unwrap();
        for newline in NEWLINES {
            let expected = translated(&content, native, newline);
            let (file, state) = open_text(&path, false, native, newline);
            let mut places = Vec::new();
            let mut at = 0;
            for step in (1..).map(|step| step * 37 % 911) {
                places.push((at, run(&file, Tell::new(&state)).unwrap()));
                let part = text(run(&file, Read::new(&state, step)));
                at += part.len();
                if part.is_empty() {
                    break;
                }
            }
            for (at, place) in places.into_iter().rev() {
                assert_eq!(run(&file, Seek::new(&state, place.clone(), 0)).unwrap(), place);
                let part = text(run(&file, Read::new(&state, 100)));
                assert!(expected[at..].starts_with(&part), "{native:?} {newline:?} {at} {place:?}");
            }
            assert_eq!(
                complaint(run(&file, Seek::new(&state, Value::Number(1), 1))),
                Complaint::InvalidWhence(1)
            );
            let end = run(&file, Seek::new(&state, Value::Number(0), 2)).unwrap();
            assert_eq!(end, Value::Number(encoded(&content, native).len() as u64));
            assert_eq!(text(run(&file, ReadAll::new(&state))), "");
            close(&file);
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_was_written_is_encoded_and_has_its_line_ends() {
    let folder = folder("text-write");
    let path = folder.join("file");
    for native in CODECS {
        for newline in NEWLINES {
            for length in [0, 1, 65_535, 65_537, 300_000] {
                let content = content(length, native);
                let (file, state) = open_text(&path, true, native, newline);
                let written = run(&file, Write::new(&state, content.clone()));
                assert_eq!(number(written), content.chars().count() as u64);
                run(&file, Write::new(&state, "end\n".to_owned())).unwrap();
                run(&file, Flush { closed: Complaint::ClosedStream }).unwrap();
                let end = newline.filter(|newline| !newline.is_empty()).unwrap_or("\n");
                let expected = (content + "end\n").replace('\n', end);
                assert!(fs::read(&path).unwrap() == encoded(&expected, native), "{native:?} {length}");
                close(&file);
                fs::remove_file(&path).unwrap();
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_cannot_be_decoded_or_encoded_is_said_by_the_callers_codec() {
    let folder = folder("text-errors");
    let path = folder.join("file");
    let refused = |answer: Answered| matches!(answer, Err(Failure::Caller(_)));
    for length in [10, 10_000, 400_000] {
        let mut content = vec![b'a'; length];
        content[length - 3] = 0xff;
        fs::write(&path, &content).unwrap();
        let (file, state) = open_text(&path, true, Some(Codec::Utf8), None);
        assert!(refused(run(&file, ReadAll::new(&state))));
        run(&file, Seek::new(&state, Value::Number(0), 0)).unwrap();
        assert!(refused(run(&file, Read::new(&state, length))));
        run(&file, Seek::new(&state, Value::Number(0), 0)).unwrap();
        assert!(refused(run(&file, ReadLine::new(&state, None, false))));
        close(&file);
        let (file, state) = open_text(&path, true, Some(Codec::Ascii), None);
        assert!(refused(run(&file, Write::new(&state, "é".repeat(length)))));
        close(&file);
        let file = open(&path, (false, true, false));
        assert_eq!(complaint(run(&file, Read::new(&state, 1))), Complaint::TextNotReadable);
        close(&file);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_cancelled_read_has_taken_comes_next() {
    let folder = folder("text-cancel");
    let path = folder.join("file");
    for native in CODECS {
        let content = content(1_100_000, native);
        fs::write(&path, encoded(&content, native)).unwrap();
        for newline in [None] {
            let expected = translated(&content, native, newline);
            for steps in 0..3 {
                for kind in 0..5 {
                    let (file, state) = open_text(&path, true, native, newline);
                    let begun = text(run(&file, Read::new(&state, 5)));
                    let cancelled = match kind {
                        0 => cancel_after(&file, steps, Read::new(&state, 1_000_000)),
                        1 => cancel_after(&file, steps, Read::new(&state, 20_000)),
                        2 => cancel_after(&file, steps, ReadAll::new(&state)),
                        3 => cancel_after(&file, steps, ReadLines::new(&state, None)),
                        _ => cancel_after(&file, steps, ReadLines::new(&state, Some(300_000))),
                    };
                    if cancelled.is_none() {
                        let place = run(&file, Tell::new(&state)).unwrap();
                        run(&file, Seek::new(&state, place, 0)).unwrap();
                        let rest = text(run(&file, ReadAll::new(&state)));
                        assert!(begun + &rest == expected, "{native:?} {newline:?} {kind} after {steps}");
                    }
                    close(&file);
                }
            }
        }
    }
    fs::remove_dir_all(folder).unwrap();
}
