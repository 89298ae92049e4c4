"""Reasons why a row is unrated that come from no reply."""

from __future__ import annotations

NO_TEXT = "the row has no text"
NOT_ASKED = "not asked yet"
