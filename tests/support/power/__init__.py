"""Power cuts: what a file system holds when the power goes at any moment of a program.

A disk records every write and every flush of a file system on it (`disk`, `tests/power/recorder.c`), while a
workload runs there in a child process (`child`, `workloads`). From the record come states that the device may
be in after a power cut (`states`): prefixes of it, and choices among the writes that no flush had followed.
Each is mounted, and the workload's own check says whether it may be so (`trial`). The method is that of
CrashMonkey (Mohan et al., "Finding Crash-Consistency Bugs with Bounded Black-Box Crash Testing", OSDI 2018).
`python -m support.power` is the long form, `scripts/test-power-cuts`.
"""
