"""The benchmarks: AsyncPath beside synchronous pathlib and the other libraries (see README.md)."""
