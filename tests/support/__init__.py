"""What the tests share: event loops, trees of files, mounts, child processes, measurements and the oracle."""
