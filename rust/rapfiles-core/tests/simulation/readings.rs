//! Listing, scanning, walking, searching, measuring and globbing, with something that happens at each of their system
//! calls in turn. Whatever that is, everything is delivered but what an error was told of, with its path, and nothing is
//! left open.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libc::{EACCES, EINTR, EIO, ENOENT};

use super::consumer::{self, Consumer};
use super::folder::Folder;
use super::ground::{Snapshot, Thing, link, look, make, native};
use super::trial::{Event, Trial};
use crate::engine::stream::{Source, Stream};
use crate::engine::ticket::Ticket;
use crate::error::{Error, Subject};
use crate::platform::NativePath;
use crate::verbs::glob::{GlobRules, Selector};
use crate::verbs::metadata::{FileType, Metadata};
use crate::verbs::scandir::{EntryFacts, EntryStats};
use crate::verbs::tree::{Filter, Options, Purpose};

/// What is read.
#[derive(Debug, Clone, Copy)]
enum Reading {
    List,
    Scan { with_stat: bool },
    Tree(fn() -> Options),
    Glob { components: &'static [&'static str], raises: bool },
}

/// Everything that is read takes part in this one: names without and with types, in order or not.
const READINGS: &[Reading] = &[
    Reading::List,
    Reading::Scan { with_stat: false },
    Reading::Scan { with_stat: true },
    Reading::Tree(|| Options { top_down: true, ..Options::default() }),
    Reading::Tree(|| Options { sort: true, workers: 1, ..Options::default() }),
    Reading::Tree(|| Options {
        top_down: true,
        follow_symlinks: true,
        detect_loops: true,
        ..Options::default()
    }),
    Reading::Tree(|| Options {
        purpose: ENTRIES,
        top_down: true,
        same_file_system: true,
        ..Options::default()
    }),
    Reading::Tree(|| Options {
        purpose: Purpose::Entries { with_stat: true },
        follow_symlinks: true,
        detect_loops: true,
        sort: true,
        ..Options::default()
    }),
    Reading::Tree(|| {
        let filter = Filter { empty: Some(true), ..Filter::default() };
        Options { purpose: ENTRIES, top_down: true, filter, ..Options::default() }
    }),
    Reading::Tree(|| Options { purpose: Purpose::Usage, ..Options::default() }),
    Reading::Tree(|| Options { top_down: true, gitignore: true, ..Options::default() }),
    Reading::Tree(|| Options { purpose: ENTRIES, gitignore: true, sort: true, ..Options::default() }),
    Reading::Glob { components: &["**", "*"], raises: true },
    Reading::Glob { components: &["**", "*"], raises: false },
    Reading::Glob { components: &["*", "lowest", "third"], raises: true },
    Reading::Glob { components: &["**", "..", "first"], raises: true },
];

const ENTRIES: Purpose = Purpose::Entries { with_stat: false };

/// What git would ignore: the files that say so, from the folder of the tree on, with the entry of the tree that each is
/// about.
const RULES: &[(&str, &str, &str)] = &[
    (".git/info/exclude", "again\n", "lower/again"),
    (".gitignore", "link\n", "link"),
    ("top/.gitignore", "/first\n", "first"),
    ("top/lower/.gitignore", "second\n", "lower/second"),
];

/// Where it happens: a tree with links to a file, to a directory beside it, and to nothing; in a repository.
struct Place {
    folder: Folder,
    top: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = Folder::in_memory();
        let top = folder.path().join("top");
        make(Thing::Tree, &top, "content");
        fs::create_dir(top.join("lower/empty")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/file"), "").unwrap();
        link("../../outside", &top.join("lower/way out"));
        link("nowhere", &top.join("lower/lowest/dangling"));
        fs::create_dir_all(folder.path().join(".git/info")).unwrap();
        for (file, rules, _) in RULES {
            fs::write(folder.path().join(file), rules).unwrap();
        }
        Self { folder, top }
    }

    fn native(&self) -> NativePath {
        native(&self.top)
    }

    /// The path that an error names: from the top on if it is in the tree.
    fn told(&self, error: &Error) -> Option<PathBuf> {
        match error {
            Error::Os { subject: Subject::Path, .. } => Some(PathBuf::new()),
            Error::Os { subject: Subject::Other(path), .. } => {
                let path = path_of(path);
                Some(path.strip_prefix(&self.top).map(Path::to_owned).unwrap_or(path))
            }
            _ => None,
        }
    }
}

fn path_of(path: &NativePath) -> PathBuf {
    std::ffi::OsString::from_vec(path.to_bytes().to_vec()).into()
}

fn name_of(bytes: &[u8]) -> PathBuf {
    std::ffi::OsString::from_vec(bytes.to_vec()).into()
}

/// What a reading has found.
#[derive(Debug, Default)]
struct Found {
    /// Directories, each with the names in it.
    directories: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Entries of which something could not be found out, and is told when it is asked for.
    vague: BTreeSet<PathBuf>,
    /// The sum of the sizes.
    size: u64,
    errors: Vec<Error>,
    /// The error that has ended it.
    failed: Option<Error>,
    /// Something was found twice.
    twice: Option<PathBuf>,
    /// What is told of an entry is neither true nor an error.
    wrong: Option<String>,
    cancelled: bool,
}

impl Found {
    fn add(&mut self, directory: &Path, name: &[u8]) {
        let name = name_of(name);
        if !self.directories.entry(directory.to_owned()).or_default().insert(name.clone()) {
            self.twice = Some(directory.join(name));
        }
    }

    /// Compares what is told of an entry with what the standard library sees. An error is one that there is, or was
    /// put in.
    fn compare(
        &mut self,
        consumer: &Consumer,
        path: &Path,
        facts: &EntryFacts,
        stats: Option<&EntryStats>,
        with_stat: bool,
    ) {
        let (own, target) = (fs::symlink_metadata(path), fs::metadata(path));
        let is_link = own.as_ref().is_ok_and(fs::Metadata::is_symlink);
        let may_fail = |code: i32, there: &io::Result<fs::Metadata>| {
            Some(code) == consumer.event().code()
                || there.as_ref().is_err_and(|error| error.raw_os_error() == Some(code))
        };
        let has_type = |told: Result<FileType, i32>, there: &io::Result<fs::Metadata>| match told {
            Ok(told) => there.as_ref().is_ok_and(|there| there.mode() & libc::S_IFMT == told.0),
            Err(code) => may_fail(code, there),
        };
        let is_same = |told: &Result<Metadata, i32>, there: &io::Result<fs::Metadata>| match told {
            Ok(told) => there.as_ref().is_ok_and(|there| u128::from(there.ino()) == told.inode),
            Err(code) => may_fail(*code, there),
        };
        let fits = match stats {
            None => !with_stat,
            Some(stats) => {
                let has_target = match &stats.target {
                    None => !is_link,
                    Some(told) => is_link && is_same(told, &target),
                };
                with_stat && is_same(&stats.own, &own) && has_target
            }
        };
        if !fits || !has_type(facts.own, &own) || !has_type(facts.target, &target) {
            self.wrong = Some(format!("{} is said to be {facts:?} {stats:?}", path.display()));
        }
    }

    /// Takes all batches of a stream.
    fn drain<S: Source>(
        &mut self,
        consumer: &Consumer,
        mut stream: Stream<S>,
        mut take: impl FnMut(&mut Self, S::Batch),
    ) {
        loop {
            match consumer.next(|| stream.next(Ticket::unique)) {
                None => self.cancelled = true,
                Some(Ok(None)) => {}
                Some(Err(error)) => self.failed = Some(error),
                Some(Ok(Some(batch))) => {
                    take(self, batch);
                    continue;
                }
            }
            return;
        }
    }
}

impl Reading {
    fn run(self, consumer: &Consumer, place: &Place) -> Found {
        let mut found = Found::default();
        let (engine, top) = (&consumer.engine(), place.native());
        match self {
            Self::List => found.drain(consumer, engine.list(top), |found, block| {
                for entry in (0..block.len()).filter_map(|index| block.get(index)) {
                    found.add(Path::new(""), entry.name);
                }
            }),
            Self::Scan { with_stat } => {
                found.drain(consumer, engine.scan(top, with_stat), |found, mut scanned| {
                    let facts = scanned.take_facts();
                    for (index, (facts, stats)) in facts.enumerate() {
                        let name = scanned.name(index).unwrap();
                        found.add(Path::new(""), name);
                        let lacks_stats = stats.as_ref().is_some_and(|stats| {
                            stats.own.is_err() || stats.target.as_ref().is_some_and(|target| target.is_err())
                        });
                        if facts.own.is_err() || facts.target.is_err() || lacks_stats {
                            found.vague.insert(name_of(name));
                        }
                        let path = place.top.join(name_of(name));
                        found.compare(consumer, &path, &facts, stats.as_ref(), with_stat);
                    }
                });
            }
            Self::Tree(options) => {
                let mut tree = engine.walk(top, options());
                loop {
                    let mut listing = match consumer.next(|| tree.next(Ticket::unique)) {
                        None => {
                            found.cancelled = true;
                            break;
                        }
                        Some(Ok(None)) => break,
                        Some(Err(error)) => {
                            found.failed = Some(error);
                            break;
                        }
                        Some(Ok(Some(listing))) => listing,
                    };
                    let path = path_of(&listing.node().path().unwrap());
                    let directory = path.strip_prefix(&place.top).unwrap().to_owned();
                    if found.directories.insert(directory.clone(), BTreeSet::new()).is_some() {
                        found.twice = Some(directory.clone());
                    }
                    for index in 0..listing.entries().len() {
                        let facts = listing.take_facts(index);
                        let name = listing.entries().get(index).unwrap().name;
                        found.add(&directory, name);
                        if let Some((facts, stats)) = &facts {
                            let Options { purpose, filter, .. } = options();
                            let with_stat =
                                purpose == Purpose::Entries { with_stat: true } || filter.empty.is_some();
                            found.compare(
                                consumer,
                                &path.join(name_of(name)),
                                facts,
                                stats.as_ref(),
                                with_stat,
                            );
                        }
                        let target = facts.map_or(Ok(FileType::REGULAR), |(facts, _)| facts.target);
                        if target.is_err_and(|code| code != ENOENT) {
                            found.vague.insert(directory.join(name_of(name)));
                        }
                    }
                    found.size += listing.usage().apparent;
                    found.errors.extend(listing.take_errors());
                }
            }
            Self::Glob { components, raises } => {
                let rules = GlobRules {
                    case_sensitive: true,
                    scans_literals: false,
                    recurses_symlinks: false,
                    ends_in_files: true,
                    directories_only: false,
                    needs_directory: false,
                    finds_dangling: true,
                    raises,
                };
                let components: Vec<Vec<u32>> =
                    components.iter().map(|part| part.chars().map(u32::from).collect()).collect();
                let prefix = [place.top.as_os_str().as_bytes(), b"/"].concat();
                let stream = engine.glob(top, &prefix, Selector::new(&components, rules), false);
                found.drain(consumer, stream, |found, batch| {
                    let mut at = 0;
                    for group in batch.groups {
                        let path = name_of(&group.prefix);
                        let directory = path.strip_prefix(&place.top).unwrap();
                        for entry in (at..group.end).filter_map(|index| batch.names.get(index)) {
                            found.add(directory, entry.name);
                        }
                        at = group.end;
                    }
                });
            }
        }
        found
    }

    /// What is there to be found, as the standard library sees it.
    fn expected(self, place: &Place) -> Found {
        let options = if let Self::Tree(options) = self { options() } else { Options::default() };
        let seen = look(&place.top, options.follow_symlinks);
        let mut found = Found::default();
        match self {
            Self::Glob { components: [_, "*"], .. } => names_in(&seen, |_| true, &mut found),
            Self::Glob { components: ["*", ..], .. } => found.add(Path::new("lower/lowest"), b"third"),
            Self::Glob { .. } => found.add(Path::new("lower/.."), b"first"),
            Self::Tree(_) if options.filter.empty.is_some() => {
                let is_empty = |path: &Path| {
                    let seen = &seen[path];
                    let is_directory = seen.mode & libc::S_IFMT == libc::S_IFDIR;
                    let is_file = seen.mode & libc::S_IFMT == libc::S_IFREG;
                    (is_file && seen.content.is_empty()) || (is_directory && path.ends_with("empty"))
                };
                names_in(&seen, is_empty, &mut found);
            }
            _ => {
                // Where links are followed, one that leads to nothing is there all the same.
                let dangling = Path::new("lower/lowest/dangling");
                let ignored = |path: &Path| RULES.iter().any(|(_, _, entry)| path == Path::new(entry));
                let wants = |path: &Path| !(options.gitignore && ignored(path));
                names_in(&look(&place.top, false), wants, &mut found);
                if options.follow_symlinks {
                    assert!(!seen.contains_key(dangling));
                    names_in(&seen, |_| true, &mut found);
                }
            }
        }
        if matches!(self, Self::List | Self::Scan { .. }) {
            found.directories.retain(|directory, _| directory == Path::new(""));
        }
        if options.purpose == Purpose::Usage {
            found.directories.values_mut().for_each(BTreeSet::clear);
            found.size = size(&place.top, &mut BTreeSet::new());
        }
        found
    }
}

/// All directories that are seen, with those of the names in them that are wanted.
fn names_in(seen: &Snapshot, wants: impl Fn(&Path) -> bool, found: &mut Found) {
    for (path, entry) in seen {
        if entry.mode & libc::S_IFMT == libc::S_IFDIR {
            found.directories.entry(path.clone()).or_default();
        }
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && wants(path)
        {
            found.directories.entry(parent.to_owned()).or_default().insert(name.into());
        }
    }
}

/// The sum of the sizes in a tree, where a file with two names counts once.
fn size(path: &Path, counted: &mut BTreeSet<u64>) -> u64 {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return metadata.len() + entries.map(|entry| size(&entry.unwrap().path(), counted)).sum::<u64>();
    }
    if counted.insert(metadata.ino()) { metadata.len() } else { 0 }
}

/// What does not hold of what was found when something has happened at a call.
fn check(
    reading: Reading,
    place: &Place,
    found: &Found,
    event: Event,
    happened: Option<&'static str>,
) -> Result<(), String> {
    let expected = reading.expected(place);
    if let Some(wrong) = &found.wrong {
        return Err(wrong.clone());
    }
    if let Some(twice) = &found.twice {
        return Err(format!("{} is found twice", twice.display()));
    }
    let mut told = Vec::new();
    for error in found.errors.iter().chain(&found.failed) {
        if happened.is_none() || error.code() != event.code() {
            return Err(format!("it fails with {error:?}"));
        }
        match place.told(error) {
            Some(path) => told.push(path),
            None if event == Event::FewThreads => {}
            None => return Err(format!("an error has no path: {error:?}")),
        }
    }
    let is_gitignore = matches!(reading, Reading::Tree(options) if options().gitignore);
    if !is_gitignore && let Some(other) = told.iter().find(|path| path.is_absolute()) {
        return Err(format!("{} is not in the tree", other.display()));
    }
    // Rules that cannot be read do not hold, and what may not be looked at above the tree counts as not there.
    let is_outside = |path: &PathBuf| path.is_absolute() || path.as_os_str().is_empty();
    let may_not_look = event.code() == Some(EACCES) && happened == Some("fstatat");
    let lacks_above = told.iter().any(is_outside) || may_not_look;
    let lacks_rule = |path: &Path| {
        RULES.iter().any(|(file, _, entry)| {
            let inside = file.strip_prefix("top/");
            let lacks =
                inside.map_or(lacks_above, |inside| told.iter().any(|told| told == Path::new(inside)));
            lacks && path == Path::new(entry)
        })
    };
    for (directory, names) in &found.directories {
        let there = expected.directories.get(directory);
        let there = there.ok_or(format!("there is no {}", directory.display()))?;
        let is_known =
            |name: &PathBuf| there.contains(name) || (is_gitignore && lacks_rule(&directory.join(name)));
        if let Some(name) = names.iter().find(|name| !is_known(name)) {
            return Err(format!("{} should not be found", directory.join(name).display()));
        }
    }
    if found.cancelled {
        return if event == Event::Cancel { Ok(()) } else { Err("it is given up".to_owned()) };
    }
    if event == Event::Error(EINTR) && !(told.is_empty() && found.vague.is_empty()) {
        return Err("what was interrupted has not gone on".to_owned());
    }
    // Nobody but the entry can tell of it.
    let was_about_entry = matches!(reading, Reading::Scan { .. }) && happened == Some("fstatat");
    if was_about_entry && matches!(event, Event::Error(code) if code != EINTR) && found.vague.len() != 1 {
        return Err(format!("the error of an entry is told of {:?}", found.vague));
    }
    match reading {
        // The end of all of it is told.
        _ if found.failed.is_some() && event == Event::FewThreads => return Ok(()),
        Reading::List | Reading::Scan { .. } if found.failed.is_some() => return Ok(()),
        Reading::Glob { .. } => {
            // As in pathlib, what cannot be looked at does not match, and some directories that cannot be read neither.
            let is_silent = match reading {
                Reading::Glob { raises, .. } => !raises || event == Event::Error(EACCES),
                _ => false,
            };
            let may_lack = match event {
                Event::Error(EINTR) | Event::Cancel | Event::Kill | Event::FewThreads => false,
                Event::Error(_) | Event::Lasting(_) => is_silent || happened == Some("fstatat"),
                Event::FewDescriptors => is_silent,
            };
            if found.failed.is_some() || (may_lack && happened.is_some()) {
                return Ok(());
            }
        }
        Reading::Tree(_) if found.failed.is_some() => return Err("the rest is not delivered".to_owned()),
        _ => {}
    }
    // A link of which it could not be found out where it leads counts as none to a directory, as for os.walk.
    let is_vague = happened == Some("fstatat") && matches!(event, Event::Error(code) if code != EINTR);
    for (directory, names) in &expected.directories {
        let is_told = |path: &Path| told.iter().any(|told| path.starts_with(told));
        let is_behind_link =
            fs::symlink_metadata(place.top.join(directory)).is_ok_and(|found| found.is_symlink());
        if is_told(directory) || (is_behind_link && is_vague) {
            continue;
        }
        let none = BTreeSet::new();
        let there = found.directories.get(directory);
        if there.is_none() && !(names.is_empty() || matches!(reading, Reading::Glob { .. })) {
            return Err(format!("{} is missing, and nobody was told: {told:?}", directory.display()));
        }
        let there = there.unwrap_or(&none);
        for name in names {
            let path = directory.join(name);
            if !there.contains(name) && !is_told(&path) {
                return Err(format!("{} is missing, and nobody was told: {told:?}", path.display()));
            }
        }
    }
    if told.is_empty() && found.size != expected.size {
        return Err(format!("{} bytes are counted, and there are {}", found.size, expected.size));
    }
    Ok(())
}

fn enumerate(event: Event) {
    let place = Rc::new(Place::new());
    consumer::enumerate(READINGS, event, |reading, at, seed| {
        let (reading, inside) = (*reading, Rc::clone(&place));
        let trial = Trial::new(event, at, &[]);
        let (found, happened) =
            consumer::attempt(trial, seed, move |consumer| reading.run(consumer, &inside))?;
        let result = check(reading, &place, &found, event, happened);
        Ok((happened, result.map_err(|why| format!("{why}\n{found:?}"))))
    });
    assert!(place.folder.path().is_dir());
}

#[test]
fn an_error_at_any_call_is_told_with_its_path_and_the_rest_is_delivered() {
    for code in [EIO, EACCES] {
        enumerate(Event::Error(code));
    }
}

#[test]
fn an_interruption_at_any_call_is_not_noticed() {
    enumerate(Event::Error(EINTR));
}

#[test]
fn a_cancel_at_any_call_leaves_nothing_open() {
    enumerate(Event::Cancel);
}

#[test]
fn with_few_descriptors_the_rest_is_delivered() {
    enumerate(Event::FewDescriptors);
}

#[test]
fn with_few_threads_everything_is_delivered_or_an_error_is_told() {
    enumerate(Event::FewThreads);
}
