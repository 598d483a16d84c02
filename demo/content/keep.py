"""Words of what a person may keep of a case: the report, and the buttons that make it."""

from __future__ import annotations

KEEP = "Keep this answer"
KEEP_REPORT = "Report (HTML, to print)"
KEEP_DATA = "Data (JSON)"
KEEP_HELP = (
    "The report is one file with the photo, the description, the answer and its reasons. It is "
    "made when you ask, and deleted here within minutes. What you keep of it is in your hands."
)
KEEP_GONE = "The answer is no longer kept here. Press Analyse again, then keep it."

REPORT = "Derm-MMMModal: report of a case"
CASE = "The case"
PHOTO = "The photo as the model saw it"
OVERLAY = "Where the model looked"
DESCRIPTION = "The description"
DESCRIPTION_HELP = "Underlined: more weight. The heavier the line, the more the word counted."
CAVEAT = (
    "Attention shows what the model weighed, not why it is right: it can look at the right place "
    "and still be wrong."
)
ABSTAINS = "The model abstains"
WOULD_ANSWER = "What it would have answered. Do not rely on it."
ANSWER = "The answer"
CONDITION = "Condition"
NOT_LEARNED = "not learned"
OTHERS = "The other conditions"
GATE = "How much each input counted"
EFFECTS = "What would change the answer"
EFFECTS_HELP = (
    "Change of the probability, in percentage points, when one part of the case is taken away. A "
    "minus says that the part spoke for the answer."
)
EFFECTS_PHRASE = "Without the phrase"
EFFECTS_CHANGE = "Change"
EFFECTS_REGIONS = "With a part of the photo covered, as they lie on it"
MODEL = "Model"
VERSION = "Version"
HASH = "SHA-256 of the weights"
MADE = "Report made"
SELF_CONTAINED = "This file loads nothing from elsewhere and runs no script."
