"""Writes fixture.json beside it: what Python's strftime writes, on Linux in the C locale.

TZ=UTC python gpu-worker/test/dates/make_fixture.py
"""

import json
from datetime import datetime
from pathlib import Path

DIRECTIVES = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%"
FORMATS = [f"%{each}" for each in DIRECTIVES] + [
    *["%-d", "%-m", "%-H", "%-I", "%-M", "%-S", "%-j", "%-y", "%_d", "%_H", "%0e", "%^a", "%^B"],
    *["%d %B %Y", "%A, %d %b %Y at %I:%M %p", "100%% %i", "%Y-%m-%dT%H:%M:%S%z"],
]
DATES = [
    datetime(2026, 3, 7, 15, 4, 5),
    datetime(2024, 12, 30),
    datetime(2027, 1, 1, 12, 59, 59),
    datetime(2023, 1, 1, 9, 8, 7),
    datetime(2021, 12, 31, 23),
    datetime(2020, 2, 29, 0, 30),
    datetime(2000, 6, 11, 11, 11, 11),
]
out = [
    {"date": date.isoformat(), "texts": {each: date.strftime(each) for each in FORMATS}}
    for date in DATES
]
Path(__file__).with_name("fixture.json").write_text(json.dumps(out, indent=1) + "\n")
