//! Transactions and recoveries that are killed before each of their system calls: enumerated, not sampled.
//!
//! A child is stopped before each system call by ptrace(2), and killed before one of them. A call whose caller gets a
//! SIGKILL while it is stopped there is not made.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::super::log::{COMMIT, SWAPPED};
use super::super::{Recovery, Staging, Transaction, TransactionOptions, recover};
use crate::engine::Engine;
use crate::platform::NativePath;
use crate::simulation::folder::start_child;
use crate::verbs::write::Data;

/// Runs a test in a process of its own, with nothing else in it: the thousands of forks of the one in which the simulator
/// runs, which has gigabytes then, would take minutes.
fn apart(name: &str, test: impl FnOnce()) {
    const APART: &str = "RAPFILES_TEST_APART";
    if env::var_os(APART).is_some() {
        return test();
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("{module}::{name}")]).env(APART, "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = start_child(&mut command).unwrap().wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}{errors}");
}

/// Runs something in a child that is killed before its system call with this number; `true` if it has no such call.
fn killed_before(number: usize, run: impl FnOnce()) -> bool {
    // SAFETY: the child only does what the test needs: it calls no function of the test harness, and exits at once.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: no memory is involved.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        let ran = catch_unwind(AssertUnwindSafe(run));
        // SAFETY: no memory is involved.
        unsafe { libc::_exit(i32::from(ran.is_err())) };
    }
    let wait = || {
        let mut status = 0;
        // SAFETY: there is room for the status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status
    };
    let mut status = wait();
    assert!(libc::WIFSTOPPED(status));
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
    // SAFETY: no memory is involved.
    unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child, 0, options) };
    let (mut calls, mut entered) = (0, false);
    loop {
        // SAFETY: no memory is involved.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, child, 0, 0) };
        status = wait();
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0, "the child failed");
            return true;
        }
        assert!(libc::WIFSTOPPED(status), "the child was killed by somebody else");
        if libc::WSTOPSIG(status) != libc::SIGTRAP | 0x80 {
            continue;
        }
        entered = !entered;
        calls += usize::from(entered);
        if entered && calls == number {
            // SAFETY: no memory is involved.
            unsafe { libc::kill(child, libc::SIGKILL) };
            assert!(libc::WIFSIGNALED(wait()));
            return false;
        }
    }
}

fn native(path: &[u8]) -> NativePath {
    NativePath::from_vec(path.to_vec()).unwrap()
}

fn native_path(path: &Path) -> NativePath {
    native(path.as_os_str().as_encoded_bytes())
}

fn begin(directory: &Path, options: TransactionOptions) -> Arc<Transaction> {
    Transaction::begin(Engine::current(), &native_path(directory), options).unwrap()
}

fn recovered(directory: &Path) -> Recovery {
    recover(&native_path(directory)).unwrap()
}

/// A directory for a transaction, alone in another one.
struct Ground {
    above: tempfile::TempDir,
    here: PathBuf,
}

impl Ground {
    /// In memory: whether it survives a power cut is not tested here.
    fn new() -> Self {
        let shared = Path::new("/dev/shm");
        let above = if shared.is_dir() {
            tempfile::tempdir_in(shared).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let here = above.path().join("here");
        prepare(&here);
        Self { above, here }
    }

    /// Whether there is nothing but the directory, and no log in it.
    fn is_tidy(&self) -> bool {
        fs::read_dir(self.above.path()).unwrap().count() == 1 && !self.here.join(".rapfiles").exists()
    }
}

const LASTING: TransactionOptions = TransactionOptions { durable: true, swap: false };
const LOOSE: TransactionOptions = TransactionOptions { durable: false, swap: false };
const LASTING_SWAP: TransactionOptions = TransactionOptions { durable: true, swap: true };

const BINARY: &[u8] = b"not UTF-8 \xff%";

fn prepare(directory: &Path) {
    fs::create_dir_all(directory.join("sub")).unwrap();
    fs::create_dir_all(directory.join("untouched/deeper")).unwrap();
    fs::write(directory.join("untouched/deeper/file"), "untouched").unwrap();
    fs::set_permissions(directory.join("untouched/deeper"), fs::Permissions::from_mode(0o500)).unwrap();
    for name in ["replaced", "log", "first", "second", "third", "removed", "sub/inner"] {
        fs::write(directory.join(name), format!("old {name}")).unwrap();
    }
    fs::set_permissions(directory.join("replaced"), fs::Permissions::from_mode(0o640)).unwrap();
}

/// A transaction with everything.
fn transact(directory: &Path, options: TransactionOptions) {
    let transaction = begin(directory, options);
    let data = |bytes: &[u8]| Data::Owned(bytes.to_vec());
    let write = |name: &[u8], bytes: &[u8]| Staging::Write { name: native(name), data: data(bytes) };
    let append =
        |name: &[u8], bytes: &[u8]| Staging::Append { name: native(name), data: data(bytes), bom: 0 };
    let rename = |name: &[u8], target: &[u8]| Staging::Rename { name: native(name), target: native(target) };
    for staging in [
        write(b"replaced", b"new"),
        write(BINARY, &[7; 5000]),
        append(b"log", b"more"),
        append(b"log", b" and more"),
        append(b"created", b"first line"),
        // The first two exchange their names.
        rename(b"first", b"between"),
        rename(b"second", b"first"),
        rename(b"between", b"second"),
        append(b"second", b" extended"),
        rename(b"third", b"sub/third"),
        Staging::Copy { name: native(b"sub/inner"), target: native(b"copy") },
        Staging::Remove { name: native(b"removed"), missing_ok: false },
        Staging::MakeDirectory { name: native(b"new") },
        write(b"new/file", b"in a new directory"),
    ] {
        transaction.stage(&staging).unwrap();
    }
    transaction.commit().unwrap();
}

type State = BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>;

/// What is in a directory, apart from the logs.
fn state(directory: &Path) -> State {
    let mut found = State::new();
    let mut to_do = vec![directory.to_owned()];
    while let Some(here) = to_do.pop() {
        for entry in fs::read_dir(&here).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().to_owned();
            if name == Path::new(".rapfiles") {
                continue;
            }
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            let content = if path.is_dir() {
                to_do.push(path.clone());
                None
            } else {
                Some(fs::read(&path).unwrap())
            };
            found.insert(name, (mode, content));
        }
    }
    found
}

fn is_committed(directory: &Path) -> bool {
    let logs = fs::read_dir(directory.join(".rapfiles")).into_iter().flatten();
    logs.flatten().any(|log| log.path().join(COMMIT).exists() || log.path().join(SWAPPED).exists())
}

/// The state before the transaction, and after it, which is the same with each of the options.
fn states() -> (State, State) {
    let ground = Ground::new();
    let old = state(&ground.here);
    transact(&ground.here, LASTING);
    let new = state(&ground.here);
    assert!(ground.is_tidy());
    let content = |name: &str| new[Path::new(name)].1.as_deref().unwrap();
    assert_eq!(content("first"), b"old second");
    assert_eq!(content("second"), b"old first extended");
    assert_eq!(content("log"), b"old logmore and more");
    assert_eq!(content("sub/third"), b"old third");
    assert_eq!(content("copy"), b"old sub/inner");
    assert_eq!(new[Path::new("replaced")], (0o100_640, Some(b"new".to_vec())));
    assert!(new.contains_key(Path::new(&OsString::from_vec(BINARY.to_vec()))));
    assert!(!new.contains_key(Path::new("removed")) && !new.contains_key(Path::new("third")));
    (old, new)
}

/// Kills a transaction before each of its calls, and hands over what it leaves: the directory, and whether it was
/// committed.
fn at_each_call(options: TransactionOptions, mut then: impl FnMut(usize, &Ground, bool)) -> usize {
    for number in 1.. {
        let ground = Ground::new();
        let over = killed_before(number, || transact(&ground.here, options));
        let committed = over || is_committed(&ground.here);
        then(number, &ground, committed);
        if over {
            return number;
        }
    }
    unreachable!("the numbers end")
}

#[test]
fn killed_at_each_call_of_a_transaction() {
    apart("killed_at_each_call_of_a_transaction", || kill_transactions(&[LASTING, LOOSE]));
}

#[test]
fn killed_at_each_call_of_a_transaction_that_exchanges_the_directory() {
    apart("killed_at_each_call_of_a_transaction_that_exchanges_the_directory", || {
        kill_transactions(&[LASTING_SWAP]);
    });
}

fn kill_transactions(each: &[TransactionOptions]) {
    let (old, new) = states();
    for &options in each {
        let mut finished = 0;
        let calls = at_each_call(options, |number, ground, committed| {
            let here = &ground.here;
            if options.swap || (!committed && here.join(".rapfiles").exists()) {
                // Either nothing has been done, or everything, and the log is being removed.
                let now = state(here);
                assert!(now == old || now == new, "before call {number} something was changed");
            }
            let recovery = recovered(here);
            let now = state(here);
            assert!(now == if committed { new.clone() } else { now.clone() }, "call {number}: {now:?}");
            assert!(now == old || now == new, "call {number}: {now:?}");
            assert!(ground.is_tidy(), "call {number} leaves something");
            finished += recovery.finished.len();
            assert!(recovery.skipped.is_empty());
            assert_eq!(recovered(here).undone.len(), 0);
        });
        assert!(calls > 100, "{calls} calls");
        assert!(finished > 10, "{finished} were finished by recovery");
    }
}

#[test]
fn killed_at_each_call_of_a_recovery() {
    apart("killed_at_each_call_of_a_recovery", || kill_recoveries(LASTING, 9));
}

#[test]
fn killed_at_each_call_of_a_recovery_after_an_exchange() {
    apart("killed_at_each_call_of_a_recovery_after_an_exchange", || kill_recoveries(LASTING_SWAP, 31));
}

/// Each of these is of a transaction that was committed and not applied, not wholly applied, or not removed.
fn kill_recoveries(options: TransactionOptions, step: usize) {
    let (old, new) = states();
    let (mut points, mut calls) = (0, 0);
    for number in (1..).step_by(step) {
        let ground = Ground::new();
        if killed_before(number, || transact(&ground.here, options)) {
            break;
        }
        let committed = is_committed(&ground.here);
        // Before the commit point, recovery only removes what was prepared.
        if !committed && number % 4 != 0 {
            continue;
        }
        points += 1;
        for call in 1.. {
            // The same again, as the recovery before has changed it.
            let ground = Ground::new();
            assert!(!killed_before(number, || transact(&ground.here, options)));
            assert_eq!(is_committed(&ground.here), committed, "another thread has made some of the calls");
            let over = killed_before(call, || drop(recovered(&ground.here)));
            let recovery = recovered(&ground.here);
            let now = state(&ground.here);
            assert!(now == old || now == new, "killed at {number}, recovery at {call}: {now:?}");
            assert!(!committed || now == new, "killed at {number}, recovery at {call} took it back");
            assert!(ground.is_tidy(), "killed at {number}, recovery at {call}");
            assert!(recovery.skipped.is_empty());
            calls += 1;
            if over {
                break;
            }
        }
    }
    assert!(points > 5 && calls > 200, "{points} points, {calls} calls");
}
