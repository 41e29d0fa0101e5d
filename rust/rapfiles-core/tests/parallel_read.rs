//! Large results, which workers fill, without Python.
#![cfg(unix)]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;

use rapfiles_core::{
    Engine, KeepAlive, Lane, LargeFile, NativePath, Outcome, ParallelRead, PathOperation, Submitted, Ticket,
};

const SIZE: usize = 5 << 20;

fn outcome(ticket: &Ticket) -> Outcome {
    while !ticket.is_done() {
        std::thread::yield_now();
    }
    ticket.take().unwrap().unwrap()
}

/// A file that is opened to be read as a whole.
fn large(path: &std::path::Path) -> LargeFile {
    let path = NativePath::from_vec(path.to_str().unwrap().as_bytes().to_vec()).unwrap();
    let ticket = Ticket::new(0);
    let found = match Engine::current().submit(PathOperation::Read { path }, Lane::Unknown, &ticket) {
        Submitted::Ready(found) => found.unwrap(),
        Submitted::Pending => outcome(&ticket),
    };
    match found {
        Outcome::Large(file) => file,
        other => panic!("{other:?}"),
    }
}

/// Reads it as a whole, when it has become what it is now.
fn fill(file: LargeFile) -> Vec<u8> {
    let room = Arc::new(std::sync::Mutex::new(vec![0_u8; file.size()]));
    let start = room.lock().unwrap().as_mut_ptr();
    let ticket = Ticket::new(0);
    // SAFETY: the vector stays as it is, and nobody looks at it before the fill is done.
    Engine::current().read_parallel(
        unsafe { ParallelRead::new(file, start, 0, KeepAlive::new(Arc::clone(&room))) },
        &ticket,
    );
    let Outcome::Filled { length, tail } = outcome(&ticket) else { panic!("it is filled") };
    let mut content = room.lock().unwrap()[..length].to_vec();
    content.extend(tail);
    content
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let content: Vec<u8> = (0..SIZE + 3).map(|at| (at % 251) as u8).collect();
    for (then, now) in
        [(SIZE, SIZE), (SIZE, SIZE + 1), (SIZE, SIZE + 3), (SIZE, SIZE - 1), (SIZE + 1, SIZE - 7)]
    {
        fs::write(&path, &content[..then]).unwrap();
        let file = large(&path);
        assert_eq!(file.size(), then);
        let mut changed = OpenOptions::new().append(true).open(&path).unwrap();
        changed.write_all(content.get(then..now).unwrap_or_default()).unwrap();
        changed.set_len(now as u64).unwrap();
        assert!(fill(file) == content[..now], "{then}, then {now}");
    }
}
