"""A finished selection as one page to look at: no script needed, and nothing leaves it."""

from ds2fast.report.page import report_html

__all__ = ["report_html"]
