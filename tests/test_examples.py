"""Each program of examples/ does what its first lines say, with every warning an error."""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rapfiles
from support import fuse, process, strace

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PACKAGE = Path(rapfiles.__file__).parents[1]
TESTED = {
    "back_up",
    "cache",
    "clear_out",
    "copy_with_progress",
    "count_words",
    "csv_to_jsonl",
    "edit_settings",
    "file_server",
    "follow",
    "hash_pieces",
    "job_queue",
}

# Who starts the tests in the background starts them deaf to Ctrl-C.
INTERRUPTIBLE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *map(str, arguments)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PACKAGE)}


def run(name: str, *arguments: object, code: int = 0) -> str:
    """What the program prints on its output; it must end with `code`."""
    done = subprocess.run(
        _command(name, *arguments), capture_output=True, encoding="utf-8", timeout=60, env=_environment()
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@contextmanager
def running(name: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """The program while it runs; in the end Ctrl-C stops it, in silence."""
    interpreter, *options, script = _command(name)
    started = subprocess.Popen(
        [interpreter, *options, "-c", INTERRUPTIBLE, script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=_environment(),
    )
    with process.limited(started) as child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGINT)
            try:
                _, errors = child.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                # asyncio misses a signal that arrives just before `epoll_wait` (test_exit.py has the figure).
                child.send_signal(signal.SIGINT)
                _, errors = child.communicate()
    assert (child.returncode, errors) == (130, b"")


def test_each_is_tested_and_listed() -> None:
    there = {path.stem for path in EXAMPLES.glob("*.py")}
    assert there == TESTED
    listed = re.findall(r"\[`(\w+)\.py`\]\(\1\.py\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert set(listed) == there


def test_count_words(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for number in range(50):
        (tmp_path / "folder" / f"{number}.txt").write_text(
            "The file\nthe \u00fcber file\n" * 10, encoding="utf-8"
        )
    (tmp_path / "one.txt").write_text("file " * 7)
    lines = run("count_words", tmp_path / "folder", tmp_path / "one.txt").splitlines()
    assert [line.split() for line in lines] == [["1007", "file"], ["1000", "the"], ["500", "\u00fcber"]]


def test_follow(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with running("follow", log, 0.01) as child, log.open("a", buffering=1) as writer:
        assert child.stdout is not None
        # Nothing says when it has begun to follow: lines are written until one is seen.
        os.set_blocking(child.stdout.fileno(), False)
        while not (seen := child.stdout.read()):
            assert child.poll() is None
            writer.write("ready\n")
        os.set_blocking(child.stdout.fileno(), True)
        assert set(seen.split()) == {b"ready"}
        writer.write("half")
        writer.write(" and half\n")
        assert _line_after(child, b"ready\n") == b"half and half\n"
        # Replaced, as logrotate does it.
        log.rename(tmp_path / "log.1")
        log.write_text("of the new file\n")
        assert child.stdout.readline() == b"of the new file\n"
        # Truncated, and begun again with less than there was.
        os.truncate(log, 0)
        while os.stat(log).st_size == 0:
            log.write_text("anew\n")
        assert child.stdout.readline() == b"anew\n"


def _line_after(child: subprocess.Popen[bytes], skipped: bytes) -> bytes:
    assert child.stdout is not None
    return next(line for line in iter(child.stdout.readline, b"") if line != skipped)


def test_copy_with_progress(tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 5 + b"rest"
    (tmp_path / "source").write_bytes(data)
    (tmp_path / "target").write_bytes(b"old")
    run("copy_with_progress", tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == data
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}
    run("copy_with_progress", tmp_path / "missing", tmp_path / "target", code=1)
    assert (tmp_path / "target").read_bytes() == data
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}


def test_back_up(tmp_path: Path) -> None:
    for name in ("photos", "music"):
        (tmp_path / name / "in").mkdir(parents=True)
        (tmp_path / name / "in" / "file").write_bytes(b"content" * 1000)
    shown = run("back_up", tmp_path / "photos", tmp_path / "music", tmp_path / "backup")
    for name in ("photos", "music"):
        assert (tmp_path / "backup" / name / "in" / "file").read_bytes() == b"content" * 1000
        assert re.search(rf"{name} .*7\.0/7\.0 kB", shown)
    os.mkfifo(tmp_path / "photos" / "fifo")
    run("back_up", tmp_path / "photos", tmp_path / "backup", code=1)


def test_clear_out(tmp_path: Path) -> None:
    for name in ("build", "cache"):
        (tmp_path / name / "in").mkdir(parents=True)
        (tmp_path / name / "in" / "file").touch()
    run("clear_out", tmp_path / "build", tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []
    run("clear_out", tmp_path / "missing", code=1)


def _together(*commands: list[str]) -> list[str]:
    """What programs that run at the same time print; each must end with 0."""
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(
                process.limited(
                    subprocess.Popen(
                        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
                    )
                )
            )
            for command in commands
        ]
        ended = [child.communicate() for child in children]
        assert [(child.returncode, errors) for child, (_, errors) in zip(children, ended, strict=True)] == [
            (0, "") for _ in children
        ]
    return [output for output, _ in ended]


def test_edit_settings(tmp_path: Path) -> None:
    """Each change is there at the end, and what it found is what another one left."""
    settings = tmp_path / "settings.json"
    assert run("edit_settings", settings, "runs", "0") == "runs: None is now 0\n"
    keys = [f"key {number}" for number in range(4)]
    _together(*[_command("edit_settings", settings, key, '["a value"]') for key in keys])
    assert json.loads(settings.read_text()) == {"runs": 0, **{key: ["a value"] for key in keys}}
    assert {path.name for path in tmp_path.iterdir()} == {"settings.json", "settings.json.lock"}


def test_cache(tmp_path: Path) -> None:
    outputs = _together(*[_command("cache", tmp_path, 1_000_003 * 1_000_033, 97, 97) for _ in range(3)])
    lines = [line for output in outputs for line in output.splitlines()]
    assert lines.count("1000036000099 = 1000003 1000033") == 3
    assert lines.count("97 = 97") == 6
    assert lines.count("factorising 97") == lines.count("factorising 1000036000099") == 1


def test_job_queue(tmp_path: Path) -> None:
    """Every job is done by one of the workers, also what a killed one had begun."""
    numbers = [run("job_queue", "put", tmp_path, "one two three").strip() for _ in range(5)]
    # What a worker leaves that was killed: a job that it had taken, and a lock file that nobody has locked.
    (tmp_path / "running" / "killed").mkdir(parents=True)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "killed").touch()
    taken = f"{numbers[0]}.job"
    (tmp_path / "new" / taken).rename(tmp_path / "running" / "killed" / taken)
    # A job that was put meanwhile is another one.
    numbers.append(run("job_queue", "put", tmp_path, "one two three").strip())
    outputs = _together(*[_command("job_queue", "work", tmp_path)] * 3)
    assert sum(int(output.split()[0]) for output in outputs) == 6
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {f"done/{number}" for number in numbers}
    assert {path.read_text() for path in (tmp_path / "done").iterdir()} == {"3 words"}


@strace.needs_strace
def test_job_queue_with_a_job_that_is_not_complete(prompt_disk: fuse.SlowDisk) -> None:
    """Where files without a name do not exist, what is being written has one, and is no job yet."""
    queue = prompt_disk.root / "queue"
    # It ends before its content is synchronised, and removes nothing: it is as if it still wrote.
    options = ["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync,fdatasync:signal=KILL"]
    killed = subprocess.run(
        ["strace", *options, *_command("job_queue", "put", queue, "one two three")],
        env=_environment(),
        capture_output=True,
        timeout=60,
    )
    if b"PTRACE" in killed.stderr:
        pytest.skip("strace may not trace")
    [incomplete] = (queue / "new").iterdir()
    number = run("job_queue", "put", queue, "one two").strip()
    assert run("job_queue", "work", queue) == "1 jobs\n"
    assert list((queue / "done").iterdir()) == [queue / "done" / number]
    assert list((queue / "new").iterdir()) == [incomplete]


def test_csv_to_jsonl(tmp_path: Path) -> None:
    rows = [{"name": f"n{number}", "text": f'a "quoted", long\nline {"x" * 100}'} for number in range(5000)]
    quoted = [(row["name"], row["text"].replace('"', '""')) for row in rows]
    table = "\ufeffname,text\r\n" + "".join(f'{name},"{text}"\r\n' for name, text in quoted)
    (tmp_path / "table.csv").write_bytes(table.encode())
    assert run("csv_to_jsonl", tmp_path / "table.csv", tmp_path / "out.jsonl") == "5000 rows\n"
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_hash_pieces(tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(data)
    lines = run("hash_pieces", tmp_path / "file", 65536).splitlines()
    expected = [hashlib.sha256(data[at : at + 65536]).hexdigest() for at in range(0, len(data), 65536)]
    assert [line.split() for line in lines] == [[str(at), digest] for at, digest in enumerate(expected)]


async def _request(port: int, text: str) -> tuple[str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head.decode(), content


@pytest.mark.loops("asyncio")
async def test_file_server(tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 3
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a file").write_bytes(data)
    (tmp_path / "secret").write_bytes(b"secret")
    with running("file_server", tmp_path / "folder", 0) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline().split()[-1])
        answers = await asyncio.gather(*[_request(port, "GET /a%20file HTTP/1.1\r\n\r\n") for _ in range(20)])
        assert all(head.startswith("HTTP/1.1 200 OK") and content == data for head, content in answers)
        head, content = await _request(port, "GET /a%20file HTTP/1.1\r\nRange: bytes=100-199\r\n\r\n")
        assert head.startswith("HTTP/1.1 206")
        assert content == data[100:200]
        head, content = await _request(port, "GET /a%20file HTTP/1.1\r\nRange: bytes=9999999-\r\n\r\n")
        assert head.startswith("HTTP/1.1 416")
        head, content = await _request(port, "HEAD /a%20file HTTP/1.1\r\n\r\n")
        assert f"Content-Length: {len(data)}" in head
        assert content == b""
        for url in ("/missing", "/../secret", "/..%2fsecret", "//etc/passwd", "/"):
            assert (await _request(port, f"GET {url} HTTP/1.1\r\n\r\n"))[0].startswith("HTTP/1.1 404"), url
        assert (await _request(port, "PUT / HTTP/1.1\r\n\r\n"))[0].startswith("HTTP/1.1 405")
