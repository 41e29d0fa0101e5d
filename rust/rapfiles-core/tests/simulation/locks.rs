//! Locks: random programs of tasks that ask for locks of a few files, by their paths and through open files, hold them,
//! convert them and give up, of other processes that do so too, and of files that are removed, replaced, closed and
//! inherited by forked children, as one of which some programs go on. The files are real ones; threads and the clock are
//! simulated, and everything is drawn from a seed.
//!
//! Nobody may have what somebody else has, nobody may come before those who were in the queue, and whoever waits must get
//! the lock when it is free. At the end nobody holds anything, and no thread and no descriptor is left.

mod forked_child;
mod open_files;
mod other_processes;
mod wish;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use libc::{EBADF, EINTR, EIO, ENOLCK};
use open_files::OpenFile;
use other_processes::{Child, Other, identity_of, is_free};
use wish::Wish;

use super::consumer::{self, Consumer};
use super::folder::Folder;
use super::ground::native;
use super::trial::{Event, Trial};
use super::world::mix;
use crate::engine::progress::Progress;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::lock::{Acquisition, Conversion, Extent, HeldLock, Identity, LockRequest, LockTarget, Mode};

/// How many programs run by default.
const PROGRAMS: u64 = 1_500;
const TASKS: usize = 6;
const FILES: usize = 2;
const OTHERS: usize = 2;
/// The longest that a lock may be free before somebody gets it who waits for it: the kernel is asked for it every 25 ms,
/// by a thread that may be in slow calls.
const LONGEST_WAIT: Duration = Duration::from_millis(300);
/// How long after its deadline a request may be answered that is in a queue …
const LATE: Duration = Duration::from_millis(100);
/// … and one that is not: so long a worker may take to ask for the first time.
const LATEST: Duration = Duration::from_millis(1500);

/// How long somebody waits.
#[derive(Debug, Clone, Copy)]
struct Patience {
    began: Instant,
    blocking: bool,
    timeout: Option<Duration>,
}

/// A request, and what is known of it.
struct Asked {
    wish: Wish,
    number: u64,
    patience: Patience,
    /// How often something had been done, and the file been replaced, when it was made.
    moment: u64,
    version: u64,
    /// Those who were in the queue when this one came, and are in its way.
    ahead: Vec<u64>,
}

/// A lock that is held.
struct Had {
    wish: Wish,
    file: Identity,
}

enum Task {
    Idle,
    Asking(Acquisition, Asked),
    Holding(HeldLock, Had),
    Converting(Conversion, Had, Mode, Patience),
    Releasing(Arc<Ticket>, Had),
    /// It has what was a lock, until the open file was closed or the process was forked.
    HoldingNothing(HeldLock),
}

impl Task {
    /// What it certainly has. The lock of a whole file may be gone while it is being converted.
    fn has(&self) -> Option<(Wish, Identity)> {
        match self {
            Self::Holding(_, had) => Some((had.wish, had.file)),
            Self::Converting(_, had, ..) if had.wish.extent != Extent::Whole => {
                Some((Wish { mode: Mode::Shared, ..had.wish }, had.file))
            }
            _ => None,
        }
    }

    /// What it may have.
    fn may_have(&self) -> Option<Wish> {
        match self {
            Self::Holding(_, had) | Self::Releasing(_, had) => Some(had.wish),
            Self::Converting(_, had, mode, _) if *mode == Mode::Exclusive => {
                Some(Wish { mode: *mode, ..had.wish })
            }
            Self::Converting(_, had, ..) => Some(had.wish),
            _ => None,
        }
    }
}

/// A program that runs.
struct Tasks<'a> {
    consumer: &'a Consumer,
    paths: Vec<PathBuf>,
    tasks: Vec<Task>,
    /// How many files there are, and whether mostly ranges of them are locked.
    files: usize,
    ranges: bool,
    tickets: Vec<Option<Arc<Ticket>>>,
    next: u64,
    open: Vec<OpenFile<'a>>,
    others: Vec<Option<Other>>,
    children: Vec<Child>,
    /// Who is first in the queue of each file, for the whole of it or a range, and has nobody in its way, and since when.
    free_since: Vec<Option<(u64, Instant)>>,
    /// How often something has been done.
    moment: u64,
    /// How often each file has been replaced, and when what it was before.
    versions: Vec<u64>,
    replaced: HashMap<Identity, u64>,
    /// When somebody let go of each lock that was in the way of another one.
    freed: Vec<(Identity, Wish, u64)>,
    /// Locks of tasks that were given up while a worker had them: it releases them.
    left_to_workers: Vec<Wish>,
    told: u32,
    cancelled: bool,
    /// Whether this is a forked child by now, what open files it has of its parent, and the descriptors that it knows to
    /// be those of lock files.
    forked: bool,
    inherited: HashMap<usize, i32>,
    known_before_fork: RefCell<BTreeSet<i32>>,
}

impl<'a> Tasks<'a> {
    fn now(&self) -> Instant {
        self.consumer.world().now()
    }

    fn draw(&self, of: usize) -> usize {
        (self.consumer.world().random() >> 20) as usize % of
    }

    fn note(&self, what: impl FnOnce() -> String) {
        self.consumer.world().note(|| format!("--- {}", what()));
    }

    fn wrong(&self, why: impl Into<String>) -> ! {
        self.consumer.wrong(why)
    }

    fn draw_mode(&self) -> Mode {
        if self.draw(5) < 3 { Mode::Exclusive } else { Mode::Shared }
    }

    fn draw_wish(&self) -> Wish {
        let kind = self.draw(8);
        // In some programs it is mostly ranges.
        let extent = match if self.ranges { kind / 2 } else { kind } {
            0 => Extent::Range { start: 0, length: 10 },
            1 => Extent::Range { start: 5, length: 10 },
            2 => Extent::Range { start: 12, length: 0 },
            _ => Extent::Whole,
        };
        let mode = self.draw_mode();
        let through = self.draw_open_file();
        let file = through.map_or_else(|| self.draw(self.files), |open| self.open[open].file);
        Wish { file, mode, extent, through }
    }

    fn draw_patience(&self) -> Patience {
        let blocking = self.draw(8) > 0;
        let timeouts = [None, None, Some(0), Some(1), Some(30), Some(1000)];
        let timeout = timeouts[self.draw(timeouts.len())].filter(|_| blocking).map(Duration::from_millis);
        Patience { began: self.now(), blocking, timeout }
    }

    fn request(&self, task: usize, wish: &Wish, patience: &Patience) -> LockRequest {
        LockRequest {
            target: wish.through.map_or_else(
                || LockTarget::Path(native(&self.paths[wish.file])),
                |open| LockTarget::Handle(self.open[open].handle()),
            ),
            mode: wish.mode,
            extent: wish.extent,
            blocking: patience.blocking,
            timeout: patience.timeout,
            owner: task + 1,
        }
    }

    fn ask(&mut self, task: usize, wish: Wish) {
        let patience = self.draw_patience();
        let (number, moment) = (self.next, self.moment);
        let version = wish.through.map_or(self.versions[wish.file], |open| self.open[open].version);
        let ahead = self.tasks.iter().filter_map(|other| match other {
            Task::Asking(acquisition, other)
                if other.wish.conflicts(&wish) && other.version == version && acquisition.is_queued() =>
            {
                Some(other.number)
            }
            _ => None,
        });
        let ahead = ahead.collect();
        let asked = Asked { wish, number, patience, moment, version, ahead };
        self.next += 1;
        self.note(|| format!("task {task} asks, {number}: {wish:?} {patience:?}"));
        match Acquisition::begin(&self.consumer.engine(), self.request(task, &wish, &patience)) {
            Ok((answer, _)) => self.answered(task, answer, &asked),
            Err(acquisition) => self.tasks[task] = Task::Asking(acquisition, asked),
        }
    }

    /// A task that has a lock asks for it once more.
    fn ask_again(&mut self, task: usize) {
        let Task::Holding(_, Had { wish, file }) = &self.tasks[task] else { return };
        let (wish, file) = (*wish, *file);
        let patience = Patience { began: self.now(), blocking: self.draw(2) > 0, timeout: None };
        self.note(|| format!("task {task} asks once more for {wish:?}"));
        let answer = Acquisition::begin(&self.consumer.engine(), self.request(task, &wish, &patience));
        let same = wish.through.is_some() || identity_of(&self.paths[wish.file]) == Some(file);
        match answer {
            Ok((Ok(_), _)) if same => self.wrong("a task gets what it has"),
            Ok((Err(Error::LockTimeout { .. }), _)) if same => self.wrong("a task is in its own way"),
            Err(_) | Ok((Ok(_) | Err(Error::LockReentry | Error::LockTimeout { .. }), _)) => {}
            Ok((Err(error), _)) => self.told(&error),
        }
    }

    /// A request fails: an open file may have been closed meanwhile.
    fn fails(&mut self, wish: &Wish, error: &Error) {
        if error.code() != Some(EBADF) || !self.is_closed(wish) {
            self.told(error);
        }
    }

    /// An error must be the one that was put in, and be told once.
    fn told(&mut self, error: &Error) {
        let trial = self.consumer.trial();
        let code = trial.event.code().filter(|code| trial.happened.get().is_some() && *code != EINTR);
        if code.is_none() || error.code() != code {
            self.wrong(format!("a request fails with {error:?}"));
        }
        self.told += 1;
        if self.told > 1 && matches!(trial.event, Event::Error(_)) {
            self.wrong("an error is told twice");
        }
    }

    fn answered(&mut self, task: usize, answer: Result<HeldLock, Error>, asked: &Asked) {
        let Asked { wish, number, patience, .. } = asked;
        self.note(|| format!("task {task}, {number}: {:?}", answer.as_ref().map(|_| ())));
        self.tasks[task] = Task::Idle;
        let held = match answer {
            Ok(held) => held,
            Err(Error::LockTimeout { .. }) => return self.check_timeout(patience),
            Err(error) => return self.fails(wish, &error),
        };
        if self.is_closed(wish) {
            // It was locked before that.
            return drop(held);
        }
        for other in &self.tasks {
            if let Task::Asking(acquisition, other) = other
                && self.versions[wish.file] == asked.version
                && asked.ahead.contains(&other.number)
                && acquisition.is_queued()
                // Otherwise it can only be told that.
                && !self.is_closed(&other.wish)
            {
                self.wrong(format!("{number} gets what {} has waited for longer", other.number));
            }
        }
        let Some(file) = held.identity() else { self.wrong("a lock of nothing") };
        self.check_current(&file, asked);
        self.has(task, held, *wish, file);
    }

    fn check_timeout(&self, patience: &Patience) {
        let early = patience.timeout.is_none_or(|timeout| self.now() < patience.began + timeout);
        if patience.blocking && early {
            self.wrong("a request times out too early");
        }
    }

    /// The path must have led to the file after it was locked: so after whoever had it let go of it.
    fn check_current(&self, file: &Identity, asked: &Asked) {
        if asked.wish.through.is_some() || identity_of(&self.paths[asked.wish.file]) == Some(*file) {
            return;
        }
        let freed = self.freed.iter().filter(|(freed, had, _)| freed == file && had.conflicts(&asked.wish));
        let earliest = freed.map(|(_, _, moment)| *moment).fold(asked.moment, u64::max);
        if self.replaced.get(file).is_none_or(|replaced| *replaced < earliest) {
            self.wrong("the lock of a file is given away that had been replaced before");
        }
    }

    /// A task has a lock from now on.
    fn has(&mut self, task: usize, held: HeldLock, wish: Wish, file: Identity) {
        if !held.is_there() {
            self.wrong("a lock is said to be held, and is not");
        }
        for (number, other) in self.tasks.iter().enumerate() {
            if let Some((had, other)) = other.has()
                && number != task
                && other == file
                && had.conflicts(&wish)
                && !self.is_closed(&had)
            {
                self.wrong(format!("{wish:?} is given to one while another one has {had:?}"));
            }
        }
        if self.others.iter().flatten().any(|other| other.file == file && other.wish.conflicts(&wish)) {
            self.wrong("another process has a lock that is given to a task");
        }
        if let Some(descriptor) = held.descriptor()
            && self.children.iter().any(|child| child.has_unknowingly(descriptor))
        {
            self.wrong("a forked child has a locked file and does not know of it");
        }
        self.tasks[task] = Task::Holding(held, Had { wish, file });
        self.probe(task);
    }

    /// The kernel must have the lock, too.
    fn probe(&self, task: usize) {
        if let Task::Holding(_, Had { wish, file }) = &self.tasks[task]
            && identity_of(&self.paths[wish.file]) == Some(*file)
            && is_free(&self.paths[wish.file], &Wish { mode: Mode::Exclusive, ..*wish })
        {
            self.wrong(format!("task {task} has a lock of which the kernel does not know"));
        }
    }

    /// Looks what has come of the requests, in their order.
    fn advance(&mut self) {
        if self.consumer.trial().happened.get().is_some() && !self.children.is_empty() {
            // What could not be unlocked is locked for as long as a child has it.
            self.children.clear();
            self.free_since.fill(None);
        }
        self.close_what_is_not_unlocked();
        self.check_parent();
        let mut order: Vec<_> = (0..TASKS).collect();
        order.sort_by_key(|task| match &self.tasks[*task] {
            Task::Asking(_, asked) => asked.number,
            _ => 0,
        });
        for task in order {
            self.tickets[task] = None;
            match std::mem::replace(&mut self.tasks[task], Task::Idle) {
                Task::Releasing(ticket, had) if !ticket.is_done() => {
                    self.tickets[task] = Some(Arc::clone(&ticket));
                    self.tasks[task] = Task::Releasing(ticket, had);
                }
                Task::Releasing(ticket, _) => {
                    if let Some(Err(error)) = ticket.take() {
                        self.wrong(format!("a release fails with {error:?}"));
                    }
                }
                Task::Asking(mut acquisition, asked) => match acquisition.advance() {
                    Progress::Done(answer) => self.answered(task, answer, &asked),
                    Progress::Pending(ticket) => {
                        let latest = if acquisition.is_queued() { LATE } else { LATEST };
                        self.waits(task, ticket, &asked.patience, latest);
                        self.tasks[task] = Task::Asking(acquisition, asked);
                    }
                    Progress::Yield => self.tasks[task] = Task::Asking(acquisition, asked),
                },
                Task::Converting(mut conversion, had, mode, patience) => match conversion.advance() {
                    Progress::Done((held, converted)) => {
                        self.converted(task, held, converted, had, mode, &patience);
                    }
                    progress => {
                        if let Progress::Pending(ticket) = progress {
                            self.waits(task, ticket, &patience, LATE);
                        }
                        self.tasks[task] = Task::Converting(conversion, had, mode, patience);
                    }
                },
                other => self.tasks[task] = other,
            }
        }
        self.look_for_forgotten();
    }

    fn waits(&mut self, task: usize, ticket: Arc<Ticket>, patience: &Patience, latest: Duration) {
        if patience.timeout.is_some_and(|timeout| self.now() > patience.began + timeout + latest) {
            self.wrong(format!("task {task} is not told that its time is over"));
        }
        self.tickets[task] = Some(ticket);
    }

    /// Whoever is first in the queue of a file has nobody in its way for so long only.
    fn look_for_forgotten(&mut self) {
        for place in 0..2 * FILES {
            let is_here =
                |wish: &Wish| wish.file == place / 2 && (wish.extent == Extent::Whole) == (place % 2 == 0);
            let asking = self.tasks.iter().filter_map(|task| match task {
                Task::Asking(_, asked) if is_here(&asked.wish) => Some(asked),
                _ => None,
            });
            let waits = asking.min_by_key(|asked| asked.number).filter(|first| {
                let had = self.tasks.iter().filter_map(Task::may_have);
                let others = self.others.iter().flatten().map(|other| other.wish);
                !had.chain(others).any(|wish| wish.conflicts(&first.wish))
            });
            let now = self.now();
            let Some(number) = waits.map(|first| first.number) else {
                self.free_since[place] = None;
                continue;
            };
            let before = self.free_since[place].filter(|(other, _)| *other == number);
            let (_, began) = *self.free_since[place].insert(before.unwrap_or((number, now)));
            if now > began + LONGEST_WAIT {
                self.wrong(format!("{number} waits for a lock that nobody has"));
            }
        }
    }

    fn release(&mut self, task: usize) {
        self.probe(task);
        let at_once = self.draw(8) == 0;
        match std::mem::replace(&mut self.tasks[task], Task::Idle) {
            Task::Holding(held, had) => {
                self.note(|| format!("task {task} releases"));
                self.freed.push((had.file, had.wish, self.moment));
                if held.is_local() || at_once {
                    drop(held);
                } else {
                    let ticket = Ticket::unique();
                    self.consumer.engine().release(held, &ticket);
                    self.tasks[task] = Task::Releasing(ticket, had);
                }
            }
            Task::HoldingNothing(held) => drop(held),
            other => self.tasks[task] = other,
        }
    }

    /// A task gives up what it waits for.
    fn give_up(&mut self, task: usize) {
        match std::mem::replace(&mut self.tasks[task], Task::Idle) {
            Task::Asking(..) => self.note(|| format!("task {task} gives up")),
            Task::Converting(mut conversion, had, ..) => {
                self.note(|| format!("task {task} gives up a conversion"));
                match conversion.abandon() {
                    Some(held) if held.is_there() => self.has(task, held, had.wish, had.file),
                    Some(_) if had.wish.extent != Extent::Whole && !self.is_closed(&had.wish) => {
                        self.wrong("the lock of a range is lost by a conversion that is given up");
                    }
                    // A worker has it, and releases it.
                    _ => {
                        self.freed.push((had.file, had.wish, self.moment));
                        self.left_to_workers.push(had.wish);
                    }
                }
            }
            other => self.tasks[task] = other,
        }
    }

    /// As users do: a shared lock of a whole file is released first.
    fn convert(&mut self, task: usize) {
        let (held, had) = match std::mem::replace(&mut self.tasks[task], Task::Idle) {
            Task::Holding(held, had) => (held, had),
            Task::Idle => return,
            gone => {
                self.note(|| format!("task {task} is gone, with what it had"));
                self.left_to_workers.extend(gone.may_have());
                return;
            }
        };
        let (again, mut patience) = (self.draw(8) == 0, self.draw_patience());
        patience.blocking &= self.draw(3) > 0;
        patience.timeout = patience.timeout.filter(|_| patience.blocking);
        let mode = match had.wish.mode {
            mode if again => mode,
            Mode::Shared => Mode::Exclusive,
            Mode::Exclusive => Mode::Shared,
        };
        self.note(|| format!("task {task} converts {:?} to {mode:?}, {patience:?}", had.wish));
        if mode == Mode::Exclusive && !held.is_of_range() {
            self.freed.push((had.file, had.wish, self.moment));
            drop(held);
            return self.ask(task, Wish { mode, ..had.wish });
        }
        self.freed.push((had.file, had.wish, self.moment));
        let (timeout, blocking) = (patience.timeout, patience.blocking);
        let conversion = Conversion::begin(&self.consumer.engine(), held, mode, timeout, blocking);
        self.tasks[task] = Task::Converting(conversion, had, mode, patience);
    }

    fn converted(
        &mut self,
        task: usize,
        held: Option<HeldLock>,
        converted: Result<(), Error>,
        had: Had,
        mode: Mode,
        patience: &Patience,
    ) {
        self.note(|| format!("task {task} has converted: {converted:?}"));
        if self.is_closed(&had.wish) {
            return;
        }
        let failed = !matches!(converted, Ok(()) | Err(Error::LockTimeout { .. }));
        let wish = match converted {
            Ok(()) => Wish { mode, ..had.wish },
            Err(Error::LockTimeout { .. }) => {
                self.check_timeout(patience);
                if mode == Mode::Shared {
                    self.wrong("what is exclusive is not made shared");
                }
                had.wish
            }
            Err(error) => {
                self.told(&error);
                had.wish
            }
        };
        match held {
            Some(held) => self.has(task, held, wish, had.file),
            // An error of a worker's takes it with it.
            None if failed => self.freed.push((had.file, had.wish, self.moment)),
            None => self.wrong("a lock is lost by its conversion"),
        }
    }

    /// Another process releases the lock that it has, or asks for one. Some remove the file before they release it.
    fn other(&mut self, index: usize) {
        if let Some(other) = self.others[index].take() {
            if self.draw(3) == 0 {
                self.replace(other.wish.file);
            }
            self.note(|| format!("process {index} releases {:?}", other.wish));
            self.moment += 1;
            self.freed.push((other.file, other.wish, self.moment));
            return;
        }
        let wish = Wish { through: None, ..self.draw_wish() };
        self.others[index] = Other::try_lock(&self.paths[wish.file], wish);
        let Some(other) = &self.others[index] else { return };
        self.note(|| format!("process {index} has {wish:?}"));
        // One that is being converted is lost when its open file is closed, which it is told later.
        let taken = |task: &Task| {
            let had = task.has().filter(|(had, file)| *file == other.file && had.conflicts(&wish));
            had.is_some_and(|(had, _)| !self.is_closed(&had))
        };
        if self.tasks.iter().any(taken) {
            self.wrong("another process gets a lock that a task has");
        }
    }

    /// Somebody removes a file, or puts another one in its place.
    fn replace(&mut self, file: usize) {
        let Some(before) = identity_of(&self.paths[file]) else { return };
        let path = &self.paths[file];
        let again = self.draw(2) > 0;
        self.note(|| format!("file {file} is {}", if again { "replaced" } else { "removed" }));
        if again {
            let new = path.with_extension("new");
            std::fs::write(&new, "").unwrap();
            std::fs::rename(new, path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
        self.versions[file] += 1;
        self.replaced.insert(before, self.moment);
    }

    /// The process is forked; meanwhile, its threads go on.
    fn fork(&mut self) {
        self.note(|| "a fork begins".to_owned());
        let world = self.consumer.world();
        world.begun_forks.set(world.begun_forks.get() + 1);
        self.ask_a_little();
        let child = Child::of(&self.consumer.trial().open.borrow());
        self.children.push(child);
        self.note(|| "there is a child".to_owned());
        self.ask_a_little();
        world.begun_forks.set(world.begun_forks.get() + 1);
        self.note(|| "the fork is over".to_owned());
    }

    fn ask_a_little(&mut self) {
        for _ in 0..self.draw(3) {
            let task = self.draw(TASKS);
            if matches!(self.tasks[task], Task::Idle) {
                let wish = self.draw_wish();
                self.ask(task, wish);
            }
            (0..self.draw(20)).for_each(|_| self.consumer.world().step());
        }
    }

    /// Waits until something is done, for so long at most.
    fn rest(&self, most: Duration) {
        let tickets: Vec<_> = self.tickets.iter().flatten().cloned().collect();
        self.consumer.wait_for_any(&tickets, most);
    }

    fn do_something(&mut self) {
        self.moment += 1;
        if self.consumer.trial().is_cancelled() && !std::mem::replace(&mut self.cancelled, true) {
            (0..TASKS).for_each(|task| self.give_up(task));
        }
        let task = self.draw(TASKS);
        match self.draw(40) {
            0..12 if matches!(self.tasks[task], Task::Idle) => {
                let wish = self.draw_wish();
                self.ask(task, wish);
            }
            0..6 | 12..15 => self.release(task),
            6..12 | 15..20 => self.convert(task),
            20..22 => self.give_up(task),
            22 => self.ask_again(task),
            23..26 => self.other(self.draw(self.others.len())),
            26 if self.draw(2) == 0 => self.close_one(),
            26 => self.open_one(),
            27 => self.replace(self.draw(self.files)),
            28 if !self.forked
                && self.children.len() < 2
                && self.consumer.trial().happened.get().is_none() =>
            {
                self.fork()
            }
            28 | 29 => self.children.iter_mut().for_each(Child::begin),
            // The loop does something else.
            30 => self.consumer.world().sleep(Duration::from_millis([1, 50, 400][self.draw(3)])),
            _ => self.rest(Duration::from_micros([10, 300, 3_000, 15_000][self.draw(4)])),
        }
        self.consumer.world().step();
        self.advance();
    }

    /// Nobody does anything: whoever can have what it waits for gets it.
    fn settle(&mut self) {
        let end = self.now() + LONGEST_WAIT + LATE;
        while self.tickets.iter().any(Option::is_some) && self.now() < end {
            self.rest(Duration::from_millis(15));
            self.advance();
        }
    }

    /// Everybody releases what they have, and gets what they wait for.
    fn finish(&mut self) {
        self.note(|| "the end".to_owned());
        self.children.iter_mut().for_each(Child::begin);
        for index in 0..self.others.len() {
            if self.others[index].is_some() {
                self.other(index);
            }
        }
        if self.draw(2) == 0 {
            self.close_all();
        }
        if self.draw(4) == 0 {
            // The loop is torn down with whatever waits in it.
            self.tasks.iter_mut().for_each(|task| *task = Task::Idle);
        }
        while self.tasks.iter().any(|task| !matches!(task, Task::Idle)) {
            self.moment += 1;
            for task in 0..TASKS {
                self.release(task);
                // Two of them wait for each other for ever.
                if matches!(&self.tasks[task], Task::Converting(_, _, Mode::Exclusive, patience)
                    if self.now() > patience.began + LATEST)
                {
                    self.give_up(task);
                }
            }
            self.rest(Duration::from_millis(10));
            self.advance();
        }
        self.close_all();
        // Threads that wait in the kernel for those who have given up get it, and release it.
        let end = self.now() + LATEST;
        while let Some(why) = self.consumer.engine().locks().left().or_else(|| self.left()) {
            if self.now() > end {
                self.wrong(why);
            }
            self.consumer.world().sleep(Duration::from_millis(5));
        }
    }

    fn left(&self) -> Option<&'static str> {
        let is_left = |path: &PathBuf| {
            let wish = |extent| Wish { file: 0, mode: Mode::Exclusive, extent, through: None };
            let all = Extent::Range { start: 0, length: 0 };
            path.exists() && !(is_free(path, &wish(Extent::Whole)) && is_free(path, &wish(all)))
        };
        self.paths.iter().any(is_left).then_some("a lock is left")
    }
}

/// Runs a program in a folder.
fn run(seed: u64, folder: &Path) -> Result<(), String> {
    let paths: Vec<_> = (0..FILES).map(|file| folder.join(format!("lock{file}"))).collect();
    let choice = mix(seed);
    for (file, path) in paths.iter().enumerate() {
        let exists = (choice >> (32 + file)) & 1 == 0;
        if exists { std::fs::write(path, "").unwrap() } else { drop(std::fs::remove_file(path)) }
    }
    let number = (choice >> 8) % 60 + 1;
    let (event, at) = match choice % 16 {
        0 => (Event::Error(EIO), number),
        6 => (Event::Lasting(EIO), number),
        1 => (Event::Error(ENOLCK), number),
        2 => (Event::Error(EINTR), number),
        3 => (Event::FewThreads, number % 4 + 1),
        4 => (Event::FewDescriptors, number % 6 + 1),
        5 => (Event::Cancel, number),
        _ => (Event::Error(EIO), u64::MAX),
    };
    let done = consumer::attempt(Trial::new(event, at, &[]), choice, move |consumer| {
        let mut tasks = Tasks {
            consumer,
            paths,
            tasks: (0..TASKS).map(|_| Task::Idle).collect(),
            files: 1 + (choice >> 40) as usize % FILES,
            ranges: (choice >> 48).is_multiple_of(3),
            tickets: vec![None; TASKS],
            next: 0,
            open: Vec::new(),
            others: (0..OTHERS).map(|_| None).collect(),
            children: Vec::new(),
            free_since: vec![None; 2 * FILES],
            moment: 0,
            versions: vec![0; FILES],
            replaced: HashMap::new(),
            freed: Vec::new(),
            left_to_workers: Vec::new(),
            told: 0,
            cancelled: false,
            forked: false,
            inherited: HashMap::new(),
            known_before_fork: RefCell::default(),
        };
        for _ in 0..8 + tasks.draw(60) {
            tasks.do_something();
        }
        if tasks.draw(4) == 0 {
            tasks.become_child();
            for _ in 0..8 + tasks.draw(30) {
                tasks.do_something();
            }
        }
        if tasks.draw(2) == 0 {
            tasks.settle();
        }
        tasks.finish();
    });
    done.map(drop)
}

/// `SIMULATION_PROGRAMS` of them, from `SIMULATION_FIRST` on; or the one of `SIMULATION_SEED`, told step by step with
/// `SIMULATION_TRIAL`.
#[test]
fn random_programs_of_locks_keep_every_promise() {
    if let Some(seed) = super::variable("SIMULATION_SEED") {
        run(seed, Folder::in_memory().path()).unwrap();
        return;
    }
    let fewer = if cfg!(debug_assertions) { 10 } else { 1 };
    let count = super::variable("SIMULATION_PROGRAMS").unwrap_or(PROGRAMS / fewer);
    let first = super::variable("SIMULATION_FIRST").unwrap_or(0);
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let folder = Folder::in_memory();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    if let Err(why) = run(seed, folder.path()) {
                        stop.store(true, Ordering::Relaxed);
                        panic!("after {:?}: SIMULATION_SEED={seed} fails: {why}", began.elapsed());
                    }
                }
            });
        }
    });
    eprintln!("{count} programs in {:?}", began.elapsed());
}

/// The seeds of programs that have failed once.
#[test]
fn locks_that_have_failed_once_do_not_fail_again() {
    let folder = Folder::in_memory();
    for line in include_str!("locks/corpus.txt").lines().filter(|line| !line.starts_with('#')) {
        let (seed, why) = line.split_once('#').expect("a seed, and what was wrong");
        let done = run(seed.trim().parse().expect("a number"), folder.path());
        assert!(done.is_ok(), "SIMULATION_SEED={seed} fails again: {done:?} ({why})");
    }
}

/// One and the same seed gives one and the same run.
#[test]
fn a_seed_determines_what_locks_do() {
    let folder = Folder::in_memory();
    for seed in 0..20 {
        let runs = [0, 1].map(|_| (run(seed, folder.path()), consumer::steps()));
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}
