"""Labels by hand for a sample of the pool: how often the scores are right, and gold to learn from.

`draw_sample` chooses the rows, `write_sheet` hands them to a person, `read_labels` takes them
back as `gold=`, and `assess` says how good the scores are.
"""

from ds2fast.audit.draw import draw_sample
from ds2fast.audit.gold import write_gold
from ds2fast.audit.labels import Labels, read_labels, read_sheet
from ds2fast.audit.result import AuditResult, assess
from ds2fast.audit.sheet import auditable_scores, check_sheet_output, write_sheet

__all__ = [
    "AuditResult",
    "Labels",
    "assess",
    "auditable_scores",
    "check_sheet_output",
    "draw_sample",
    "read_labels",
    "read_sheet",
    "write_gold",
    "write_sheet",
]
