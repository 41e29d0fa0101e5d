"""Shell-style patterns over whole paths, as the newest pathlib matches them, for the Pythons that cannot."""

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache


def matches(path: str, pattern: str, *, separator: str, case_sensitive: bool, recursive: bool) -> bool:
    """Whether the whole path matches the pattern, component by component.

    `*` and every other wildcard stay within one component. Where `recursive` is true, a component `**` stands
    for any number of components; as the last one, for at least one.
    """
    names = path.split(separator)
    parts = pattern.split(separator)
    # How many leading names the parts so far may have taken: a set, so that `**` costs no backtracking.
    taken = {0}
    for position, part in enumerate(parts):
        if recursive and part == "**":
            first = min(taken)
            if position == len(parts) - 1:
                return first < len(names)
            # The empty name before the root is not a component of its own, so `**/a` does not match `/a`.
            skipped = first + 1 if first < len(names) and not names[first] else None
            taken |= {count for count in range(first + 1, len(names) + 1) if count != skipped}
        else:
            match = _compile(part, case_sensitive)
            taken = {count + 1 for count in taken if count < len(names) and match(names[count])}
            if not taken:
                return False
    return len(names) in taken


@lru_cache(maxsize=512)
def _compile(part: str, case_sensitive: bool) -> Callable[[str], object]:
    if part == "*":
        # A component is never empty.
        return bool
    return re.compile(fnmatch.translate(part), re.NOFLAG if case_sensitive else re.IGNORECASE).match
