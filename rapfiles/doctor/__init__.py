"""`python -m rapfiles doctor`: measures the library on the user's own files.

- `command`: the arguments, the output and the exit code.
- `supervision`: waits for the report, up to a time limit.
- `progress`: the line that tells what is going on.
- `child`: the process in which the examination runs.
- `sample`: the bounded walk that finds files to read.
- `ways`: the ways to do an operation that are compared.
- `examination`: the measurement, in interleaved rounds.
- `passes`: what is measured at a time.
- `clock`: the time of a thread, without that in which others had the processor.
- `ticker`: the lag of an event loop.
- `stall`: whether AsyncPath held up the loop, or the machine was busy.
- `findings`: everything that was found out.
- `report`: the findings as text and as JSON.
"""
