//! Searching for the end of a line.

/// Where the first line feed is.
#[inline(always)]
pub(crate) fn line_feed_in(content: &[u8]) -> Option<usize> {
    // For lines of ordinary length this is faster than the call of `memchr` and its choice of an implementation.
    #[cfg(target_arch = "x86_64")]
    if let Some(block) = content.first_chunk() {
        let found = line_feeds(block);
        return if found != 0 { Some(found.trailing_zeros() as usize) } else { line_feed_behind(content) };
    }
    memchr::memchr(b'\n', content)
}

/// The same where there is none in the first block.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn line_feed_behind(content: &[u8]) -> Option<usize> {
    const NEAR: usize = 4;
    let (blocks, _) = content.as_chunks();
    let mut near = blocks.iter().take(NEAR).map(line_feeds).enumerate();
    if let Some((at, found)) = near.find(|(_, found)| *found != 0) {
        return Some(at * BLOCK + found.trailing_zeros() as usize);
    }
    let from = content.len().min(NEAR * BLOCK) / BLOCK * BLOCK;
    memchr::memchr(b'\n', &content[from..]).map(|at| from + at)
}

#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 64;

/// Which of the bytes are line feeds: a bit for each.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line_feeds(block: &[u8; BLOCK]) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};

    let (parts, _) = block.as_chunks::<16>();
    parts.iter().enumerate().fold(0, |found, (at, part)| {
        // SAFETY: SSE2 is part of every x86-64, and `part` has the 16 bytes that are loaded, wherever they lie.
        let bits = unsafe {
            let bytes = _mm_loadu_si128(part.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\n'.cast_signed())))
        };
        found | u64::from(bits as u16) << (16 * at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_is_found_wherever_it_is() {
        for length in 0..400 {
            // Bytes next to it, which a search by words might take for it.
            let content: Vec<u8> = (0..length).map(|at| [0x0b, 0x09, 0x8a, 0x00, 0xff][at % 5]).collect();
            assert_eq!(line_feed_in(&content), None);
            for at in 0..length {
                let mut content = content.clone();
                content[at] = b'\n';
                assert_eq!(line_feed_in(&content), Some(at));
                content[length - 1] = b'\n';
                assert_eq!(line_feed_in(&content), Some(at));
            }
        }
    }
}
