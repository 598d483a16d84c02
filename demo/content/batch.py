"""Words of the tab Batch."""

from __future__ import annotations

TABLE = "Table of cases (CSV)"
PHOTOS = "Photos: files, or a zip (optional)"
HELP = (
    "The table is a CSV in UTF-8 with the columns case_id, image and text. image is the name of a "
    "photo; a row has a photo, a text, or both."
)
LIMITS = (
    "Up to {rows} rows and {table} MB in the table; files of up to {file} MB each, zips included; "
    "up to {zips} zips, {entries} files and {unpacked} MB unpacked in each."
)
TEMPLATE = "Download an empty table"
TEMPLATE_FILE = "cases.csv"
TEMPLATE_ROWS = (
    ("case-1", "photo-1.jpg", "A dark spot on the back that has grown over six months."),
    ("case-2", "photo-2.jpg", ""),
    ("case-3", "", "Itchy patches that come and go, for a week."),
)
START = "Answer rows"
STOP = "Stop"
CLEAR = "Clear"
PRIVACY = (
    "Table and photos go to the computer that runs this page and to no other, and are deleted from "
    "its temporary folder after some minutes. The answers are in this page only: download them "
    "before you leave it."
)

EMPTY_TITLE = "The answers appear here"
EMPTY_STEPS = (
    ("Choose a table of cases.", "One row a case; start from the empty table if you have none."),
    ("Add the photos that it names.", "As files or in a zip. A table of texts needs none."),
    ("Press Answer rows.", "A row that cannot be read says why and stops nothing."),
)
READING = "Reading the table"
RUNNING = "Answering the table"
COUNT = "{done} of {total} rows"
STOPPED_TITLE = "Stopped"
STOPPED = "Nothing was kept. Press Answer rows to begin again."
FAILED = "The table was not answered"
NO_TABLE = "Choose a table of cases first: a CSV with the columns case_id, image and text."
LARGE_TABLE = "The table has {size:.1f} MB; at most {most} MB are read. Split it."
MANY_ZIPS = "There are {count} zips; at most {most} are read at once."
NO_ROWS = "The table has no rows below its header."
THE_TABLE = "The table"
A_ZIP = "Zip {place}"

SUMMARY = "Answers"
ROWS = "rows"
ANSWERED = "answered"
ABSTAINED = "answered with caution"
ERRORS = "not answered"
REASONS = "Why it abstains"
REASONS_HELP = "A row may have more than one reason."
NO_REASONS = "The model abstained in no row."
DOWNLOAD = "Download the answers (CSV)"
DOWNLOAD_FILE = "answers.csv"
DOWNLOAD_HELP = "With the probability of every condition: what “python -m dermmm batch” writes."

CHART = "Likeliest condition"
CHART_HELP = "How many rows have each condition in first place."
CHART_NAMES = ("Answered", "With caution: the model abstains")
CHART_AXIS = "rows"

RESULTS = "Row by row"
RESULTS_HELP = "Choose a heading to sort by it."
HEADINGS = ("Row", "Case", "Likeliest", "Probability", "Then", "Photo counted", "Remarks")
NO_NAME = "no case_id"
