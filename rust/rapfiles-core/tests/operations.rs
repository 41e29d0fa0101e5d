//! The operations on handles, driven without Python: what they give, at sizes around every limit, and cancelled at any step.
#![cfg(unix)]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};

use rapfiles_core::handle::ops::{
    Close, Flush, ReadAt, ReadInto, ReadLarge, ReadLine, ReadLines, ReadOnce, ReadSome, Seek, Sequence, Stat,
    Synchronise, Tell, Truncate, Write, WriteAt, detach, read,
};
use rapfiles_core::handle::{Complaint, Failure, FileOperation};
use support::{
    Target, Value, Values, adopt, bytes, cancel_after, complaint, finish, folder, number, open, run,
    run_beside, source,
};

const READ: (bool, bool, bool) = (true, false, false);
const WRITE: (bool, bool, bool) = (false, true, false);
const BOTH: (bool, bool, bool) = (true, true, false);

/// Sizes around what is read at once, read ahead, sliced, shared, copied and buffered.
const SIZES: [usize; 22] = [
    0,
    1,
    2,
    8191,
    8192,
    8193,
    (32 << 10) - 1,
    32 << 10,
    (32 << 10) + 1,
    (64 << 10) - 1,
    (64 << 10) + 1,
    (128 << 10) - 1,
    128 << 10,
    (128 << 10) + 1,
    (256 << 10) - 1,
    256 << 10,
    (256 << 10) + 1,
    1 << 20,
    (1 << 20) + 1,
    4 << 20,
    (4 << 20) + 1,
    5 << 20,
];

/// Content in which every position is told from its neighbours, with a line end now and then.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|at| if at % 61 == 60 { b'\n' } else { (at ^ (at >> 8) ^ (at >> 16)) as u8 | 0x10 })
        .collect()
}

fn driver(operation: Box<dyn FileOperation<Values>>) -> rapfiles_core::handle::Driver<Values> {
    rapfiles_core::handle::Driver::new(operation)
}

#[test]
fn reads_of_any_size_give_the_content() {
    let folder = folder("read");
    let path = folder.join("file");
    for length in SIZES {
        let content = content(length);
        fs::write(&path, &content).unwrap();
        for size in SIZES.into_iter().filter(|size| *size > 0 && length / size < 300) {
            let file = open(&path, READ);
            let mut whole = Vec::new();
            loop {
                let part = bytes(finish(driver(read(Some(size), false)), &file));
                whole.extend_from_slice(&part);
                assert!(part.len() == size || whole.len() == length, "{length} {size}");
                if part.len() < size {
                    break;
                }
            }
            assert!(whole == content, "{length} in pieces of {size}");
            assert_eq!(run(&file, Close::default()).unwrap(), Value::Nothing);
        }
        let file = open(&path, READ);
        let begun = bytes(finish(driver(read(Some(3), false)), &file));
        let rest = bytes(finish(driver(read(None, false)), &file));
        assert!([begun, rest].concat() == content, "{length}");
        assert!(matches!(finish(driver(read(Some(1), true)), &file), Err(Failure::NoMoreItems)));
        run(&file, Close::default()).unwrap();
        assert_eq!(complaint(finish(driver(read(None, false)), &file)), Complaint::ReadOfClosedFile);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_cancelled_read_has_taken_comes_next() {
    let folder = folder("cancel");
    let path = folder.join("file");
    let content = content(5 << 20);
    fs::write(&path, &content).unwrap();
    for steps in 0..4 {
        for size in SIZES {
            // Not opened here for reading only, so that workers have to do it.
            let file = open(&path, BOTH);
            let begun = bytes(finish(driver(read(Some(5), false)), &file));
            let cancelled = match size % 3 {
                0 => cancel_after(&file, steps, ReadLarge::new(Some(size), false)),
                1 => cancel_after(&file, steps, ReadInto::new(Target::new(size), false)),
                _ => cancel_after(&file, steps, ReadLines::<Values>::new(Some(size.max(1)), false)),
            };
            if cancelled.is_none() {
                let rest = bytes(finish(driver(read(None, false)), &file));
                assert!([&begun[..], &rest].concat() == content, "{size} after {steps}");
            }
            run(&file, Close::default()).unwrap();
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn memory_of_the_callers_is_filled() {
    let folder = folder("into");
    let path = folder.join("file");
    let content = content(3 << 20);
    fs::write(&path, &content).unwrap();
    for size in SIZES {
        let file = open(&path, READ);
        let target = Target::new(size);
        let length = number(run(&file, ReadInto::new(Target(target.0.clone()), false))) as usize;
        assert_eq!(length, size.min(content.len()));
        assert!(target.content()[..length] == content[..length]);
        // With one read there is something, and it is what comes next.
        let once = Target::new(4096);
        let more = number(run(&file, ReadInto::new(Target(once.0.clone()), true))) as usize;
        assert!(content[length..].starts_with(&once.content()[..more]), "{size}");
        assert_eq!(more == 0, length == content.len());
        run(&file, Close::default()).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_there_is_read_and_shown() {
    let folder = folder("some");
    let path = folder.join("file");
    let content = content(20_000);
    fs::write(&path, &content).unwrap();
    let file = open(&path, READ);
    let shown = bytes(run(&file, ReadSome { size: 0, peek: true }));
    assert!(!shown.is_empty() && content.starts_with(&shown));
    let some = bytes(run(&file, ReadSome { size: 100, peek: false }));
    assert_eq!(some, content[..100]);
    assert_eq!(number(run(&file, Tell)), 100);
    run(&file, Close::default()).unwrap();
    assert_eq!(complaint(run(&file, ReadSome { size: 0, peek: true })), Complaint::PeekOfClosedFile);
    let written = open(&path, WRITE);
    assert_eq!(complaint(run(&written, ReadSome { size: 1, peek: false })), Complaint::CannotRead1);
    assert_eq!(complaint(finish(driver(read(Some(1), false)), &written)), Complaint::CannotRead);
    run(&written, Close::default()).unwrap();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_was_written_is_there_when_the_file_is_closed() {
    let folder = folder("write");
    let path = folder.join("file");
    for constant in [true, false] {
        for size in SIZES {
            let file = open(&path, WRITE);
            let piece = content(size);
            for _ in 0..3 {
                assert_eq!(number(run(&file, Write { source: source(&piece, constant) })), size as u64);
            }
            run(&file, Close::default()).unwrap();
            assert!(fs::read(&path).unwrap() == piece.repeat(3), "{size} {constant}");
            fs::remove_file(&path).unwrap();
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn reading_and_writing_take_turns() {
    let folder = folder("both");
    let path = folder.join("file");
    for size in SIZES.into_iter().filter(|size| *size > 10) {
        let mut expected = content(size);
        fs::write(&path, &expected).unwrap();
        let file = open(&path, BOTH);
        assert_eq!(bytes(finish(driver(read(Some(7), false)), &file)), expected[..7]);
        run(&file, Write { source: source(b"abc", true) }).unwrap();
        expected[7..10].copy_from_slice(b"abc");
        assert_eq!(number(run(&file, Tell)), 10);
        assert!(bytes(finish(driver(read(None, false)), &file)) == expected[10..]);
        assert_eq!(number(run(&file, Seek { offset: 2, whence: 0, raw: false })), 2);
        run(&file, Write { source: source(b"xy", true) }).unwrap();
        expected[2..4].copy_from_slice(b"xy");
        run(&file, Flush { closed: Complaint::FlushOfClosedFile }).unwrap();
        assert!(fs::read(&path).unwrap() == expected, "{size}");
        assert_eq!(number(run(&file, truncate(Some(5)))), 5);
        assert_eq!(number(run(&file, Seek { offset: 0, whence: 2, raw: false })), 5);
        run(&file, Synchronise { data_only: true }).unwrap();
        assert_eq!(run_beside(&file, Stat).unwrap(), Value::Length(5));
        run(&file, Close::default()).unwrap();
        assert_eq!(
            complaint(run(&file, Seek { offset: 0, whence: 0, raw: false })),
            Complaint::SeekOfClosedFile
        );
        assert_eq!(complaint(run(&file, truncate(None))), Complaint::TruncateOfClosedFile);
        assert_eq!(complaint(run(&file, Tell)), Complaint::ClosedFile);
    }
    fs::remove_dir_all(folder).unwrap();
}

fn truncate(length: Option<i64>) -> Truncate {
    Truncate { length, refusal: Complaint::CannotTruncate, closed: Complaint::TruncateOfClosedFile }
}

#[test]
fn positional_operations_need_no_turn() {
    let folder = folder("positional");
    let path = folder.join("file");
    let content = content(2 << 20);
    fs::write(&path, &content).unwrap();
    let file = open(&path, BOTH);
    // Somebody has the turn all the while.
    let turn = file.handle.begin().unwrap().unwrap().keep().unwrap();
    for size in SIZES {
        let part = bytes(run_beside(&file, ReadAt { size, offset: 10 }));
        assert!(part == content[10..(10 + size).min(content.len())], "{size}");
    }
    assert_eq!(bytes(run_beside(&file, ReadAt { size: 10, offset: 1 << 40 })), b"");
    assert_eq!(number(run_beside(&file, WriteAt { source: source(b"there", false), offset: 100 })), 5);
    assert_eq!(bytes(run_beside(&file, ReadAt { size: 7, offset: 99 }))[1..6], *b"there");
    drop(turn);
    run(&file, Close::default()).unwrap();
    assert_eq!(complaint(run_beside(&file, ReadAt { size: 1, offset: 0 })), Complaint::ClosedFile);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn lines_are_those_of_the_file() {
    let folder = folder("lines");
    let path = folder.join("file");
    for length in SIZES {
        let mut content = content(length);
        if length > 3 << 20 {
            // One that is longer than what is looked through on the loop.
            content[100..(2 << 20)].fill(b'x');
        }
        fs::write(&path, &content).unwrap();
        let expected: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
        let file = open(&path, READ);
        if length <= 300 << 10 {
            for line in &expected {
                assert_eq!(bytes(run(&file, ReadLine::new(None, true, false))), *line);
            }
            assert!(matches!(run(&file, ReadLine::new(None, true, false)), Err(Failure::NoMoreItems)));
            run(&file, Seek { offset: 0, whence: 0, raw: false }).unwrap();
        }
        match run(&file, ReadLines::<Values>::new(None, false)) {
            Ok(Value::Lines(lines)) => assert!(lines == expected, "{length}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(bytes(run(&file, ReadLine::new(None, false, false))), b"");
        run(&file, Close::default()).unwrap();
        assert_eq!(
            complaint(run(&file, ReadLine::new(Some(0), false, false))),
            Complaint::ReadLineOfClosedFile
        );
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn operations_come_one_after_the_other() {
    let folder = folder("turns");
    let path = folder.join("file");
    let file = open(&path, BOTH);
    let turn = file.handle.begin().unwrap().unwrap().keep().unwrap();
    let mut writes: Vec<_> =
        (0..10_u8).map(|digit| support::begin(Write { source: source(&[b'0' + digit], true) })).collect();
    for write in &mut writes {
        assert!(matches!(write.advance((), &file), rapfiles_core::Progress::Pending(_)));
    }
    // One that is given up leaves the others their places.
    writes.remove(3).abandon(&file);
    drop(turn);
    // The last one is asked first: it waits for those before it.
    let mut progress: Vec<_> = writes.iter_mut().rev().map(|write| write.advance((), &file)).collect();
    assert!(matches!(progress.pop(), Some(rapfiles_core::Progress::Done(Ok(Value::Number(1))))));
    for write in writes.drain(1..) {
        assert_eq!(number(finish(write, &file)), 1);
    }
    run(&file, Close::default()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"012456789");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn several_writes_are_one_operation() {
    let folder = folder("sequence");
    let path = folder.join("file");
    let file = open(&path, WRITE);
    let done = std::sync::Arc::default();
    let parts: Vec<Box<dyn FileOperation<Values>>> = (0..100)
        .map(|_| Box::new(Write { source: source(&[b'x'; 50_000], false) }) as Box<dyn FileOperation<Values>>)
        .collect();
    run(&file, Sequence::new("writelines", parts, std::sync::Arc::clone(&done))).unwrap();
    assert_eq!(done.load(std::sync::atomic::Ordering::Relaxed), 100);
    run(&file, Close::default()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 5_000_000);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_pipe_gives_what_there_is() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let file = adopt(std::os::fd::OwnedFd::from(reader), true, false);
    writer.write_all(b"one\ntwo").unwrap();
    assert_eq!(bytes(run(&file, ReadLine::new(None, false, false))), b"one\n");
    assert_eq!(bytes(run(&file, ReadSome { size: 100, peek: false })), b"two");
    // Given up while it waits, it takes nothing.
    assert!(cancel_now(&file));
    writer.write_all(b"three").unwrap();
    assert_eq!(bytes(run(&file, ReadOnce::<Values>::new(100))), b"three");
    drop(writer);
    assert_eq!(bytes(finish(driver(read(None, false)), &file)), b"");
    assert_eq!(complaint(run(&file, Seek { offset: 0, whence: 0, raw: false })), Complaint::CannotSeek);
    run(&file, Close::default()).unwrap();
}

/// Begins to read what is not there, and gives that up; whether it had to wait.
fn cancel_now(file: &support::File) -> bool {
    let mut reading = driver(read(Some(10), false));
    let waits = matches!(reading.advance((), file), rapfiles_core::Progress::Pending(_));
    reading.abandon(file);
    waits
}

#[test]
fn a_file_that_is_given_away_is_where_its_user_was() {
    use std::os::fd::FromRawFd;
    let folder = folder("detach");
    let path = folder.join("file");
    let content = content(300_000);
    fs::write(&path, &content).unwrap();
    let file = open(&path, READ);
    assert_eq!(bytes(finish(driver(read(Some(10), false)), &file)), content[..10]);
    let turn = file.handle.begin().unwrap().unwrap().keep().unwrap();
    assert!(matches!(detach((), &file), Err(Failure::Complaint(Complaint::UnderWay))));
    drop(turn);
    let descriptor = detach((), &file).unwrap();
    assert!(matches!(detach((), &file), Err(Failure::Complaint(Complaint::ClosedFile))));
    // SAFETY: the descriptor is this test's now.
    let mut file = unsafe { fs::File::from_raw_fd(descriptor) };
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert!(rest == content[10..]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_error_of_writing_is_told_by_whoever_comes_next() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else { return };
    let file = adopt(std::os::fd::OwnedFd::from(full), false, true);
    run(&file, Write { source: source(b"lost", true) }).unwrap();
    assert!(matches!(run(&file, Flush { closed: Complaint::FlushOfClosedFile }), Err(Failure::Error(_))));
    assert!(matches!(run(&file, Close::default()), Err(Failure::Error(_))));
    assert!(file.handle.is_closed());
    assert_eq!(run(&file, Close::default()).unwrap(), Value::Nothing);
}

#[test]
fn a_close_that_is_given_up_happens_all_the_same() {
    let folder = folder("close");
    let path = folder.join("file");
    for steps in 0..3 {
        let file = open(&path, WRITE);
        run(&file, Write { source: source(&content(700_000), false) }).unwrap();
        if cancel_after(&file, steps, Close::default()).is_none() {
            assert!(file.handle.is_left());
        }
        // Closing it once more waits for that.
        run(&file, Close::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 700_000);
        fs::remove_file(&path).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}
