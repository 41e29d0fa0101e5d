//! The loop that a program runs on: it begins operations, gives some of them up, is woken for what is done, and looks
//! whether everything is as it has to be.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::faults::{FIRST_CODE, Faults};
use super::files::{Content, Kind};
use super::ground::native;
use super::operations::{Driving, End, Progress, Request, read_text};
use super::oracle::{Oracle, PATTERN};
use super::program::{Instruction, Program};
use super::sink::{Context, Room, Scene, Simulated};
use super::source::{Batch, FAILED, Numbers};
use super::text::{TEXT, TextFile};
use super::world::{LOOP, Wait, World, mix, world};
use crate::engine::configuration::Configuration;
use crate::engine::keep_alive::release_memory;
use crate::engine::lane::Lane;
use crate::engine::port::{Port, Wake};
use crate::engine::progress::Progress as StreamProgress;
use crate::engine::stream::{Single, Stream};
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, Submitted};
use crate::handle::{Adoption, Failure, Handle, HandleFile, ops};
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;
use crate::text::Decoder;
use crate::verbs::listing::ReadDirectory;
use crate::verbs::parallel_read::ParallelRead;
use crate::verbs::remove_tree::Removing;
use crate::verbs::slices::{Sliced, Slices};
use crate::verbs::write::Data;

/// Runs a program, and gives the reason where something goes wrong in it.
pub(super) fn run(program: &Program, verbose: bool) -> Option<String> {
    let setting = program.setting;
    let configuration = Configuration {
        max_workers: 1 + (setting % 7) as usize,
        usable_cpus: 1 + (setting >> 8) as usize % 4,
    };
    let world = World::new(program.schedule, Faults::new(mix(setting)), configuration, verbose);
    if verbose {
        eprintln!("{configuration:?} {:?}", world.faults);
    }
    let instructions = program.instructions.clone();
    let inside = Rc::clone(&world);
    let failure = world.run(move || {
        let world = Rc::clone(&inside);
        let mut simulated = Loop::new(inside);
        for instruction in instructions {
            world.note(|| format!("--- {instruction:?}"));
            simulated.execute(instruction);
            world.step();
        }
        simulated.finish();
    });
    STEPS.set(world.steps.get());
    failure
}

/// How many steps the last program took.
pub(super) fn steps() -> u64 {
    STEPS.get()
}

/// What wakes the loop.
#[derive(Default)]
pub(super) struct Bell(pub(super) AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        let Some(world) = world() else { return };
        if !world.is_unlocked() {
            // The caller's code may run here.
            world.die("the loop is woken under a lock");
        }
        self.0.store(true, Ordering::Relaxed);
        world.notify(LOOP, true);
    }
}

/// An open file.
struct OpenFile {
    file: HandleFile<Simulated>,
    oracle: RefCell<Oracle>,
    /// It has no buffer.
    raw: bool,
    text: Option<Arc<TextFile>>,
    over: bool,
    /// Its descriptor is somebody else's.
    detached: bool,
    /// It was opened before this process was forked.
    of_parent: bool,
}

/// A path that one operation at a time is about.
#[derive(Default)]
struct Path {
    busy: bool,
    /// `None` where nobody knows what is there; else its content, if it exists.
    known: Option<Option<Vec<u8>>>,
}

/// An operation on a path, whose outcome a ticket brings.
struct PathRequest {
    path: usize,
    other: Option<usize>,
    what: u8,
    bytes: &'static [u8],
    ticket: Option<Arc<Ticket>>,
    answer: Option<Result<Outcome, crate::error::Error>>,
    room: Option<Arc<Room>>,
}

/// A stream, and what it is to yield.
enum Streaming {
    Numbers(Stream<Numbers>),
    Listing(Stream<Single<ReadDirectory>>, Vec<Vec<u8>>),
    Removal(Removing, String),
}

struct OpenStream {
    stream: Option<Streaming>,
    description: (u8, u8, bool, bool),
    taken: Vec<Batch>,
    asked: bool,
    over: bool,
}

enum What {
    File(usize, Box<Driving>),
    Path(Box<PathRequest>),
    Next(usize),
}

struct Running {
    what: What,
    /// Of the ticket that it waits for, and the loop that it does so on.
    token: Option<u64>,
    on: usize,
}

struct Loop {
    context: Context,
    engine: Option<Arc<Engine>>,
    /// All that there have been in this process.
    engines: Vec<Weak<Engine>>,
    loops: Vec<(Arc<Bell>, Arc<Port>)>,
    files: Vec<OpenFile>,
    /// So many were to be opened.
    opened: usize,
    /// Descriptors that are not the engine's to close.
    kept: Vec<i32>,
    /// Something was waited for so many times.
    waits: usize,
    paths: Vec<Path>,
    streams: Vec<OpenStream>,
    running: Vec<Running>,
    written: usize,
    forked: bool,
}

/// How many loops there are. One thread runs them by turns, which is allowed.
const LOOPS: usize = 2;

pub(super) fn new_loop() -> (Arc<Bell>, Arc<Port>) {
    let bell = Arc::new(Bell::default());
    let port = Port::new(Arc::clone(&bell) as Arc<dyn Wake>);
    (bell, port)
}

/// Room for a result.
struct Space<'a>(&'a Context, Option<Arc<Room>>);

// SAFETY: the room is as large as it says, and stays for as long as this.
unsafe impl crate::cached::BufferProvider for Space<'_> {
    fn make(&mut self, size: usize) -> Option<NonNull<u8>> {
        if self.0.world.chance(128) {
            return None;
        }
        let room = Room::new(size + 1);
        let start = NonNull::new(room.start());
        self.1 = Some(room);
        start
    }
}

impl Loop {
    fn new(world: Rc<World>) -> Self {
        let engine = Engine::new(world.configuration);
        world.current.replace(Some(Arc::clone(&engine)));
        let mut created = Self {
            engines: vec![Arc::downgrade(&engine)],
            engine: Some(engine),
            context: Context { world, kept: Arc::new(()) },
            loops: (0..LOOPS).map(|_| new_loop()).collect(),
            kept: Vec::new(),
            waits: 0,
            files: Vec::new(),
            opened: 0,
            paths: (0..5).map(|_| Path { busy: false, known: Some(None) }).collect(),
            streams: Vec::new(),
            running: Vec::new(),
            written: 0,
            forked: false,
        };
        created.watch();
        created
    }

    fn world(&self) -> Rc<World> {
        Rc::clone(&self.context.world)
    }

    fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().expect("it is there until the end")
    }

    /// Has the world look after the locks and the invariants of the engine and of the handles.
    fn watch(&mut self) {
        let engines = self.engines.clone();
        let handles: Vec<Weak<Handle>> =
            self.files.iter().map(|file| Arc::downgrade(&file.file.handle)).collect();
        let locks: Vec<Box<dyn Fn() -> bool>> = vec![Box::new({
            let (engines, handles) = (engines.clone(), handles.clone());
            move || {
                engines
                    .iter()
                    .all(|engine| peek(engine, |engine| engine.pool().is_unlocked()).unwrap_or(true))
                    && handles.iter().all(|handle| peek(handle, Handle::is_unlocked).unwrap_or(true))
            }
        })];
        self.context.world.locks.replace(locks);
        self.context.world.invariant.replace(Some(Box::new(move || {
            let Some(world) = world() else { return Ok(()) };
            let threads = (engines.len() == 1).then(|| world.workers());
            let broken = engines
                .iter()
                .find_map(|engine| peek(engine, |engine| engine.pool().broken(threads)).flatten());
            if let Some(why) = broken {
                return Err(why);
            }
            let broken = handles.iter().find_map(|handle| peek(handle, Handle::broken).flatten());
            broken.map_or(Ok(()), |why| Err(why.to_owned()))
        })));
    }

    fn wrong(&self, why: impl Into<String>) -> ! {
        self.context.world.die(why)
    }

    fn ticket(&self) -> Arc<Ticket> {
        Ticket::unique()
    }

    /// Bytes that were not written before.
    fn bytes(&mut self, length: usize) -> &'static [u8] {
        let length = length.min(PATTERN.len() - 1);
        self.written = (self.written + 7_919) % (PATTERN.len() - length);
        &PATTERN[self.written..self.written + length]
    }

    fn begin(&mut self, what: What) {
        self.running.push(Running { what, token: None, on: 0 });
        self.advance(self.running.len() - 1);
    }

    /// Goes on with an operation; `true` when it is over.
    fn advance(&mut self, index: usize) -> bool {
        let mut running = self.running.remove(index);
        let waiting = match &mut running.what {
            What::File(file, operation) => {
                let had_turn = operation.had_turn.get();
                let file = *file;
                let open = &self.files[file];
                let progress = operation.advance(&self.context, &open.oracle, &open.file);
                if operation.had_turn.get() && !had_turn && self.is_overtaking(index, file) {
                    self.wrong("a turn came before that of an operation that was begun earlier");
                }
                match progress {
                    Progress::Done(result) => {
                        self.context.world.note(|| format!("operation on file {file} ends: {result:?}"));
                        match result {
                            Err(End::Wrong(why)) => self.wrong(format!("file {file}: {why}")),
                            Err(End::Error(crate::error::Error::Panic(why))) => {
                                self.wrong(format!("panic: {why}"))
                            }
                            _ if operation.closes() => self.files[file].over = true,
                            _ => {}
                        }
                        return true;
                    }
                    Progress::Pending(ticket) => Some(ticket),
                    Progress::Yield => None,
                }
            }
            What::Path(operation) => match self.go_on_with_path(operation) {
                Some(ticket) => Some(ticket),
                None => return true,
            },
            What::Next(stream) => match self.go_on_with_stream(*stream) {
                Some(ticket) => Some(ticket),
                None => return true,
            },
        };
        let Some(waiting) = waiting else {
            // In the loop's next turn.
            running.token = None;
            self.running.insert(index, running);
            return false;
        };
        self.waits += 1;
        running.on = self.waits % LOOPS;
        let expected = waiting.expect(&self.loops[running.on].1);
        running.token = expected.then(|| waiting.token());
        self.running.insert(index, running);
        if expected { false } else { self.advance(index) }
    }

    /// Whether an operation on the same file that was begun earlier has not had its turn.
    fn is_overtaking(&self, index: usize, file: usize) -> bool {
        self.running[..index].iter().any(|other| match &other.what {
            What::File(other, operation) => {
                *other == file
                    && operation.has_begun()
                    && !operation.is_positional()
                    && !operation.had_turn.get()
            }
            _ => false,
        })
    }

    /// One turn of the loop.
    fn turn(&mut self) {
        for (bell, port) in &self.loops {
            if !bell.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            let tickets = port.drain();
            release_memory();
            for ticket in tickets {
                for running in &mut self.running {
                    if running.token == Some(ticket.token()) {
                        running.token = None;
                    }
                }
            }
        }
        let mut index = 0;
        while index < self.running.len() {
            if self.running[index].token.is_some()
                || (self.context.world.chance(32) && index > 0)
                || !self.advance(index)
            {
                index += 1;
            }
        }
    }

    /// Until nothing is under way.
    fn settle(&mut self) {
        loop {
            self.turn();
            if self.running.is_empty() {
                return;
            }
            if self.running.iter().all(|running| running.token.is_some()) && !self.is_called() {
                self.wait();
            }
        }
    }

    /// Waits for one ticket, as for the first operation of a task.
    fn outcome(&mut self, ticket: &Arc<Ticket>) -> Result<Outcome, crate::error::Error> {
        while !ticket.is_done() && ticket.expect(&self.loops[0].1) {
            if !self.is_called() {
                self.wait();
            }
            self.turn();
        }
        match ticket.take() {
            Some(outcome) => outcome,
            None => self.wrong("a ticket is done, and there is no outcome"),
        }
    }

    /// Waits until something has come.
    fn wait(&self) {
        self.context.world.wait(Wait::For { key: LOOP, until: None });
    }

    /// Whether one of the loops has been woken.
    fn is_called(&self) -> bool {
        self.loops.iter().any(|(bell, _)| bell.0.load(Ordering::Relaxed))
    }

    /// Tasks of a loop that has ended do not go on, and nobody looks at its port.
    fn end_loop(&mut self, which: usize) {
        for index in (0..self.running.len()).rev() {
            if self.running[index].token.is_some() && self.running[index].on == which {
                self.cancel(index);
            }
        }
        self.loops[which] = new_loop();
        release_memory();
    }

    /// Drops what may be the last to hold on to an engine that is not the process's any more: with that goes what it had no
    /// thread to close.
    fn let_go<T>(&self, what: T) {
        let may_wait = &self.context.world.faults.loop_may_wait;
        let before = may_wait.replace(self.engines.len() > 1 || may_wait.get());
        drop(what);
        may_wait.set(before);
    }

    /// Another engine is the process's. What was opened in the one before stays there.
    fn replace_engine(&mut self) {
        let world = self.world();
        let engine = Engine::new(world.configuration);
        self.engines.push(Arc::downgrade(&engine));
        world.current.replace(Some(Arc::clone(&engine)));
        let before = self.engine.replace(engine);
        self.let_go(before);
        self.watch();
    }

    fn pick<T>(list: &[T], index: usize) -> Option<usize> {
        if list.is_empty() { None } else { Some(index % list.len()) }
    }

    fn file(&self, index: usize) -> Option<usize> {
        let open: Vec<usize> = (0..self.files.len()).filter(|file| !self.files[*file].over).collect();
        Self::pick(&open, index).map(|at| open[at])
    }

    fn oracle(&self, file: usize) -> Option<std::cell::Ref<'_, Oracle>> {
        self.file(file).map(|file| self.files[file].oracle.borrow())
    }

    fn begin_on_file(&mut self, file: usize, request: Request) {
        if let Some(file) = self.file(file) {
            self.begin_at(file, request);
        }
    }

    fn begin_at(&mut self, file: usize, request: Request) {
        let OpenFile { raw, text, oracle, .. } = &self.files[file];
        let request = match text {
            Some(text) => request.of_text(text.width(), &oracle.borrow().places),
            None if *raw => request.of_raw(),
            None => Some(request),
        };
        let Some(request) = request else { return };
        let driving = Driving::new(request, *raw, text.as_ref());
        self.begin(What::File(file, Box::new(driving)));
    }

    /// The next item of an iteration: at once, if there is one.
    fn next_line(&mut self, file: usize) {
        let Some(file) = self.file(file) else { return };
        let OpenFile { file: open, oracle, raw, text, .. } = &self.files[file];
        // First it may have to be found out what there is.
        let known = !*raw && !oracle.borrow().uncertain;
        let make = |line: &[u8]| (!self.context.world.chance(16)).then(|| line.to_vec());
        let line = match text {
            _ if !known => None,
            // SAFETY: nothing uses the file meanwhile.
            None => unsafe { ops::next_line(open, make) },
            // SAFETY: as above.
            Some(_) => unsafe { ops::next_text_line(open, |line, _| make(line)) },
        };
        let Some(line) = line else { return self.begin_at(file, Request::NextLine) };
        let oracle = &mut *oracle.borrow_mut();
        let right = match text {
            None => oracle.read_line(&line, None, 1),
            Some(_) => read_text(Request::NextTextLine, text.as_deref(), oracle, &line),
        };
        if let Err(why) = right {
            self.wrong(format!("file {file}: {why}"));
        }
    }

    /// Takes the descriptor of a file, and closes it.
    fn detach(&mut self, file: usize) {
        let Some(file) = self.file(file) else { return };
        let world = self.world();
        let OpenFile { file: open, oracle, text, .. } = &self.files[file];
        let scene = Scene { context: &self.context, oracle, had_turn: &Cell::new(false) };
        let may_wait = world.faults.loop_may_wait.replace(true);
        let detached = ops::detach(scene, open);
        world.faults.loop_may_wait.set(may_wait);
        world.note(|| format!("detaching file {file} ends: {detached:?}"));
        let descriptor = match detached {
            Ok(descriptor) => descriptor,
            Err(Failure::Error(error)) => return self.told(&error),
            Err(_) => return,
        };
        {
            let oracle = oracle.borrow();
            if let Err(why) = oracle.flushed(&world, true) {
                self.wrong(format!("file {file}: {why}"));
            }
            let position = world.files.borrow_mut().get(descriptor).map(|open| open.position as usize);
            let told = !oracle.uncertain && !oracle.append && !oracle.pipe && text.is_none();
            if told && position != Ok(oracle.position) {
                self.wrong(format!("file {file} is detached at {position:?}, not at {}", oracle.position));
            }
        }
        if !self.kept.contains(&descriptor) && world.files.borrow_mut().close(descriptor).is_err() {
            self.wrong("a file that is detached was closed");
        }
        (self.files[file].over, self.files[file].detached) = (true, true);
    }

    fn execute(&mut self, instruction: Instruction) {
        match instruction {
            Instruction::Open { mode, buffered, size } => self.open(mode, buffered, size),
            Instruction::Adopt { writable, keeps, size } => self.adopt(writable, keeps, size),
            Instruction::OpenText { foreign, mode, newline, size } => {
                self.open_text(TextFile::new(foreign, newline), mode, size);
            }
            Instruction::OpenPipe => self.open_pipe(),
            Instruction::Feed { length } => self.feed(length),
            Instruction::Read { file, size } => self.begin_on_file(file, Request::Read { size }),
            Instruction::ReadInto { file, size } => {
                self.begin_on_file(file, Request::ReadInto { size });
            }
            Instruction::ReadIntoOnce { file, size } => {
                self.begin_on_file(file, Request::ReadIntoOnce { size });
            }
            Instruction::Peek { file, size } => self.begin_on_file(file, Request::Peek { size }),
            Instruction::ReadLines { file, hint } => self.begin_on_file(file, Request::ReadLines { hint }),
            Instruction::NextLine { file } => self.next_line(file),
            Instruction::WriteLines { file, length, pieces, shared } => {
                let bytes = self.bytes(length);
                self.begin_on_file(file, Request::WriteLines { bytes, pieces, shared });
            }
            Instruction::Detach { file } => self.detach(file),
            Instruction::ReadLine { file, limit } => self.begin_on_file(file, Request::ReadLine { limit }),
            Instruction::ReadSome { file, size } => self.begin_on_file(file, Request::ReadSome { size }),
            Instruction::ReadLarge { file, size } => {
                self.begin_on_file(file, Request::ReadLarge { size });
            }
            Instruction::Write { file, length, shared } => {
                let bytes = self.bytes(length);
                self.begin_on_file(file, Request::Write { bytes, shared });
            }
            Instruction::WriteThrough { file, length } => {
                let bytes = self.bytes(length);
                self.begin_on_file(file, Request::WriteThrough { bytes });
            }
            Instruction::Flush { file } => self.begin_on_file(file, Request::Flush),
            Instruction::Seek { file, offset, whence } => {
                if self.oracle(file).is_some_and(|oracle| !oracle.pipe && !oracle.append) {
                    self.begin_on_file(file, Request::Seek { offset, whence });
                }
            }
            Instruction::Tell { file } => {
                if self.oracle(file).is_some_and(|oracle| !oracle.pipe) {
                    self.begin_on_file(file, Request::Tell);
                }
            }
            Instruction::Truncate { file, length } => {
                self.begin_on_file(file, Request::Truncate { length });
            }
            Instruction::Synchronise { file } => self.begin_on_file(file, Request::Synchronise),
            Instruction::Stat { file } => self.begin_on_file(file, Request::Stat),
            Instruction::ReadAt { file, size, offset } => {
                if self.oracle(file).is_some_and(|oracle| !oracle.pipe) {
                    self.begin_on_file(file, Request::ReadAt { size, offset });
                }
            }
            Instruction::WriteAt { file, length, place } => self.write_at(file, length, place),
            // What is closed, or left to be closed, may be closed once more.
            Instruction::Close { file } if file % 8 == 3 => {
                if let Some(file) = Self::pick(&self.files, file)
                    && !self.files[file].detached
                {
                    self.begin_at(file, Request::Close);
                }
            }
            Instruction::Close { file } => self.begin_on_file(file, Request::Close),
            Instruction::Abandon { file } => {
                if let Some(file) = self.file(file) {
                    self.files[file].over = true;
                    self.files[file].file.handle.close_in_background();
                }
            }
            Instruction::Path { path, other, what, length } => self.begin_path(path, other, what, length),
            Instruction::Stream { parts, batches, failing, by_readiness } => {
                let kept = Arc::clone(&self.context.kept);
                let source = Numbers { parts, batches, failing, by_readiness, claimed: 0, kept };
                self.streams.push(OpenStream {
                    stream: Some(Streaming::Numbers(self.engine().stream(Lane::Mount(3), source))),
                    description: (parts, batches, failing, by_readiness),
                    taken: Vec::new(),
                    asked: false,
                    over: false,
                });
            }
            Instruction::Tree { entries, removes } => self.open_tree(entries, removes),
            Instruction::Next { stream } => {
                if let Some(stream) = Self::pick(&self.streams, stream)
                    && !std::mem::replace(&mut self.streams[stream].asked, true)
                {
                    self.begin(What::Next(stream));
                }
            }
            Instruction::CloseStream { stream } => {
                if let Some(stream) = Self::pick(&self.streams, stream) {
                    self.running
                        .retain(|running| !matches!(running.what, What::Next(other) if other == stream));
                    let closed = self.streams[stream].stream.take();
                    self.let_go(closed);
                    self.streams[stream].asked = true;
                }
            }
            Instruction::Cancel { operation } => {
                if let Some(operation) = Self::pick(&self.running, operation) {
                    self.cancel(operation);
                }
            }
            Instruction::Turn => self.turn(),
            Instruction::Rest { turns } => (0..turns).for_each(|_| self.context.world.step()),
            Instruction::Settle => {
                self.release_pipes();
                self.settle();
            }
            Instruction::Workers { most } => self.engine().set_max_workers(most),
            Instruction::NoThread { no_thread } => self.context.world.faults.no_thread.set(no_thread),
            Instruction::EndLoop { which } => self.end_loop(which % LOOPS),
            Instruction::Engine if self.forked => {}
            Instruction::Engine => self.replace_engine(),
            Instruction::FinishClosing => {
                let may_wait = &self.context.world.faults.loop_may_wait;
                may_wait.set(true);
                self.engine().finish_closing(Duration::from_millis(5));
                may_wait.set(false);
            }
            Instruction::Fork => self.fork(),
        }
    }

    fn cancel(&mut self, index: usize) {
        let mut running = self.running.remove(index);
        match &mut running.what {
            What::File(file, operation) => {
                let open = &self.files[*file];
                operation.abandon(&open.oracle, &open.file);
                if operation.closes() {
                    self.files[*file].over = true;
                }
            }
            What::Path(operation) => {
                if let Some(ticket) = &operation.ticket {
                    ticket.cancel();
                }
                for path in [Some(operation.path), operation.other].into_iter().flatten() {
                    // It may be done later, so nobody else shall use the path.
                    self.paths[path] = Path { busy: true, known: None };
                }
            }
            What::Next(stream) => self.streams[*stream].asked = false,
        }
    }

    fn open(&mut self, mode: u8, buffered: bool, size: usize) {
        self.opened += 1;
        let path = format!("/f{}", self.opened);
        let content = Content::from(self.bytes(size));
        let exists = mode & 1 == 0;
        let world = self.world();
        if exists {
            world.files.borrow_mut().add(Some(path.as_bytes()), Kind::Regular, content.clone());
        }
        let (flags, readable, writable, append) = match mode / 2 {
            0 if exists => (libc::O_RDONLY, true, false, false),
            1 => (libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, false, true, false),
            2 => (libc::O_RDWR | libc::O_CREAT | libc::O_APPEND, true, true, true),
            _ => (libc::O_RDWR | libc::O_CREAT, true, true, false),
        };
        let truncates = flags & libc::O_TRUNC != 0;
        let operation = PathOperation::Open { path: native(&path), flags, permissions: 0o666 };
        let Ok(Outcome::Opened(opened)) = self.answer(operation) else { return };
        let handle = Handle::new(*opened, (!buffered).then_some(100));
        let Ok(node) = world.files.borrow().find(path.as_bytes()) else {
            self.wrong("what was opened does not exist")
        };
        let content = if exists && !truncates { content } else { Content::default() };
        let position = if append { content.len() } else { 0 };
        self.add(
            handle,
            Oracle { position, readable, writable, append, ..Oracle::new(node, content) },
            !buffered && size % 2 == 1,
        );
    }

    fn adopt(&mut self, writable: bool, keeps: bool, size: usize) {
        self.opened += 1;
        let path = format!("/f{}", self.opened);
        let content = Content::from(self.bytes(size));
        let world = self.world();
        let node = world.files.borrow_mut().add(Some(path.as_bytes()), Kind::Regular, content.clone());
        let flags = if writable { libc::O_RDWR } else { libc::O_RDONLY };
        let most = world.faults.descriptors;
        let Ok(descriptor) = world.files.borrow_mut().open(path.as_bytes(), flags, most) else { return };
        if keeps {
            self.kept.push(descriptor);
        }
        let engine = Arc::clone(self.engine());
        let adoption = Adoption { engine, descriptor, close: !keeps, owned: !keeps, to_end: false };
        let Ok(Outcome::Opened(opened)) = self.answer(PathOperation::Adopt(adoption)) else { return };
        let oracle = Oracle { writable, ..Oracle::new(node, content) };
        self.add(Handle::new(*opened, None), oracle, false);
    }

    fn open_text(&mut self, text: TextFile, mode: u8, size: usize) {
        self.opened += 1;
        let path = format!("/f{}", self.opened);
        let content =
            Content::from(if mode == 1 { Vec::new() } else { text.encoded(&TEXT[..size.min(TEXT.len())]) });
        let world = self.world();
        let node = world.files.borrow_mut().add(Some(path.as_bytes()), Kind::Regular, content.clone());
        let flags = [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR][usize::from(mode) % 3];
        let operation = PathOperation::Open { path: native(&path), flags, permissions: 0 };
        let Ok(Outcome::Opened(opened)) = self.answer(operation) else { return };
        let handle = Handle::new(*opened, None);
        let settings = text.state.settings();
        if let Ok(Some(mut guard)) = handle.begin() {
            guard.set_decoder(Some(Decoder::new(settings.native, settings.line_ends())));
        }
        let oracle = Oracle { readable: mode != 1, writable: mode != 0, ..Oracle::new(node, content) };
        self.add(handle, oracle, false);
        self.files.last_mut().expect("it was just added").text = Some(Arc::new(text));
    }

    fn open_tree(&mut self, entries: usize, removes: bool) {
        self.opened += 1;
        let above = format!("/t{}", self.opened);
        let top = format!("{above}/top");
        let world = self.world();
        let mut names = Vec::new();
        {
            let mut files = world.files.borrow_mut();
            for directory in [&above, &top] {
                files.add(Some(directory.as_bytes()), Kind::Directory, Vec::new());
            }
            for number in 0..entries {
                let name = format!("{number}");
                let path = format!("{top}/{name}");
                if number % 5 == 4 {
                    files.add(Some(path.as_bytes()), Kind::Directory, Vec::new());
                    files.add(Some(format!("{path}/below").as_bytes()), Kind::Regular, Vec::new());
                } else {
                    files.add(Some(path.as_bytes()), Kind::Regular, Vec::new());
                }
                names.push(name.into_bytes());
            }
        }
        let stream = if removes {
            Streaming::Removal(self.engine().remove_tree(native(&top), false), top)
        } else {
            Streaming::Listing(self.engine().list(native(&top)), names)
        };
        let (description, taken) = ((0, 0, false, false), Vec::new());
        self.streams.push(OpenStream { stream: Some(stream), description, taken, asked: false, over: false });
    }

    fn open_pipe(&mut self) {
        self.opened += 1;
        let path = format!("/f{}", self.opened);
        let world = self.world();
        let node = world.files.borrow_mut().add(Some(path.as_bytes()), Kind::Pipe, Vec::new());
        let operation = PathOperation::Open { path: native(&path), flags: libc::O_RDONLY, permissions: 0 };
        let Ok(Outcome::Opened(opened)) = self.answer(operation) else { return };
        self.add(
            Handle::new(*opened, None),
            Oracle { pipe: true, ..Oracle::new(node, Content::default()) },
            false,
        );
    }

    fn add(&mut self, handle: Arc<Handle>, oracle: Oracle, raw: bool) {
        let file = HandleFile::new(handle, oracle.readable, oracle.writable);
        self.files.push(OpenFile {
            file,
            oracle: RefCell::new(oracle),
            raw,
            text: None,
            over: false,
            detached: false,
            of_parent: false,
        });
        self.watch();
    }

    fn feed(&mut self, length: usize) {
        let bytes = self.bytes(length);
        let world = self.world();
        for file in self.files.iter() {
            let oracle = &mut *file.oracle.borrow_mut();
            let mut files = world.files.borrow_mut();
            let node = &mut files.nodes[oracle.node];
            if node.kind == Kind::Pipe && node.connected {
                node.content.to_mut().extend_from_slice(bytes);
                oracle.content.to_mut().extend_from_slice(bytes);
                node.connected = length > 0;
            }
        }
        world.notify(super::world::DESCRIPTORS, true);
    }

    /// The other ends are closed.
    fn release_pipes(&mut self) {
        let world = self.world();
        let found = world.files.borrow_mut().disconnect();
        if found {
            world.notify(super::world::DESCRIPTORS, true);
        }
    }

    fn write_at(&mut self, file: usize, length: usize, place: usize) {
        let Some(file) = self.file(file) else { return };
        let bytes = self.bytes(length);
        let oracle = self.files[file].oracle.get_mut();
        if oracle.pipe || oracle.append || self.files[file].text.is_some() {
            return;
        }
        let oracle = self.files[file].oracle.get_mut();
        // Beside everything else: what the file has is not known until that is over.
        oracle.uncertain = true;
        oracle.partial = None;
        oracle.beside += 1;
        let offset = (place % (oracle.content.len() + 1)) as u64;
        self.begin_at(file, Request::WriteAt { bytes, offset });
    }

    fn answer(&mut self, operation: PathOperation) -> Result<Outcome, crate::error::Error> {
        let engine = Arc::clone(self.engine());
        match engine.attempt(&operation, &mut Space(&self.context, None)) {
            Ok((answer, _)) => answer,
            Err(lane) => {
                let ticket = self.ticket();
                match engine.submit(operation, lane, &ticket) {
                    Submitted::Ready(answer) => answer,
                    Submitted::Pending => self.outcome(&ticket),
                }
            }
        }
        .inspect_err(|error| self.told(error))
    }

    fn told(&self, error: &crate::error::Error) {
        if let Err(why) = error.code().map_or(Ok(()), |code| self.context.world.faults.told(code)) {
            self.wrong(why);
        }
        if let crate::error::Error::Panic(why) = error {
            self.wrong(format!("panic: {why}"));
        }
    }

    fn begin_path(&mut self, path: usize, other: usize, what: u8, length: usize) {
        let other = (what == 4 && other != path).then_some(other);
        if [Some(path), other].into_iter().flatten().any(|path| self.paths[path].busy) {
            return;
        }
        let bytes = self.bytes(length);
        let name = |path: usize| native(format!("/p{path}"));
        let operation = match what {
            0 | 1 => PathOperation::Write {
                path: name(path),
                data: Data::Owned(bytes.to_vec()),
                append: what == 1,
                bom: 0,
            },
            2 | 3 | 9 => PathOperation::Read { path: name(path) },
            4 => {
                PathOperation::Rename { path: name(path), target: name(other.unwrap_or(path)), replace: true }
            }
            5 => PathOperation::Unlink { path: name(path), missing_ok: false },
            6 => PathOperation::Truncate { path: name(path), length: length as i64 },
            _ => PathOperation::Stat { path: name(path), follow: true },
        };
        for path in [Some(path), other].into_iter().flatten() {
            self.paths[path].busy = true;
        }
        let engine = Arc::clone(self.engine());
        let mut space = Space(&self.context, None);
        let attempted = engine.attempt(&operation, &mut space);
        let room = space.1;
        let mut begun = PathRequest { path, other, what, bytes, ticket: None, answer: None, room };
        match attempted {
            Ok((answer, _)) => begun.answer = Some(answer),
            Err(lane) => {
                let ticket = self.ticket();
                match engine.submit(operation, lane, &ticket) {
                    Submitted::Ready(answer) => begun.answer = Some(answer),
                    Submitted::Pending => begun.ticket = Some(ticket),
                }
            }
        }
        self.begin(What::Path(Box::new(begun)));
    }

    fn go_on_with_path(&mut self, operation: &mut PathRequest) -> Option<Arc<Ticket>> {
        let answer = match operation.answer.take() {
            Some(answer) => answer,
            None => {
                let ticket = operation.ticket.take()?;
                if !ticket.is_done() {
                    operation.ticket = Some(Arc::clone(&ticket));
                    return Some(ticket);
                }
                match ticket.take() {
                    Some(answer) => answer,
                    None => self.wrong("a ticket is done, and there is no outcome"),
                }
            }
        };
        if let Ok(Outcome::Large(file)) = answer {
            let room = Room::new(file.size() + 1);
            let mut slices: Slices = file.slices();
            let sliced = loop {
                // SAFETY: there is room for one byte more.
                match unsafe { file.advance(&mut slices, room.start()) } {
                    Sliced::Pause => {}
                    sliced => break sliced,
                }
            };
            match sliced {
                Sliced::Complete => {
                    operation.answer = Some(Ok(Outcome::Bytes(room.bytes()[..file.size()].to_vec())))
                }
                Sliced::End(length) => {
                    operation.answer = Some(Ok(Outcome::Bytes(room.bytes()[..length].to_vec())))
                }
                _ => {
                    let ticket = self.ticket();
                    let keep = self.context.keep(&room);
                    // SAFETY: the room is kept alive, and nobody looks at it before it is filled.
                    self.engine()
                        .read_parallel(unsafe { ParallelRead::new(file, room.start(), 0, keep) }, &ticket);
                    operation.room = Some(room);
                    operation.ticket = Some(ticket);
                }
            }
            return self.go_on_with_path(operation);
        }
        self.path_ended(operation, answer);
        None
    }

    fn path_ended(&mut self, operation: &mut PathRequest, answer: Result<Outcome, crate::error::Error>) {
        self.context.world.note(|| format!("operation on path {} ends: {answer:?}", operation.path));
        let PathRequest { path, other, what, bytes, .. } = *operation;
        for path in [Some(path), other].into_iter().flatten() {
            self.paths[path].busy = false;
        }
        let known = self.paths[path].known.clone();
        let content = match answer {
            Ok(Outcome::Bytes(content)) => Some(content),
            Ok(Outcome::InBuffer) => operation.room.take().map(|room| {
                let bytes = room.bytes();
                bytes[..bytes.len() - 1].to_vec()
            }),
            Ok(Outcome::Filled { length, tail }) => {
                operation.room.take().map(|room| [&room.bytes()[..length], &tail].concat())
            }
            Ok(_) => None,
            Err(error) => {
                self.told(&error);
                let missing = error.code() == Some(libc::ENOENT);
                if missing && what > 1 && matches!(known, Some(Some(_))) {
                    self.wrong("what was written does not exist");
                }
                if !missing {
                    for path in [Some(path), other].into_iter().flatten() {
                        self.paths[path].known =
                            if (2..=3).contains(&what) { self.paths[path].known.take() } else { None };
                    }
                }
                return;
            }
        };
        match (what, known) {
            (0, _) => self.paths[path].known = Some(Some(bytes.to_vec())),
            (1, Some(before)) => {
                let mut content = before.unwrap_or_default();
                content.extend_from_slice(bytes);
                self.paths[path].known = Some(Some(content));
            }
            (2 | 3 | 9, Some(known)) if known != content => self.wrong(format!(
                "a path has {:?} bytes and should have {:?}",
                content.map(|content| content.len()),
                known.map(|content| content.len())
            )),
            (2 | 3 | 9, None) => self.paths[path].known = content.map(Some),
            (4, _) => {
                if let Some(other) = other {
                    let moved = self.paths[path].known.replace(None);
                    self.paths[other].known = moved.filter(Option::is_some);
                }
            }
            (5, _) => self.paths[path].known = Some(None),
            (6, Some(Some(mut content))) => {
                content.resize(bytes.len(), 0);
                self.paths[path].known = Some(Some(content));
            }
            _ => {}
        }
    }

    /// Goes on with a stream of what is in a directory, or of its removal.
    fn go_on_with_tree(&mut self, index: usize) -> Option<Arc<Ticket>> {
        let open = &mut self.streams[index];
        let progress = match open.stream.as_mut()? {
            Streaming::Listing(stream, _) => stream.next(Ticket::unique).map(|item| {
                item.map(|block| {
                    let entries =
                        block.iter().flat_map(|block| (0..block.len()).filter_map(|at| block.get(at)));
                    let names: Vec<_> = entries.map(|entry| entry.name.to_vec()).collect();
                    block.map(|_| names)
                })
            }),
            Streaming::Removal(removing, _) => removing.next(Ticket::unique).map(|item| item.map(|_| None)),
            Streaming::Numbers(_) => return None,
        };
        let item = match progress {
            StreamProgress::Done(item) => item,
            StreamProgress::Pending(ticket) => return Some(ticket),
            _ => return None,
        };
        self.context.world.note(|| format!("stream {index} yields {item:?}"));
        open.asked = false;
        let again = open.over;
        open.over |= !matches!(item, Ok(Some(_)));
        let why = match (item, open.stream.as_mut()?) {
            (Ok(_), _) if again => None,
            (Ok(Some(names)), Streaming::Listing(_, left)) => {
                let before = left.len();
                left.retain(|name| !names.contains(name));
                (before - left.len() != names.len()).then(|| "a directory has a name twice".to_owned())
            }
            (Ok(None), Streaming::Listing(_, left)) => {
                (!left.is_empty()).then(|| format!("{left:?} were not listed"))
            }
            (Ok(_), Streaming::Removal(_, top)) => {
                let files = &self.context.world.files.borrow().names;
                let left =
                    files.keys().find(|name| name.starts_with(top.as_bytes()) && name.len() < top.len() + 9);
                let left = left.filter(|name| matches!(name.get(top.len()), None | Some(b'/')));
                left.map(|name| format!("{} is left", String::from_utf8_lossy(name)))
            }
            (Err(error), _) => {
                let code = error.code().unwrap_or_default();
                let due = code >= FIRST_CODE || [libc::EMFILE, crate::platform::NO_THREAD].contains(&code);
                self.context
                    .world
                    .faults
                    .told(code)
                    .err()
                    .or_else(|| (again || !due).then(|| format!("a stream fails with {error:?}")))
            }
            (Ok(_), Streaming::Numbers(_)) => None,
        };
        if let Some(why) = why {
            self.wrong(why);
        }
        None
    }

    fn go_on_with_stream(&mut self, index: usize) -> Option<Arc<Ticket>> {
        let open = &mut self.streams[index];
        let Streaming::Numbers(stream) = open.stream.as_mut()? else { return self.go_on_with_tree(index) };
        let item = match stream.next(Ticket::unique) {
            StreamProgress::Done(item) => item,
            StreamProgress::Pending(ticket) => return Some(ticket),
            _ => return None,
        };
        self.context.world.note(|| format!("stream {index} yields {item:?}"));
        open.asked = false;
        let (parts, batches, failing, by_readiness) = open.description;
        let failing_part = parts.div_ceil(2);
        let why = match item {
            Ok(Some(batch)) => {
                let in_part = open.taken.iter().filter(|taken| taken.0 == batch.0).count();
                let late = !by_readiness && open.taken.last().is_some_and(|last| last.0 > batch.0);
                let skipped = !by_readiness
                    && (1..batch.0).any(|part| {
                        open.taken.iter().filter(|taken| taken.0 == part).count() != usize::from(batches)
                    });
                open.taken.push(batch);
                (in_part + 1 != usize::from(batch.1) || late || skipped || open.over)
                    .then(|| format!("batch {batch:?} of a stream came out of its order"))
            }
            Ok(None) => {
                let all = usize::from(parts) * usize::from(batches);
                let lost = !open.over && (open.taken.len() != all || failing);
                open.over = true;
                lost.then(|| "a stream ends before its end".to_owned())
            }
            Err(error) => {
                let due = match error.code() {
                    Some(FAILED) => {
                        failing
                            && (by_readiness
                                || open.taken.len() == usize::from(failing_part) * usize::from(batches))
                    }
                    code => code == Some(crate::platform::NO_THREAD),
                };
                let again = std::mem::replace(&mut open.over, true);
                (again || !due).then(|| format!("a stream fails with {error:?}"))
            }
        };
        if let Some(why) = why {
            self.wrong(why);
        }
        None
    }

    /// From here on everything happens in a forked child: there are no threads.
    fn fork(&mut self) {
        let world = self.world();
        if std::mem::replace(&mut self.forked, true) {
            return;
        }
        world.forget_workers();
        world.forks.set(world.forks.get() + 1);
        let engine = Engine::new(world.configuration);
        self.engines = vec![Arc::downgrade(&engine)];
        let parent = self.engine.replace(Arc::clone(&engine));
        // The parent's engine is not this process's to be taken down.
        std::mem::forget(parent);
        world.current.replace(Some(engine));
        self.loops = (0..LOOPS).map(|_| new_loop()).collect();
        self.watch();
        // The parent's tasks are not continued.
        while !self.running.is_empty() {
            self.cancel(self.running.len() - 1);
        }
        // What it keeps alive is not this process's to be released.
        self.context.kept = Arc::new(());
        world.files.borrow_mut().fork();
        for file in &mut self.files {
            file.of_parent = true;
            let oracle = file.oracle.get_mut();
            oracle.uncertain = true;
            oracle.partial = None;
            oracle.blind |= file.text.is_some();
        }
        for path in &mut self.paths {
            *path = Path { busy: false, known: None };
        }
        self.streams.clear();
    }

    /// What nobody has closed is closed, whichever engine it was opened in.
    fn finish_closing(&self) {
        for engine in self.engines.iter().filter_map(Weak::upgrade) {
            engine.finish_closing(Duration::from_secs(60));
        }
    }

    /// Everything is closed, and nothing may be left.
    fn finish(mut self) {
        let world = self.world();
        world.note(|| "--- the end".to_owned());
        world.faults.no_thread.set(false);
        self.release_pipes();
        self.settle();
        let streams = std::mem::take(&mut self.streams);
        self.let_go(streams);
        for file in 0..self.files.len() {
            if !self.files[file].over {
                self.begin_at(file, Request::Close);
            }
        }
        self.settle();
        // Where there was no thread to close one, it is left to be done in the background.
        self.files
            .iter()
            .filter(|file| !file.detached && !file.file.handle.is_closed())
            .for_each(|file| file.file.handle.close_in_background());
        world.faults.loop_may_wait.set(true);
        self.finish_closing();
        world.sleep(Duration::from_secs(2));
        self.finish_closing();
        let counters = self.engine().counters();
        let panics =
            |engine: &Weak<Engine>| engine.upgrade().is_some_and(|engine| engine.counters().panics > 0);
        if self.engines.iter().any(panics) {
            self.wrong("a worker has panicked");
        }
        if counters.queued > 0 || counters.in_flight > 0 {
            self.wrong(format!("{} jobs are queued and {} run", counters.queued, counters.in_flight));
        }
        // A forked child cannot close the files that its parent was using; they are dropped as they are.
        for (index, file) in self.files.iter().enumerate().filter(|(_, file)| !file.of_parent) {
            if !file.detached && !file.file.handle.is_closed() {
                self.wrong(format!("file {index} is not closed"));
            }
            let oracle = file.oracle.borrow();
            let clean = !world.faults.injected.borrow().iter().any(|error| error.node == oracle.node);
            if clean
                && let Err(why) = oracle.flushed(&world, true)
                && !world.faults.has_refused.get()
            {
                self.wrong(format!("file {index}: {why}"));
            }
        }
        self.files.clear();
        world.current.take();
        self.engine = None;
        world.sleep(Duration::from_secs(15));
        release_memory();
        for descriptor in std::mem::take(&mut self.kept) {
            if world.files.borrow_mut().close(descriptor).is_err() {
                self.wrong("a descriptor was closed that was to be kept");
            }
        }
        let left = world.files.borrow().left_open();
        if !left.is_empty() {
            self.wrong(format!("the descriptors {left:?} are left open"));
        }
        if world.workers() > 0 {
            self.wrong(format!("{} threads are left", world.workers()));
        }
        if self.engines.iter().any(|engine| engine.strong_count() > 0) {
            self.wrong("the engine is left");
        }
        if Arc::strong_count(&self.context.kept) > 1 {
            self.wrong("memory of the caller's is kept alive for nothing");
        }
    }
}

/// Has the world look after the locks and the invariants of an engine alone.
pub(super) fn watch_engine(world: &World, engine: &Arc<Engine>) {
    let engine = Arc::downgrade(engine);
    let other = Weak::clone(&engine);
    let is_free = move || {
        peek(&engine, |engine| engine.pool().is_unlocked() && engine.locks().is_unlocked()).unwrap_or(true)
    };
    world.locks.replace(vec![Box::new(is_free)]);
    world.invariant.replace(Some(Box::new(move || {
        let broken = peek(&other, |engine| {
            // Locks have threads of their own.
            let alone = !engine.locks().is_used();
            let threads = super::world().filter(|_| alone).map(|world| world.workers());
            engine.pool().broken(threads).or_else(|| engine.locks().broken().map(str::to_owned))
        });
        broken.flatten().map_or(Ok(()), Err)
    })));
}

/// Looks at something without keeping it: what is looked at may be taken down only by its owners.
fn peek<T, R>(reference: &Weak<T>, look: impl FnOnce(&T) -> R) -> Option<R> {
    if reference.strong_count() == 0 {
        return None;
    }
    // SAFETY: a simulation has one real thread, which does nothing else meanwhile, so what exists stays.
    Some(look(unsafe { &*reference.as_ptr() }))
}

/// Whether something goes wrong in a program.
pub(super) fn failing(program: &Program) -> bool {
    run(program, false).is_some()
}

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}
