"""Questions about code of the demo's pool: SQL, Python, the shell, patterns and spreadsheets."""

from __future__ import annotations

import numpy as np

from pool_subject import Subject, pick

_SHOPS = [
    ("customers", "orders", "amount"),
    ("members", "loans", "days"),
    ("farms", "harvests", "weight"),
    ("pupils", "absences", "hours"),
    ("drivers", "trips", "distance"),
    ("patients", "visits", "minutes"),
]


def sql_join(rng: np.random.Generator) -> Subject:
    people, events, column = pick(rng, _SHOPS)
    one, limit, year = people[:-1], int(rng.integers(3, 21)), int(rng.integers(2015, 2025))
    return Subject(
        f"Write a query that lists the {limit} {people} with the highest total {column} of "
        f"{events} in {year}, including {people} without any.",
        f"a query for the total {column} per {one} in {year}",
        (
            f"I assume `{people}(id, name)` and `{events}({one}_id, day, {column})`.",
            f"```sql\nSELECT p.name, COALESCE(SUM(e.{column}), 0) AS total\nFROM {people} p\n"
            f"LEFT JOIN {events} e\n  ON e.{one}_id = p.id\n"
            f"  AND e.day >= '{year}-01-01' AND e.day < '{year + 1}-01-01'\n"
            f"GROUP BY p.id, p.name\nORDER BY total DESC, p.name\nLIMIT {limit};\n```",
            f"The left join keeps {people} without {events}, and `COALESCE` turns their NULL "
            "into 0.",
            "The dates stand in the `ON` clause on purpose: in `WHERE` they would throw the rows "
            "without a match away again.",
            f"Small test: with rows of 5 and 7 for one {one} and none for another, "
            "the result is 12 and 0.",
            f"Caveat: group by the id as well as the name, or two {people} of the same name are "
            f"added together; an index on `{events}({one}_id, day)` keeps it fast.",
        ),
        (f"Join `{people}` to `{events}` and use `GROUP BY` with `SUM({column})`.",),
        f"`SELECT * FROM {people}, {events} WHERE year = {year}`",
    )


def sql_filter(rng: np.random.Generator) -> Subject:
    _, events, column = pick(rng, _SHOPS)
    bound = int(rng.integers(5, 400))
    return Subject(
        f"How do I select the {events} whose {column} is above {bound}, newest first, in SQL?",
        f"selecting {events} above {bound} in SQL",
        brief=(
            f"`SELECT * FROM {events} WHERE {column} > {bound} ORDER BY day DESC;`",
            f"Rows where {column} is NULL are left out.",
        ),
        slip=f"`SELECT {events} WHERE {column} above {bound}`",
    )


def sql_update(rng: np.random.Generator) -> Subject:
    people, events, column = pick(rng, _SHOPS)
    number = int(rng.integers(2, 900))
    return Subject(
        f"How do I set the {column} to zero for number {number} of the {events} in SQL?",
        f"changing one row of {events} in SQL",
        slip=pick(
            rng,
            [
                f"`UPDATE {events} SET {column} = 0` and then save it.",
                f"Open the table {events} and type 0 there, or use UPDATE.",
                f"`SET {column} = 0 IN {events} {number}` should do, {people} stay the same.",
            ],
        ),
    )


_FUNCTIONS = [
    (
        "splits a list into pieces of a given length",
        "chunks",
        "def chunks(items, size):\n    if size < 1:\n        raise ValueError(f'size: {size}')\n"
        "    return [items[i:i + size] for i in range(0, len(items), size)]",
        "`range` walks over the first index of each piece, and slicing past the end is allowed, "
        "so the last piece is simply shorter.",
        "`chunks([1, 2, 3, 4, 5], 2)` returns `[[1, 2], [3, 4], [5]]`, "
        "and an empty list gives `[]`.",
        "It copies the items; for millions of them yield the slices one by one.",
    ),
    (
        "computes the moving average of a list",
        "moving_average",
        "def moving_average(values, width):\n    if not 1 <= width <= len(values):\n"
        "        raise ValueError(f'width: {width}')\n    total = sum(values[:width])\n"
        "    means = [total / width]\n    for old, new in zip(values, values[width:]):\n"
        "        total += new - old\n        means.append(total / width)\n    return means",
        "The running total adds the value that enters and takes off the one that leaves, so the "
        "work is the same for any width.",
        "`moving_average([2, 4, 6, 8], 2)` returns `[3.0, 5.0, 7.0]`, n − width + 1 = 3 values.",
        "With floats tiny errors build up over very long lists; sum afresh every thousand steps.",
    ),
    (
        "counts the words of a text",
        "count_words",
        "import re\nfrom collections import Counter\n\ndef count_words(text, top=10):\n"
        '    words = re.findall(r"[^\\W\\d_]+(?:\'[^\\W\\d_]+)?", text.lower())\n'
        "    return Counter(words).most_common(top)",
        "The pattern takes letters of any alphabet and one apostrophe inside a word, and "
        "`Counter` does the counting in a single pass.",
        "`count_words(\"It's late. Is it late?\", 1)` returns `[('late', 2)]`.",
        "Hyphenated words are split in two; add the hyphen to the pattern if you want them whole.",
    ),
    (
        "flattens nested lists of any depth",
        "flatten",
        "def flatten(items):\n    flat, stack = [], [iter(items)]\n    while stack:\n"
        "        for item in stack[-1]:\n            if isinstance(item, list):\n"
        "                stack.append(iter(item))\n                break\n"
        "            flat.append(item)\n        else:\n            stack.pop()\n    return flat",
        "A stack of iterators replaces recursion: a nested list is pushed, and when one is used up "
        "the `else` of the loop takes it off.",
        "`flatten([1, [2, [3, []]], 4])` returns `[1, 2, 3, 4]`.",
        "Only lists are opened, so tuples and strings stay whole; a list that contains itself "
        "would never end.",
    ),
    (
        "finds the value in a sorted list by bisection",
        "find",
        "def find(values, wanted):\n    low, high = 0, len(values)\n    while low < high:\n"
        "        middle = (low + high) // 2\n        if values[middle] < wanted:\n"
        "            low = middle + 1\n        else:\n            high = middle\n"
        "    return low if low < len(values) and values[low] == wanted else -1",
        "At each step everything left of `low` is smaller and everything from `high` on is not, "
        "so 20 steps do for a million values.",
        "`find([1, 3, 3, 8], 3)` returns 1, the first of the equal ones, "
        "and `find([], 3)` returns -1.",
        "The list has to be sorted in ascending order; the function does not check that, because "
        "the check would cost more than the search.",
    ),
]


def python_function(rng: np.random.Generator) -> Subject:
    what, name, code, why, example, caveat = pick(rng, _FUNCTIONS)
    purpose = pick(rng, ["a tool at work", "a course", "a data export", "a hobby project"])
    return Subject(
        f"Write a Python function that {what}, and explain it. It is for {purpose}.",
        f"a Python function that {what}",
        (
            f"Here is `{name}`, in plain Python without other packages:",
            f"```python\n{code}\n```",
            why,
            f"Example: {example}",
            f"It keeps no state, so {purpose} may call it as often as needed.",
            f"One caveat: {caveat[0].lower()}{caveat[1:]}",
        ),
        (f"```python\n{code}\n```",),
        f"`{name}()` does that, you only need to import it.",
    )


def find_files(rng: np.random.Generator) -> Subject:
    ending = pick(rng, ["log", "tmp", "csv", "jpg", "bak", "txt"])
    days, folder = int(pick(rng, [3, 7, 14, 30, 90])), pick(rng, ["~/work", "/var/data", "~/old"])
    return Subject(
        f"How do I delete all .{ending} files below {folder} that are older than {days} days, "
        "in the shell?",
        f"deleting old .{ending} files below {folder}",
        (
            "Look first, delete second. This prints what would go:",
            f"```sh\nfind {folder} -type f -name '*.{ending}' -mtime +{days}\n```",
            f"`-type f` leaves folders alone, the quotes keep the shell from expanding the star, "
            f"and `+{days}` means more than {days} full days since the last change.",
            "If the list is right, run the same line with `-delete` at its end.",
            "`-delete` must come last, or `find` removes everything that it meets.",
            "There is no way back.",
        ),
        (f"`find {folder} -type f -name '*.{ending}' -mtime +{days} -delete`",),
        f"`rm *.{ending}` in the folder should do it.",
    )


_PATTERNS = [
    (
        "a date such as 2024-03-09",
        r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
        "the year has four digits, the month runs from 01 to 12 and the day from 01 to 31",
        "2024-13-01",
        "2023-02-30",
    ),
    (
        "a time such as 17:05",
        r"^([01]\d|2[0-3]):[0-5]\d$",
        "hours start with 0 or 1 and any digit, or with 2 and 0 to 3; minutes go up to 59",
        "24:00",
        "23:59 of a day that does not exist",
    ),
    (
        "a colour such as #1fa3c0",
        r"^#(?:[0-9a-fA-F]{3}){1,2}$",
        "the sign is followed by three or six hexadecimal digits",
        "#12g",
        "a name such as red, which it leaves out",
    ),
    (
        "a whole number with thousands separators such as 1,234,567",
        r"^[1-9]\d{0,2}(,\d{3})*$",
        "one to three digits come first and then groups of a comma and exactly three",
        "12,34",
        "0, which you would have to allow by itself",
    ),
]


def pattern(rng: np.random.Generator) -> Subject:
    what, regex, why, refused, blind = pick(rng, _PATTERNS)
    tongue = pick(rng, ["Python", "JavaScript", "an editor", "a form field", "a log filter"])
    return Subject(
        f"Give me a regular expression for {what}, to use in {tongue}.",
        f"a regular expression for {what}",
        (
            f"```\n{regex}\n```",
            f"It reads as follows: {why}.",
            f"The anchors at both ends make it match the whole text, so `{refused}` is refused.",
            f"For use in {tongue} test it first on ten lines, half of which should fail.",
            f"Mind what it cannot know: {blind}.",
            "Such things need a second check in code.",
        ),
        (f"Use `{regex}`.",),
        "Use `.*`, it matches all of them.",
    )


def sum_by_condition(rng: np.random.Generator) -> Subject:
    where, what = pick(
        rng,
        [
            ("region", "sales"),
            ("room", "costs"),
            ("month", "hours"),
            ("supplier", "weight"),
            ("class", "fees"),
        ],
    )
    last, bound = int(rng.integers(4, 80)) * 10, int(rng.integers(1, 20)) * 50
    return Subject(
        f"In a spreadsheet with {what} in column C and the {where} in column A, how do I add up "
        f"the {what} of one {where} above {bound}, down to row {last}?",
        f"adding up {what} by {where} in a spreadsheet",
        (
            f"Put the {where} that you want into F1 and write "
            f'`=SUMIFS(C2:C{last};A2:A{last};F1;C2:C{last};">{bound}")`.',
            "The range to be added comes first, followed by pairs of a range and its condition; "
            "all ranges must have the same length.",
            f"With {bound + 10}, {bound + 40} and {bound} in matching rows the result is "
            f"{2 * bound + 50}, since {bound} itself is not above {bound}.",
            "Numbers in conditions stand in quotes with their sign; to take one from a cell "
            'write `">"&G1`.',
            "If it shows 0, the numbers may be stored as text.",
            "Use commas where your locale asks for them.",
        ),
        (f'Use `=SUMIFS(C2:C{last};A2:A{last};F1;C2:C{last};">{bound}")`.',),
        "Use SUM and leave out the rows by hand.",
    )
