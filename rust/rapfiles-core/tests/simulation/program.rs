//! Programs: what a loop's tasks ask for, as data. A seed gives one. What one line of the corpus says does not depend on
//! how that is done: instructions are written with their names and numbers.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use super::world::mix;
use crate::limits;

/// A number of an instruction, as it is written.
trait Number: Sized {
    fn written(&self) -> String;
    /// `None`: it is no such number.
    fn read(text: &str) -> Option<Self>;
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Number for $type {
            fn written(&self) -> String {
                self.to_string()
            }

            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

numbers!(u8, usize, u64, i32, i64, bool);

impl<T: Number> Number for Option<T> {
    fn written(&self) -> String {
        self.as_ref().map_or("-".to_owned(), T::written)
    }

    fn read(text: &str) -> Option<Self> {
        if text == "-" { Some(None) } else { T::read(text).map(Some) }
    }
}

macro_rules! instructions {
    ($($(#[$comment:meta])* $name:ident $({ $($field:ident: $type:ty,)* })?,)*) => {
        /// One thing that the loop does. Numbers of files and operations count what there is, round and round.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Instruction {
            $($(#[$comment])* $name $({ $($field: $type,)* })?,)*
        }

        impl fmt::Display for Instruction {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name $({ $($field,)* })? => {
                        formatter.write_str(stringify!($name))?;
                        $($(write!(formatter, ":{}", $field.written())?;)*)?
                    })*
                }
                Ok(())
            }
        }

        impl FromStr for Instruction {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let mut parts = text.split(':');
                let name = parts.next();
                let mut next = || parts.next().ok_or_else(|| format!("{text} has too few numbers"));
                match name {
                    $(Some(stringify!($name)) => Ok(Self::$name $({
                        $($field: {
                            let number = next()?;
                            Number::read(number).ok_or_else(|| format!("{number} in {text} is no number"))?
                        },)*
                    })?),)*
                    _ => Err(format!("there is no instruction {text}")),
                }
            }
        }
    };
}

instructions! {
    /// Opens a file: for reading, writing, both, or appending.
    Open {
        mode: u8,
        buffered: bool,
        size: usize,
    },
    /// Takes over a descriptor that is open. `keeps`: it is not to be closed with the file.
    Adopt {
        writable: bool,
        keeps: bool,
        size: usize,
    },
    /// A text file. `foreign`: in a codec of the caller's. `mode`: to be read, to be written, or both.
    OpenText {
        foreign: bool,
        mode: u8,
        newline: usize,
        size: usize,
    },
    /// A FIFO to be read.
    OpenPipe,
    /// What somebody writes to the FIFOs; the end where it is nothing.
    Feed {
        length: usize,
    },
    Read {
        file: usize,
        size: usize,
    },
    ReadInto {
        file: usize,
        size: usize,
    },
    ReadLine {
        file: usize,
        limit: Option<usize>,
    },
    ReadSome {
        file: usize,
        size: usize,
    },
    ReadLarge {
        file: usize,
        size: Option<usize>,
    },
    Write {
        file: usize,
        length: usize,
        shared: bool,
    },
    WriteThrough {
        file: usize,
        length: usize,
    },
    Flush {
        file: usize,
    },
    Seek {
        file: usize,
        offset: i64,
        whence: i32,
    },
    Tell {
        file: usize,
    },
    Truncate {
        file: usize,
        length: Option<i64>,
    },
    Synchronise {
        file: usize,
    },
    Stat {
        file: usize,
    },
    ReadAt {
        file: usize,
        size: usize,
        offset: u64,
    },
    WriteAt {
        file: usize,
        length: usize,
        place: usize,
    },
    Close {
        file: usize,
    },
    /// Nobody has closed it.
    Abandon {
        file: usize,
    },
    /// Something is done for a path.
    Path {
        path: usize,
        other: usize,
        what: u8,
        length: usize,
    },
    /// A stream of so many parts.
    Stream {
        parts: u8,
        batches: u8,
        failing: bool,
        by_readiness: bool,
    },
    /// A directory with so many entries, some of them directories: it is listed, or removed.
    Tree {
        entries: usize,
        removes: bool,
    },
    Next {
        stream: usize,
    },
    CloseStream {
        stream: usize,
    },
    /// An operation under way is given up.
    Cancel {
        operation: usize,
    },
    /// The loop looks what has come.
    Turn,
    /// The others have so many turns.
    Rest {
        turns: u8,
    },
    /// All operations come to their end.
    Settle,
    /// The most workers.
    Workers {
        most: usize,
    },
    /// Whether the system has no thread to give.
    NoThread {
        no_thread: bool,
    },
    /// A loop ends, with everything that its tasks were at.
    EndLoop {
        which: usize,
    },
    /// What begins from here on is done by another engine; the one before is let go of.
    Engine,
    /// What nobody has closed is closed.
    FinishClosing,
    /// What follows happens in a forked child.
    Fork,
    Peek {
        file: usize,
        size: usize,
    },
    /// Reads into memory, once at most.
    ReadIntoOnce {
        file: usize,
        size: usize,
    },
    ReadLines {
        file: usize,
        hint: Option<usize>,
    },
    /// Writes so many pieces in one turn.
    WriteLines {
        file: usize,
        length: usize,
        pieces: usize,
        shared: bool,
    },
    /// The next item of an iteration.
    NextLine {
        file: usize,
    },
    /// The descriptor is somebody else's from here on.
    Detach {
        file: usize,
    },
}

/// Sizes around which something changes: that much is common, and that much is rare, because it takes long.
static LIMITS: LazyLock<[Vec<usize>; 2]> = LazyLock::new(|| {
    let mut all: Vec<usize> = limits::NUMBERS.iter().map(|(_, number)| *number).collect();
    all.sort_unstable();
    all.dedup();
    // There are enough small sizes anyway.
    all.retain(|number| *number >= 4096);
    let common = all.partition_point(|number| *number <= 256 << 10);
    let rare = all.split_off(common);
    [all, rare]
});

fn size(bits: u64) -> usize {
    let near = |limits: &[usize]| limits[(bits >> 6) as usize % limits.len()] + (bits >> 12) as usize % 3 - 1;
    match bits % 64 {
        0..=7 => (bits >> 6) as usize % 4,
        8..=43 => (bits >> 6) as usize % 5_000,
        44..=62 => near(&LIMITS[0]),
        _ => near(&LIMITS[1]),
    }
}

impl Instruction {
    /// What a word means.
    pub(super) fn decode(word: u64) -> Self {
        let rest = mix(word);
        let file = (word >> 8) as usize % 256;
        let size = size(rest);
        let more = rest >> 32;
        match word % 256 {
            18..=19 => Self::Adopt { writable: more & 1 == 0, keeps: more & 2 == 0, size },
            14..=17 => Self::OpenText {
                foreign: more & 1 == 0,
                mode: [0, 0, 1, 2][(more >> 1) as usize % 4],
                newline: (more >> 8) as usize % 24,
                size: size * 2,
            },
            0..=13 => Self::Open { mode: more as u8 % 8, buffered: more & 64 == 0, size },
            20..=23 => Self::OpenPipe,
            24..=29 => Self::Feed { length: if more.is_multiple_of(4) { 0 } else { size % 100_000 } },
            30..=42 => Self::Read { file, size },
            43..=44 => Self::ReadInto { file, size },
            45..=46 => Self::ReadIntoOnce { file, size },
            47..=48 => Self::ReadLine { file, limit: more.is_multiple_of(4).then_some(size) },
            49..=50 => Self::ReadLines { file, hint: more.is_multiple_of(2).then_some(1 + size) },
            51..=53 => Self::ReadSome { file, size },
            54 => Self::Peek { file, size },
            55..=57 => Self::NextLine { file },
            58..=67 => Self::ReadLarge { file, size: (!more.is_multiple_of(3)).then_some(size) },
            68..=90 => Self::Write { file, length: size, shared: more & 1 == 0 },
            91..=95 => Self::WriteLines {
                file,
                length: size,
                pieces: 1 + (more >> 1) as usize % 5,
                shared: more & 1 == 0,
            },
            96..=103 => Self::WriteThrough { file, length: size },
            104..=109 => Self::Flush { file },
            110..=119 => Self::Seek {
                file,
                offset: if more & 4 == 0 { size as i64 } else { -(size as i64 % 5_000) },
                whence: (more % 3) as i32,
            },
            120..=123 => Self::Tell { file },
            124..=127 => Self::Truncate { file, length: (more & 1 == 0).then_some(size as i64) },
            128..=131 => Self::Synchronise { file },
            132..=133 => Self::Stat { file },
            134..=139 => Self::ReadAt { file, size, offset: self::size(more) as u64 },
            140..=145 => Self::WriteAt { file, length: 1 + size, place: more as usize },
            146..=152 => Self::Close { file },
            153 => Self::Detach { file },
            154..=157 => Self::Abandon { file },
            158..=175 => Self::Path {
                path: file % 5,
                other: (more >> 8) as usize % 5,
                what: more as u8 % 10,
                length: size,
            },
            178..=179 => Self::Tree { entries: more as usize % 40, removes: more & 0x100 == 0 },
            176..=177 => Self::Stream {
                parts: 1 + more as u8 % 5,
                batches: (more >> 8) as u8 % 30,
                failing: more & 0x1_0000 == 0,
                by_readiness: more & 0x2_0000 == 0,
            },
            180..=191 => Self::Next { stream: file },
            192..=193 => Self::CloseStream { stream: file },
            194..=209 => Self::Cancel { operation: file },
            210..=229 => Self::Turn,
            230..=241 => Self::Rest { turns: 1 + more as u8 % 40 },
            242 if more.is_multiple_of(4) => Self::EndLoop { which: (more >> 8) as usize },
            243 if more.is_multiple_of(4) => Self::Engine,
            242..=247 => Self::Settle,
            248..=249 => Self::Workers { most: 1 + more as usize % 6 },
            250..=251 => Self::NoThread { no_thread: more & 1 == 0 },
            252..=253 => Self::FinishClosing,
            _ if more.is_multiple_of(8) => Self::Fork,
            _ => Self::Turn,
        }
    }
}

/// A program, what may go wrong in it, and how its threads take turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) schedule: u64,
    pub(super) setting: u64,
    pub(super) instructions: Vec<Instruction>,
}

impl Program {
    /// That of a seed; with more steps it goes on as it began.
    pub(super) fn new(seed: u64, steps: Option<usize>) -> Self {
        let length = steps.unwrap_or_else(|| 4 + (mix(seed ^ 1) % 36) as usize);
        let words = (0..length as u64).map(|step| mix(mix(seed).wrapping_add(step)) >> 8);
        let instructions = words.map(Instruction::decode).collect();
        Self { schedule: mix(seed ^ 2), setting: mix(seed ^ 3), instructions }
    }

    /// The shortest one that fails still, as far as leaving out instructions goes, and in other orders of turns.
    pub(super) fn shortened(&self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut program = self.clone();
        let mut size = program.instructions.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < program.instructions.len() {
                let mut shorter = program.clone();
                shorter.instructions.drain(at..(at + size).min(program.instructions.len()));
                let found = (0..12).find_map(|turn| {
                    let schedule = if turn == 0 { program.schedule } else { mix(program.schedule ^ turn) };
                    let candidate = Self { schedule, ..shorter.clone() };
                    fails(&candidate).then_some(candidate)
                });
                match found {
                    Some(found) => program = found,
                    None => at += size,
                }
            }
            size /= 2;
        }
        program
    }
}

/// A line of the corpus.
impl FromStr for Program {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut parts = line.split_whitespace();
        let mut number = || {
            let part = parts.next().unwrap_or_default();
            u64::from_str_radix(part, 16).map_err(|_| format!("{part:?} is no hexadecimal number"))
        };
        let (schedule, setting) = (number()?, number()?);
        Ok(Self { schedule, setting, instructions: parts.map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x} {:x}", self.schedule, self.setting)?;
        self.instructions.iter().try_for_each(|instruction| write!(formatter, " {instruction}"))
    }
}
