"""Random programs of files, handles and paths, and the model that says what may come of them.

`generator` makes a program, `player` plays it with the library and writes down what came of each operation,
`judge` looks for an order and for effects of the cancelled operations that explain all of that with `io` and
`pathlib`, and `shortening` cuts down a program for which there are none.
"""
