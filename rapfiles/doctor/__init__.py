"""`python -m rapfiles doctor`: the library shown at work on the user's own files.

- `command`: the arguments, the deadline, Ctrl-C and the exit code.
- `sample`: the bounded walk that finds files to read.
- `ways`: the ways to do an operation that are compared.
- `examination`: the measurement, in interleaved rounds.
- `stall`: whether AsyncPath held up the loop, or just the machine was busy.
- `ticker`: the lag of an event loop.
- `findings`: everything that was found out.
- `report`: the findings as text and as JSON.
"""
