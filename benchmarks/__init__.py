"""The benchmarks: rapfiles beside synchronous code and the other libraries (see README.md)."""
