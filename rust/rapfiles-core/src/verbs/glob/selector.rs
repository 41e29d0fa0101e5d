//! Patterns for paths, as nondeterministic automata.
//!
//! The state of a directory is the set of positions in the pattern that its path may have reached; each entry leads to
//! a set of its own. So every directory is read once and every entry is matched once, however many `**` a pattern has.

use std::collections::HashMap;
use std::sync::Arc;

use super::characters::encode;
use super::name_pattern::{NamePattern, is_magic};
use crate::limits::GLOB_SETS;

/// The rules of pathlib's versions, and the caller's options.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a decision of its own")]
pub struct GlobRules {
    /// Whether case matters.
    pub case_sensitive: bool,
    /// Whether components without wildcards are compared with the names in a directory, instead of being looked up.
    pub scans_literals: bool,
    /// Whether `**` follows links to directories.
    pub recurses_symlinks: bool,
    /// Whether a `**` at the end also matches files.
    pub ends_in_files: bool,
    /// Whether the pattern ends with a separator: only directories match.
    pub directories_only: bool,
    /// Whether the top has to be a directory, before anything is looked up in it.
    pub needs_directory: bool,
    /// Whether a link to nothing counts as existing when it is looked up.
    pub finds_dangling: bool,
    /// Whether directories that cannot be read, but for lack of permission, are errors.
    pub raises: bool,
}

/// A component of a pattern.
#[derive(Debug)]
pub(super) enum Part {
    /// `**`: any number of directories; with `needs_one`, as the last one, not none.
    Recursive { needs_one: bool },
    /// `..`.
    Parent,
    /// A name that is looked up; `None` if no file can have it.
    Literal(Option<Vec<u8>>),
    /// A pattern for names.
    Pattern(NamePattern),
}

/// A position in a pattern: how many of its components have been matched.
pub(super) type Position = u32;

/// The positions that a directory has reached.
#[derive(Debug)]
pub(super) struct Positions {
    /// All but the end of the pattern.
    pub(super) open: Vec<Position>,
    /// Whether the directory has to be read.
    pub(super) scans: bool,
    /// Those at which a name is looked up.
    pub(super) literals: Vec<Position>,
    /// Those at which the directory above is next.
    pub(super) parents: Vec<Position>,
}

/// A pattern for paths.
#[derive(Debug)]
pub struct Selector {
    pub(super) rules: GlobRules,
    pub(super) parts: Vec<Part>,
}

/// Sets of positions: the one under construction, and those that have occurred.
#[derive(Debug, Default)]
pub(super) struct Sets {
    known: HashMap<Vec<Position>, Arc<Positions>>,
    /// Which positions are in the set that is being made: those marked with its number.
    marks: Vec<u64>,
    mark: u64,
    made: Vec<Position>,
}

const RECURSIVE: [u32; 2] = ['*' as u32; 2];
const PARENT: [u32; 2] = ['.' as u32; 2];

impl Selector {
    /// A pattern of these components, each given by its characters.
    pub fn new(components: &[Vec<u32>], rules: GlobRules) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        // Behind a `**` that goes through links, pathlib compares all names up to the next `..` at once, by a regular
        // expression, in which a `**` at the end stands for one name at least.
        let (mut scans, mut follows_name) = (rules.scans_literals, false);
        for component in components {
            let part = if **component == RECURSIVE {
                if matches!(parts.last(), Some(Part::Recursive { .. })) {
                    continue;
                }
                scans |= rules.recurses_symlinks;
                Part::Recursive { needs_one: rules.recurses_symlinks && follows_name }
            } else if **component == PARENT {
                scans = rules.scans_literals;
                follows_name = false;
                Part::Parent
            } else {
                follows_name |= matches!(parts.last(), Some(Part::Recursive { .. }));
                match scans || is_magic(component) {
                    true => Part::Pattern(NamePattern::new(component, rules.case_sensitive)),
                    false => Part::Literal(encode(component)),
                }
            };
            parts.push(part);
        }
        // One that is not the last of its kind in such an expression may stand for no name.
        for index in 0..parts.len() {
            let is_last = matches!(parts.get(index + 1), None | Some(Part::Parent));
            if let Part::Recursive { needs_one } = &mut parts[index] {
                *needs_one &= is_last;
            }
        }
        Self { rules, parts }
    }

    /// Whether it may lead to the same directory by many paths: a `..` comes after a wildcard, and something after it.
    pub(super) fn returns(&self) -> bool {
        let is_wild = |part: &Part| matches!(part, Part::Recursive { .. } | Part::Pattern(_));
        let mut parts = self.parts.iter().skip_while(|part| !is_wild(part));
        parts.any(|part| matches!(part, Part::Parent)) && parts.next().is_some()
    }
}

impl Sets {
    /// For the matching of a pattern, by one worker at a time.
    pub(super) fn new(selector: &Selector) -> Self {
        let marks = vec![0; selector.parts.len() + 1];
        Self { known: HashMap::new(), marks, mark: 0, made: Vec::new() }
    }

    /// Begins a new set.
    pub(super) fn begin(&mut self) {
        self.mark += 1;
        self.made.clear();
    }

    /// Adds a position, and those that are reached from it with no name.
    pub(super) fn add(&mut self, parts: &[Part], mut position: Position) {
        loop {
            let mark = &mut self.marks[position as usize];
            if std::mem::replace(mark, self.mark) == self.mark {
                return;
            }
            self.made.push(position);
            match parts.get(position as usize) {
                Some(Part::Recursive { needs_one: false }) => position += 1,
                _ => return,
            }
        }
    }

    /// Whether the set contains the end of the pattern: a match.
    pub(super) fn matches(&self) -> bool {
        self.marks.last() == Some(&self.mark)
    }

    /// The set of these positions; `None` if there are none.
    pub(super) fn of(&mut self, positions: Vec<Position>, parts: &[Part]) -> Option<Arc<Positions>> {
        self.made = positions;
        self.finish(parts)
    }

    /// The set, for a directory; `None` if nothing in it can match.
    pub(super) fn finish(&mut self, parts: &[Part]) -> Option<Arc<Positions>> {
        self.made.retain(|position| (*position as usize) < parts.len());
        if self.made.is_empty() {
            return None;
        }
        self.made.sort_unstable();
        if let Some(known) = self.known.get(&self.made) {
            return Some(Arc::clone(known));
        }
        let open = self.made.clone();
        let those = |test: &dyn Fn(&Part) -> bool| -> Vec<Position> {
            open.iter().copied().filter(|position| test(&parts[*position as usize])).collect()
        };
        let positions = Arc::new(Positions {
            scans: !those(&|part| matches!(part, Part::Recursive { .. } | Part::Pattern(_))).is_empty(),
            literals: those(&|part| matches!(part, Part::Literal(_))),
            parents: those(&|part| matches!(part, Part::Parent)),
            open,
        });
        // The sets of a hostile pattern are not cached.
        if self.known.len() < GLOB_SETS {
            self.known.insert(self.made.clone(), Arc::clone(&positions));
        }
        Some(positions)
    }
}
