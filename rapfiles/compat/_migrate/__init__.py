"""`python -m rapfiles.compat migrate`: rewrites the imports of aiofiles in a source tree.

- `command`: the arguments, the output and the exit code.
- `sources`: which files there are.
- `text`: a file as text, and back to exactly the same bytes where nothing has changed.
- `rewriting`: what becomes of one file: its new text, and what is left to a person.
- `names`: what aiofiles' modules and names are called in rapfiles.
"""
