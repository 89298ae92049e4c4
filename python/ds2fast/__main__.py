"""`python -m ds2fast` is the program `ds2fast`."""

from ds2fast_cli import run

if __name__ == "__main__":
    run()
