"""`ds2fast` run in this process, as a child of the scale bench that tells its own peak memory.

python bench/scale_select.py select pool.jsonl -n 100 -o out --model static
"""

from __future__ import annotations

import json
import sys

from ds2fast_cli.commands import program
from knn_ways import peak_mib


def main() -> None:
    program.main(sys.argv[1:], prog_name="ds2fast", standalone_mode=False)
    print(json.dumps({"peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
