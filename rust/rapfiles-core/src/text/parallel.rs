//! Work on a large piece of memory, shared by several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::engine::runtime;
use crate::limits::{PARALLEL_TEXT, TEXT_PART, TEXT_THREADS};

/// How many parts a piece of memory of this size has.
pub(crate) fn parts(length: usize) -> usize {
    if length < PARALLEL_TEXT { 1 } else { length.div_ceil(TEXT_PART) }
}

/// Where each part of a text begins, and where the last one ends. No character is in two parts.
pub(crate) fn boundaries(content: &[u8]) -> Vec<usize> {
    let parts = parts(content.len());
    let begins_character = |at: &usize| content.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let boundary = |part: usize| match part {
        0 => 0,
        part if part == parts => content.len(),
        part => (part * TEXT_PART..content.len()).find(begins_character).unwrap_or(content.len()),
    };
    (0..=parts).map(boundary).collect()
}

/// Does the work for each part, and returns the results in their order.
pub(crate) fn for_each_part<T: Send>(parts: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    // Finding the number of processors reads files of the system (cgroups), so it is done once, and not for a single
    // part. Not under a lock, which a forked child might find locked; two threads may ask.
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let threads = || match THREADS.load(Ordering::Relaxed) {
        0 => {
            let threads = thread::available_parallelism().map_or(1, usize::from);
            THREADS.store(threads, Ordering::Relaxed);
            threads
        }
        threads => threads,
    };
    let helpers = if parts > 1 { threads().min(TEXT_THREADS).min(parts) - 1 } else { 0 };
    if helpers == 0 {
        return (0..parts).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<T>>> = (0..parts).map(|_| Mutex::new(None)).collect();
    let run = || {
        while let part = next.fetch_add(1, Ordering::Relaxed)
            && part < parts
        {
            let result = work(part);
            *runtime::lock(&results[part]) = Some(result);
        }
    };
    runtime::run_beside(helpers, run);
    let results =
        results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
    results.map(|result| result.expect("each part was taken, and its thread has ended")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut() {
        let content = "€".repeat(PARALLEL_TEXT);
        let boundaries = boundaries(content.as_bytes());
        assert!(boundaries.len() > 2);
        assert!(boundaries.iter().all(|at| content.is_char_boundary(*at)));
        assert_eq!((boundaries[0], boundaries[boundaries.len() - 1]), (0, content.len()));
    }

    #[test]
    fn results_come_in_their_order() {
        assert_eq!(for_each_part(100, |part| part * 2), (0..100).map(|part| part * 2).collect::<Vec<_>>());
    }
}
