//! Streams: sources of the tests' own, stepped by workers, under consumers that pause, leave, and come back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rapfiles_core::{
    Claim, Configuration, Engine, Error, Lane, Order, Part, PathOperation, Port, Progress, STREAM_READY,
    Single, Slice, Source, Step, Stream, Submitted, Ticket, Wake, run_here,
};

/// A loop that sleeps until a worker wakes it.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    sound: Condvar,
}

impl Wake for Bell {
    fn wake(&self) {
        *self.rung.lock().unwrap() = true;
        self.sound.notify_one();
    }

    fn acknowledge(&self) {
        *self.rung.lock().unwrap() = false;
    }
}

/// A consumer with a loop of its own.
struct Consumer {
    bell: Arc<Bell>,
    port: Arc<Port>,
}

impl Consumer {
    fn new() -> Self {
        let bell = Arc::new(Bell::default());
        Self { port: Port::new(Arc::clone(&bell) as Arc<dyn Wake>), bell }
    }

    fn wait(&self) {
        let rung = self.bell.rung.lock().unwrap();
        let (rung, waited) =
            self.bell.sound.wait_timeout_while(rung, Duration::from_secs(60), |rung| !*rung).unwrap();
        assert!(!waited.timed_out(), "nobody wakes the consumer");
        drop(rung);
    }

    fn next<S: Source>(&self, stream: &mut Stream<S>) -> Result<Option<S::Batch>, Error> {
        loop {
            match stream.next(|| Ticket::new(1)) {
                Progress::Done(item) => return item,
                Progress::Pending(ticket) => {
                    if ticket.expect(&self.port) {
                        self.wait();
                        assert_eq!(self.port.drain().len(), 1);
                    }
                }
                Progress::Yield => unreachable!("a stream does not know other tasks"),
            }
        }
    }

    /// Everything up to the end.
    fn rest<S: Source>(&self, stream: &mut Stream<S>) -> Vec<S::Batch> {
        std::iter::from_fn(|| self.next(stream).unwrap()).collect()
    }
}

fn engine(max_workers: usize) -> Arc<Engine> {
    Engine::new(Configuration { max_workers, usable_cpus: 4 })
}

fn wait_until(holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "waited in vain");
        thread::yield_now();
    }
}

fn is_idle(engine: &Engine) -> bool {
    let counters = engine.counters();
    counters.queued + counters.in_flight == 0
}

/// A part that does what a closure says.
struct Scripted<F>(F);

impl<B: Send + 'static, F> Part for Scripted<F>
where
    F: FnMut(&Slice<'_>) -> Result<Step<B>, Error> + Send + 'static,
{
    type Batch = B;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<B>, Error> {
        self.0(slice)
    }
}

fn single<B: Send + 'static>(
    step: impl FnMut(&Slice<'_>) -> Result<Step<B>, Error> + Send + 'static,
) -> Single<impl Part<Batch = B>> {
    Single::new(Scripted(step))
}

type Stepping<B> = Box<dyn FnMut(&Slice<'_>) -> Result<Step<B>, Error> + Send>;

/// Parts that are all there from the start.
struct Parts<B> {
    parts: VecDeque<Stepping<B>>,
    order: Order,
}

impl<B: Send + 'static> Source for Parts<B> {
    type Batch = B;
    type Part = Scripted<Stepping<B>>;

    fn claim(&mut self) -> Claim<Self::Part> {
        self.parts.pop_front().map_or(Claim::Over, |part| Claim::Part(Scripted(part)))
    }

    fn order(&self) -> Order {
        self.order
    }
}

fn parts<B>(order: Order, parts: impl IntoIterator<Item = Stepping<B>>) -> Parts<B> {
    Parts { parts: parts.into_iter().collect(), order }
}

/// Steps that count up to a number.
fn counting(to: u64, taken: Arc<AtomicUsize>) -> impl FnMut(&Slice<'_>) -> Result<Step<u64>, Error> + Send {
    let mut next = 0;
    move |slice| {
        if next == to {
            return Ok(Step::Last(None));
        }
        taken.fetch_add(1, Ordering::SeqCst);
        slice.count(1);
        next += 1;
        Ok(Step::Batch(next - 1))
    }
}

fn io_error(code: i32) -> Error {
    Error::Os { code, subject: rapfiles_core::Subject::Nothing }
}

/// Tells when it is dropped, and in which thread.
struct Tracked(Sender<thread::ThreadId>);

impl Drop for Tracked {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

fn tracked() -> (Tracked, Receiver<thread::ThreadId>) {
    let (sender, receiver) = mpsc::channel();
    (Tracked(sender), receiver)
}

fn dropped(receiver: &Receiver<thread::ThreadId>) -> thread::ThreadId {
    receiver.recv_timeout(Duration::from_secs(60)).expect("it is dropped")
}

fn go_on() -> Result<(), Error> {
    Ok(())
}

#[test]
fn all_batches_come_once_and_in_order() {
    for workers in [1, 8] {
        let (engine, consumer) = (engine(workers), Consumer::new());
        let mut stream = engine.stream(Lane::Unknown, single(counting(10_000, Arc::default())));
        assert_eq!(consumer.rest(&mut stream), (0..10_000).collect::<Vec<_>>());
        assert_eq!(stream.progress(), 10_000);
        assert!(consumer.next(&mut stream).unwrap().is_none());
        assert!(consumer.next(&mut stream).unwrap().is_none());
    }
}

#[test]
fn the_last_batch_may_come_with_the_end() {
    let (engine, consumer) = (engine(2), Consumer::new());
    let mut stream = engine.stream(Lane::Unknown, single(|_| Ok(Step::Last(Some(1)))));
    assert_eq!(consumer.rest(&mut stream), [1]);
    let mut stream = engine.stream(Lane::Unknown, single(|_| Ok(Step::<u8>::Last(None))));
    assert!(consumer.rest(&mut stream).is_empty());
    let mut stream = engine.stream(Lane::Unknown, parts::<u8>(Order::AsReady, []));
    assert!(consumer.rest(&mut stream).is_empty());
}

#[test]
fn nothing_is_done_before_something_is_asked_for() {
    let engine = engine(2);
    let taken = Arc::new(AtomicUsize::new(0));
    let (mark, gone) = tracked();
    let mut step = counting(3, Arc::clone(&taken));
    let source = single(move |slice| {
        let _ = &mark;
        step(slice)
    });
    let stream = engine.stream(Lane::Unknown, source);
    drop(stream);
    // Nothing is open, so no worker is needed for dropping it.
    assert_eq!(gone.try_recv(), Ok(thread::current().id()));
    assert_eq!(taken.load(Ordering::SeqCst), 0);
    assert_eq!((engine.counters().submitted, engine.counters().workers), (0, 0));
}

#[test]
fn a_paused_consumer_holds_no_worker_and_bounds_the_queue() {
    let (engine, consumer) = (engine(2), Consumer::new());
    let taken = Arc::new(AtomicUsize::new(0));
    let mut stream = engine.stream(Lane::Unknown, single(counting(1_000, Arc::clone(&taken))));
    assert_eq!(consumer.next(&mut stream).unwrap(), Some(0));
    wait_until(|| is_idle(&engine));
    let ahead = taken.load(Ordering::SeqCst);
    assert!((2..=STREAM_READY + 1).contains(&ahead), "{ahead}");
    // Fill the queue, which may not have been full when the first one was taken.
    while taken.load(Ordering::SeqCst) < STREAM_READY + 1 {
        consumer.next(&mut stream).unwrap();
        wait_until(|| is_idle(&engine));
    }
    let submitted = engine.counters().submitted;
    let full = taken.load(Ordering::SeqCst);
    // Down to half of the queue nobody is troubled …
    for _ in 0..STREAM_READY / 2 {
        consumer.next(&mut stream).unwrap();
        wait_until(|| is_idle(&engine));
        if engine.counters().submitted != submitted {
            break;
        }
        assert_eq!(taken.load(Ordering::SeqCst), full);
    }
    // … and below that it is filled again.
    consumer.next(&mut stream).unwrap();
    wait_until(|| is_idle(&engine));
    assert!(engine.counters().submitted > submitted);
    assert!(taken.load(Ordering::SeqCst) > full);
    consumer.rest(&mut stream);
    assert_eq!(taken.load(Ordering::SeqCst), 1_000);
}

#[test]
fn a_long_step_leaves_its_worker_to_others() {
    let (engine, consumer) = (engine(1), Consumer::new());
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let mut stream = engine.stream(
        Lane::Unknown,
        single(move |slice| {
            while !slice.is_over() {
                std::hint::spin_loop();
            }
            Ok(if stopping.load(Ordering::SeqCst) { Step::Last(Some("end")) } else { Step::Again })
        }),
    );
    assert!(matches!(stream.next(|| Ticket::new(1)), Progress::Pending(_)));
    // There is one worker, which is in a step that would go on for ever.
    for number in 0..10 {
        let ticket = Ticket::new(2 + number);
        if let Submitted::Pending = engine.submit(PathOperation::Home { user: None }, Lane::Mount(1), &ticket)
        {
            if ticket.expect(&consumer.port) {
                consumer.wait();
                consumer.port.drain();
            }
            assert!(ticket.take().is_some());
        }
    }
    stop.store(true, Ordering::SeqCst);
    assert_eq!(consumer.rest(&mut stream), ["end"]);
}

#[test]
fn a_step_ends_early_where_another_job_waits() {
    let engine = Engine::new(Configuration { max_workers: 1, usable_cpus: 1 });
    let consumer = Consumer::new();
    let early = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&early);
    let mut stream = engine.stream(
        Lane::Mount(1),
        single(move |slice| {
            let began = Instant::now();
            while !slice.is_over() {}
            // Less than half of the time that it has if no other job waits.
            ended.fetch_or(began.elapsed() < Duration::from_millis(2), Ordering::SeqCst);
            Ok(Step::<()>::Again)
        }),
    );
    assert!(matches!(stream.next(|| Ticket::new(1)), Progress::Pending(_)));
    // It is not early if its thread has to wait for a processor meanwhile.
    wait_until(|| {
        let ticket = Ticket::new(2);
        if let Submitted::Pending = engine.submit(PathOperation::Home { user: None }, Lane::Mount(2), &ticket)
            && ticket.expect(&consumer.port)
        {
            consumer.wait();
            consumer.port.drain();
        }
        early.load(Ordering::SeqCst)
    });
}

#[test]
fn a_step_in_progress_sees_that_the_stream_is_closed() {
    for closes in [true, false] {
        let engine = engine(2);
        let (mark, gone) = tracked();
        let (begun, has_begun) = mpsc::channel();
        let mut stream = engine.stream(
            Lane::Unknown,
            single(move |slice| {
                let _ = &mark;
                let _ = begun.send(());
                while !slice.is_unwanted() {
                    std::hint::spin_loop();
                }
                Ok(Step::Batch(()))
            }),
        );
        assert!(matches!(stream.next(|| Ticket::new(1)), Progress::Pending(_)));
        has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
        if closes {
            stream.close();
            assert!(matches!(stream.next(|| Ticket::new(1)), Progress::Done(Ok(None))));
            stream.close();
        } else {
            drop(stream);
        }
        assert_ne!(dropped(&gone), thread::current().id());
        wait_until(|| is_idle(&engine));
        assert_eq!(has_begun.try_iter().count(), 0, "stepped again");
    }
}

#[test]
fn a_job_that_has_not_begun_is_dropped() {
    let (engine, consumer) = (engine(1), Consumer::new());
    let (go, may_go) = mpsc::channel::<()>();
    let mut first = engine.stream(
        Lane::Unknown,
        single(move |_| {
            let _ = may_go.recv();
            Ok(Step::Last(Some(1)))
        }),
    );
    assert!(matches!(first.next(|| Ticket::new(1)), Progress::Pending(_)));
    wait_until(|| engine.counters().in_flight == 1);
    let taken = Arc::new(AtomicUsize::new(0));
    let mut second = engine.stream(Lane::Unknown, single(counting(3, Arc::clone(&taken))));
    assert!(matches!(second.next(|| Ticket::new(2)), Progress::Pending(_)));
    drop(second);
    drop(go);
    assert_eq!(consumer.rest(&mut first), [1]);
    wait_until(|| is_idle(&engine));
    assert_eq!(taken.load(Ordering::SeqCst), 0);
    assert_eq!(engine.counters().cancelled, 1);
}

#[test]
fn what_a_paused_source_holds_is_dropped_by_a_worker() {
    let (engine, consumer) = (engine(2), Consumer::new());
    let (mark, gone) = tracked();
    let mut step = counting(1_000, Arc::default());
    let source = single(move |slice| {
        let _ = &mark;
        step(slice)
    });
    let mut stream = engine.stream(Lane::Unknown, source);
    consumer.next(&mut stream).unwrap();
    wait_until(|| is_idle(&engine));
    assert!(gone.try_recv().is_err());
    drop(stream);
    assert_ne!(dropped(&gone), thread::current().id());
}

#[test]
fn an_error_is_told_after_what_came_before_it_and_ends_the_stream() {
    let (engine, consumer) = (engine(2), Consumer::new());
    let mut next = 0;
    let mut stream = engine.stream(
        Lane::Unknown,
        single(move |_| {
            next += 1;
            if next == 20 { Err(io_error(5)) } else { Ok(Step::Batch(next)) }
        }),
    );
    for expected in 1..20 {
        assert_eq!(consumer.next(&mut stream).unwrap(), Some(expected));
    }
    assert_eq!(consumer.next(&mut stream).unwrap_err().code(), Some(5));
    assert!(consumer.next(&mut stream).unwrap().is_none());
    wait_until(|| is_idle(&engine));
}

#[test]
fn errors_come_in_the_order_of_the_parts() {
    let (engine, consumer) = (engine(4), Consumer::new());
    let failed = Arc::new(AtomicUsize::new(0));
    // Each has a batch, and then goes on once a number of others have failed: the last one first.
    let part = |name: &'static str, after: usize, end: Option<i32>| -> Stepping<&'static str> {
        let (failed, mut batches) = (Arc::clone(&failed), 0);
        Box::new(move |slice| {
            batches += 1;
            if batches == 1 {
                return Ok(Step::Batch(name));
            }
            while failed.load(Ordering::SeqCst) < after {
                if slice.is_over() {
                    return Ok(Step::Again);
                }
            }
            let Some(code) = end else { return Ok(Step::Last(Some("last"))) };
            failed.fetch_add(1, Ordering::SeqCst);
            Err(io_error(code))
        })
    };
    let source = [part("first", 2, None), part("second", 1, Some(2)), part("third", 0, Some(3))];
    let mut stream = engine.stream(Lane::Unknown, parts(Order::AsClaimed, source));
    for expected in ["first", "last", "second"] {
        assert_eq!(consumer.next(&mut stream).unwrap(), Some(expected));
    }
    assert_eq!(consumer.next(&mut stream).unwrap_err().code(), Some(2));
    assert!(consumer.next(&mut stream).unwrap().is_none());
    wait_until(|| is_idle(&engine));
}

#[test]
fn the_error_that_is_told_is_the_first_part_s() {
    for _ in 0..200 {
        let (engine, consumer) = (engine(4), Consumer::new());
        let failing = |code: i32| -> Stepping<()> { Box::new(move |_| Err(io_error(code))) };
        let source = parts(Order::AsClaimed, [failing(1), failing(2), failing(3)]);
        let mut stream = engine.stream(Lane::Unknown, source);
        assert_eq!(consumer.next(&mut stream).unwrap_err().code(), Some(1));
        assert!(consumer.next(&mut stream).unwrap().is_none());
    }
}

#[test]
fn an_error_stops_the_parts_that_come_after_it() {
    let (engine, consumer) = (engine(4), Consumer::new());
    for order in [Order::AsClaimed, Order::AsReady] {
        let barrier = Arc::new(Barrier::new(2));
        let (mark, gone) = tracked();
        let meets = Arc::clone(&barrier);
        let failing: Stepping<()> = Box::new(move |_| {
            meets.wait();
            Err(io_error(5))
        });
        let endless: Stepping<()> = Box::new(move |slice| {
            let _ = &mark;
            barrier.wait();
            while !slice.is_unwanted() {
                std::hint::spin_loop();
            }
            Ok(Step::Again)
        });
        let mut stream = engine.stream(Lane::Unknown, parts(order, [failing, endless]));
        assert_eq!(consumer.next(&mut stream).unwrap_err().code(), Some(5));
        dropped(&gone);
    }
}

#[test]
fn steps_of_one_source_run_at_once() {
    let (engine, consumer) = (engine(4), Consumer::new());
    for order in [Order::AsClaimed, Order::AsReady] {
        let barrier = Arc::new(Barrier::new(3));
        let meeting = (0..3).map(|number| -> Stepping<u8> {
            let barrier = Arc::clone(&barrier);
            Box::new(move |_| {
                // Nobody gets past this alone.
                barrier.wait();
                Ok(Step::Last(Some(number)))
            })
        });
        let mut stream = engine.stream(Lane::Unknown, parts(order, meeting));
        let mut taken = consumer.rest(&mut stream);
        if order == Order::AsReady {
            taken.sort_unstable();
        }
        assert_eq!(taken, [0, 1, 2]);
    }
}

/// Parts of which each yields some batches, with pauses here and there.
fn uneven(part: u64) -> Stepping<(u64, u64)> {
    let mut batch = 0;
    Box::new(move |slice| {
        let noise = (part * 31 + batch * 17) % 13;
        if noise == 0 {
            thread::yield_now();
        }
        batch += 1;
        slice.count(1);
        Ok(match noise {
            1 => Step::Again,
            _ if batch > part % 7 => Step::Last((noise != 2).then_some((part, batch))),
            _ => Step::Batch((part, batch)),
        })
    })
}

#[test]
fn the_order_of_the_parts_is_kept_however_they_are_stepped() {
    const PARTS: u64 = 3_000;
    let mut expected = Vec::new();
    run_here(parts(Order::AsClaimed, (0..PARTS).map(uneven)), |batch| expected.push(batch), go_on).unwrap();
    for (workers, order) in [(1, Order::AsClaimed), (8, Order::AsClaimed), (8, Order::AsReady)] {
        let (engine, consumer) = (engine(workers), Consumer::new());
        let mut stream = engine.stream(Lane::Unknown, parts(order, (0..PARTS).map(uneven)));
        let mut taken = consumer.rest(&mut stream);
        if order == Order::AsReady {
            taken.sort_unstable();
        }
        assert_eq!(taken, expected);
    }
}

#[test]
fn ready_batches_of_later_parts_do_not_block_the_first() {
    let (engine, consumer) = (engine(4), Consumer::new());
    let behind = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&behind);
    let mut batches = 0;
    // The first part has nothing until the others can do no more.
    let first: Stepping<u32> = Box::new(move |slice| {
        while batches == 0 && behind.load(Ordering::SeqCst) < STREAM_READY - 1 {
            if slice.is_over() {
                return Ok(Step::Again);
            }
            thread::yield_now();
        }
        batches += 1;
        Ok(if batches == 100 { Step::Last(Some(0)) } else { Step::Batch(0) })
    });
    let others = (1..100).map(|number| -> Stepping<u32> {
        let count = Arc::clone(&count);
        Box::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Step::Last(Some(number)))
        })
    });
    let mut stream =
        engine.stream(Lane::Unknown, parts(Order::AsClaimed, std::iter::once(first).chain(others)));
    let expected: Vec<u32> = std::iter::repeat_n(0, 100).chain(1..100).collect();
    assert_eq!(consumer.rest(&mut stream), expected);
}

/// A tree whose parts are found while others are stepped.
struct Growing {
    found: Arc<Mutex<Vec<u32>>>,
    open: Arc<AtomicUsize>,
}

struct Branch {
    depth: u32,
    found: Arc<Mutex<Vec<u32>>>,
    open: Arc<AtomicUsize>,
}

impl Source for Growing {
    type Batch = u32;
    type Part = Branch;

    fn claim(&mut self) -> Claim<Branch> {
        let mut found = self.found.lock().unwrap();
        match found.pop() {
            Some(depth) => {
                let (found, open) = (Arc::clone(&self.found), Arc::clone(&self.open));
                Claim::Part(Branch { depth, found, open })
            }
            None if self.open.load(Ordering::SeqCst) == 0 => Claim::Over,
            None => Claim::Later,
        }
    }

    fn order(&self) -> Order {
        Order::AsReady
    }
}

impl Part for Branch {
    type Batch = u32;

    fn step(&mut self, _slice: &Slice<'_>) -> Result<Step<u32>, Error> {
        let mut found = self.found.lock().unwrap();
        if self.depth > 0 {
            self.open.fetch_add(2, Ordering::SeqCst);
            found.extend([self.depth - 1; 2]);
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
        Ok(Step::Last(Some(self.depth)))
    }
}

fn growing(depth: u32) -> Growing {
    Growing { found: Arc::new(Mutex::new(vec![depth])), open: Arc::new(AtomicUsize::new(1)) }
}

#[test]
fn parts_may_be_found_on_the_way() {
    for workers in [1, 8] {
        let (engine, consumer) = (engine(workers), Consumer::new());
        let mut stream = engine.stream(Lane::Unknown, growing(13));
        let taken = consumer.rest(&mut stream);
        for depth in 0..=13 {
            assert_eq!(taken.iter().filter(|found| **found == depth).count(), 1 << (13 - depth));
        }
    }
    let mut count = 0;
    run_here(growing(5), |_| count += 1, go_on).unwrap();
    assert_eq!(count, 63);
}

#[test]
fn work_in_this_thread_may_be_stopped() {
    let endless = single(|slice| {
        while !slice.is_over() {
            std::hint::spin_loop();
        }
        Ok(Step::<()>::Again)
    });
    let mut asked = 0;
    let stopped = run_here(
        endless,
        |()| {},
        || {
            asked += 1;
            if asked == 3 { Err(io_error(4)) } else { Ok(()) }
        },
    );
    assert_eq!(stopped.unwrap_err().code(), Some(4));
}

#[test]
fn a_source_that_can_never_go_on_is_an_error() {
    let (engine, consumer) = (engine(2), Consumer::new());
    let source = Growing { found: Arc::default(), open: Arc::new(AtomicUsize::new(1)) };
    let mut stream = engine.stream(Lane::Unknown, source);
    assert!(matches!(consumer.next(&mut stream), Err(Error::Panic(_))));
    assert!(consumer.next(&mut stream).unwrap().is_none());
}

#[test]
fn a_panic_is_an_error_of_the_one_stream() {
    let (engine, consumer) = (engine(1), Consumer::new());
    let mut stream = engine.stream(Lane::Unknown, single::<()>(|_| panic!("a test's own")));
    match consumer.next(&mut stream) {
        Err(Error::Panic(message)) => assert_eq!(message, "a test's own"),
        other => panic!("{other:?}"),
    }
    assert!(consumer.next(&mut stream).unwrap().is_none());
    let mut stream = engine.stream(Lane::Unknown, single(counting(3, Arc::default())));
    assert_eq!(consumer.rest(&mut stream), [0, 1, 2]);
    assert_eq!(engine.counters().panics, 1);
}

#[test]
fn a_stream_outlives_its_engine() {
    let (engine, consumer) = (engine(2), Consumer::new());
    let mut stream = engine.stream(Lane::Unknown, single(counting(1_000, Arc::default())));
    assert_eq!(consumer.next(&mut stream).unwrap(), Some(0));
    drop(engine);
    assert_eq!(consumer.rest(&mut stream), (1..1_000).collect::<Vec<_>>());
}

#[test]
fn whoever_asks_again_is_told_in_place_of_whoever_asked_before() {
    let (engine, consumer) = (engine(1), Consumer::new());
    let (go, may_go) = mpsc::channel::<()>();
    let mut stream = engine.stream(
        Lane::Unknown,
        single(move |_| {
            let _ = may_go.recv();
            Ok(Step::Last(Some(1)))
        }),
    );
    let Progress::Pending(before) = stream.next(|| Ticket::new(1)) else { panic!("too soon") };
    // As if the task that asked had been cancelled.
    assert!(before.expect(&Consumer::new().port));
    let Progress::Pending(now) = stream.next(|| Ticket::new(2)) else { panic!("too soon") };
    assert!(now.expect(&consumer.port));
    drop(go);
    consumer.wait();
    assert!(now.is_done() && !before.is_done());
    consumer.port.drain();
    assert_eq!(consumer.rest(&mut stream), [1]);
}

#[test]
fn nothing_is_left_of_streams_that_end_anyhow() {
    let engine = engine(3);
    let alive = Arc::new(());
    thread::scope(|scope| {
        for consumer in 0..4_u64 {
            let (engine, alive) = (&engine, &alive);
            scope.spawn(move || {
                let loop_ = Consumer::new();
                for round in 0..300_u64 {
                    let order = if round % 2 == 0 { Order::AsClaimed } else { Order::AsReady };
                    let fails = round % 5 == 0;
                    let source = parts(
                        order,
                        (0..20).map(|part| -> Stepping<(u64, u64)> {
                            let (alive, mut step) = (Arc::clone(alive), uneven(part));
                            Box::new(move |slice| {
                                let _ = &alive;
                                if fails && part == 7 { Err(io_error(5)) } else { step(slice) }
                            })
                        }),
                    );
                    let mut stream = engine.stream(Lane::Mount(consumer), source);
                    for _ in 0..(round * 7 + consumer) % 60 {
                        if !matches!(loop_.next(&mut stream), Ok(Some(_))) {
                            break;
                        }
                    }
                    if round % 3 == 0 {
                        // Left while somebody waits.
                        let _ = stream.next(|| Ticket::new(3));
                    }
                }
            });
        }
    });
    wait_until(|| is_idle(&engine));
    wait_until(|| Arc::strong_count(&alive) == 1);
    assert_eq!(engine.counters().panics, 0);
}

#[cfg(unix)]
#[test]
fn a_forked_child_is_told_and_can_drop_it() {
    let (engine, consumer) = (engine(2), Consumer::new());
    let (begun, has_begun) = mpsc::channel();
    let mut paused = engine.stream(Lane::Unknown, single(counting(1_000, Arc::default())));
    consumer.next(&mut paused).unwrap();
    let mut busy = engine.stream(
        Lane::Unknown,
        single(move |slice| {
            let _ = begun.send(());
            while !slice.is_unwanted() {
                std::hint::spin_loop();
            }
            Ok(Step::Again::<()>)
        }),
    );
    let mut ended = engine.stream(Lane::Unknown, single(|_| Ok(Step::Last(Some(1)))));
    assert_eq!(consumer.next(&mut ended).unwrap(), Some(1));
    assert!(matches!(busy.next(|| Ticket::new(1)), Progress::Pending(_)));
    has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
    // SAFETY: the child does nothing but what is tested here, and leaves.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let told = |item: &Progress<_>| matches!(item, Progress::Done(Err(Error::Forked)));
        let right = told(&paused.next(|| Ticket::new(1)))
            && matches!(busy.next(|| Ticket::new(1)), Progress::Done(Err(Error::Forked)))
            && matches!(busy.next(|| Ticket::new(1)), Progress::Done(Ok(None)))
            // It had come to its end before.
            && matches!(ended.next(|| Ticket::new(1)), Progress::Done(Ok(None)));
        drop((paused, busy, ended));
        // SAFETY: as above.
        unsafe { libc::_exit(i32::from(!right)) };
    }
    let mut status = -1;
    // SAFETY: there is room for the status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert!(consumer.next(&mut paused).unwrap().is_some());
}
