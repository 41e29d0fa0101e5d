//! The floor under the benchmarks: the bare calls of the system, one after the other, without Python.
//!
//! ```text
//! floor OPERATION < names
//! ```
//!
//! The names come on standard input, each ended by a NUL byte; for `rename` they are pairs of source and target.
//! Prints one JSON object: the operation, how many of them ran, and the microseconds that each took.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How many bytes the small files of the benchmarks have.
const SMALL: usize = 4096;

/// Runs one operation over all names and returns the time it took.
type Run = fn(&[&str]) -> io::Result<Duration>;

fn main() -> ExitCode {
    let operation = std::env::args().nth(1).unwrap_or_default();
    // Operations that can be repeated on the same names run once before the clock, as a warm-up.
    let (run, repeatable): (Run, bool) = match operation.as_str() {
        "read_bytes" => (read_bytes, true),
        "read_text" => (read_text, true),
        "read_large" => (read_large, false),
        "write_bytes" => (write_bytes, false),
        "stat" => (stat, true),
        "exists" => (exists, true),
        "mkdir" => (mkdir, false),
        "rmdir" => (rmdir, false),
        "unlink" => (unlink, false),
        "rename" => (rename, false),
        _ => {
            eprintln!("floor: unknown operation {operation:?}");
            return ExitCode::from(2);
        }
    };
    match measure(&operation, run, repeatable) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {operation}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(operation: &str, run: Run, repeatable: bool) -> io::Result<()> {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let names: Vec<&str> = input.split_terminator('\0').collect();
    let operations = if operation == "rename" { names.len() / 2 } else { names.len() };
    if operations == 0 {
        return Err(io::Error::other("no names on standard input"));
    }
    if repeatable {
        run(&names)?;
    }
    let microseconds = run(&names)?.as_secs_f64() * 1e6 / operations as f64;
    println!(
        r#"{{"operation": "{operation}", "operations": {operations}, "microseconds": {microseconds:.4}}}"#
    );
    Ok(())
}

/// Calls `call` with each name and times all of them together.
fn each(names: &[&str], mut call: impl FnMut(&str) -> io::Result<()>) -> io::Result<Duration> {
    let started = Instant::now();
    for name in names {
        call(name)?;
    }
    Ok(started.elapsed())
}

fn read_bytes(names: &[&str]) -> io::Result<Duration> {
    let mut buffer = [0; SMALL + 1];
    each(names, |name| {
        let mut file = File::open(name)?;
        black_box(file.metadata()?.len());
        black_box(file.read(&mut buffer)?);
        Ok(())
    })
}

fn read_text(names: &[&str]) -> io::Result<Duration> {
    let mut buffer = [0; SMALL + 1];
    each(names, |name| {
        let mut file = File::open(name)?;
        black_box(file.metadata()?.len());
        let length = file.read(&mut buffer)?;
        let text = std::str::from_utf8(&buffer[..length]).map_err(io::Error::other)?;
        black_box(text);
        Ok(())
    })
}

/// The buffers are given back to the system after the clock, as they are in the other measurements.
fn read_large(names: &[&str]) -> io::Result<Duration> {
    let mut elapsed = Duration::ZERO;
    for name in names {
        let started = Instant::now();
        let content = fs::read(name)?;
        elapsed += started.elapsed();
        drop(black_box(content));
    }
    Ok(elapsed)
}

fn write_bytes(names: &[&str]) -> io::Result<Duration> {
    let content = [b'x'; SMALL];
    each(names, |name| File::create(name)?.write_all(&content))
}

fn stat(names: &[&str]) -> io::Result<Duration> {
    each(names, |name| {
        black_box(fs::metadata(name)?);
        Ok(())
    })
}

fn exists(names: &[&str]) -> io::Result<Duration> {
    each(names, |name| {
        black_box(fs::exists(name)?);
        Ok(())
    })
}

fn mkdir(names: &[&str]) -> io::Result<Duration> {
    each(names, |name| fs::create_dir(name))
}

fn rmdir(names: &[&str]) -> io::Result<Duration> {
    each(names, |name| fs::remove_dir(name))
}

fn unlink(names: &[&str]) -> io::Result<Duration> {
    each(names, |name| fs::remove_file(name))
}

fn rename(names: &[&str]) -> io::Result<Duration> {
    let started = Instant::now();
    for pair in names.chunks_exact(2) {
        fs::rename(pair[0], pair[1])?;
    }
    Ok(started.elapsed())
}
