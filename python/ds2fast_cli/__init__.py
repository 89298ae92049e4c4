"""The program `ds2fast`, beside the package and not in it.

Importing anything from the package brings NumPy and the extension with it, some tenths of a second;
here `--help`, wrong options and Ctrl-C need not wait for that.
"""

from ds2fast_cli.interrupt import leave_on_interrupt


def run() -> None:
    """Run the program on the arguments of this process; does not return."""
    leave_on_interrupt()
    from ds2fast_cli.commands import program

    program(prog_name="ds2fast")
