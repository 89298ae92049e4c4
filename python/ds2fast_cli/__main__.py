"""`python -m ds2fast_cli` is the program `ds2fast`."""

from ds2fast_cli import run

run()
