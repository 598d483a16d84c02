"""Words of the tab What if."""

from __future__ import annotations

EMPTY_TITLE = "First, a case"
EMPTY_STEPS = (
    ("Give a case in Examine.", "There is none yet. Or take an example."),
    (
        "Change it here.",
        "Cover a part of the photo, crop it, make it dark or blurred, rewrite the description.",
    ),
    ("See what moves.", "The probabilities, the gate, the set of conditions, where it looked."),
)
OPEN_EXAMINE = "Open Examine"
TAKE_EXAMPLE = "Take an example"

# The case, to be changed
PICKER = "Change the case"
PICKER_HELP = (
    "Choose cells of the photo with a click, or with the arrow keys and the space bar. "
    "Everything else here changes a copy; the case in Examine stays as it is."
)
PICKER_HELP_TEXT = "Everything here changes a copy; the case in Examine stays as it is."
PICKER_GROUP = "Cells of the photo"
CELL = "row {row}, column {column}"
USE = "Chosen cells"
USES = {
    "cover": "Cover",
    "keep": "Cover the rest",
    "crop": "Crop to them",
}
STOPS = "Brightness, stops"
BLUR = "Blur, % of side"
MIRROR = "Swap left and right"
KEEP_PHOTO = "Use the photo"
TEXT = "Description"
TEXT_HINT = "Words to add, or nothing"
COMPARE = "Compare"
UNDO = "Undo all changes"

# What changed
CHANGES = "What changed"
NOTHING_CHANGED = (
    "Nothing is changed yet. Choose cells of the photo, move a slider or rewrite the description."
)
EDITED = "Changed"
EDITS = {
    "cover": "{cells} covered",
    "keep": "all covered but {cells}",
    "crop": "cropped to {cells}",
    "stops": "brightness {stops} stops",
    "blur": "blur {blur} %",
    "mirror": "left and right swapped",
    "without photo": "photo left out",
    "without text": "description left out",
    "text": "description rewritten",
    "new text": "description added",
}
STAYS = "{name} stays first: {before} before, {after} now."
MOVES = "First is now {new} with {after}; before it was {old} with {before}."
CHANGES_HELP = (
    "The five likeliest conditions before and now: probability, and change in percentage points. "
    "Plain bars to the right: more likely. Striped bars to the left: less likely."
)
CHANGES_HELP_SAME = "The five likeliest conditions of the case as it is."
BEFORE = "Before"
AFTER = "Changed"

GATES = "How much each input counted"

CERTAINTY = "How sure it is"
SET = "Set that holds the truth in {coverage} of cases like those of validation"
SET_SIZES = "size {before} before, {after} now"
SET_SAME = "{names}, before and now"
NO_SET = "This model was not fitted for prediction sets."
JOINED = "Comes in"
LEFT = "Drops out"
ABSTAINS = {
    "both": "The model abstains on this case, before and changed (reasons below).",
    "before": "The model abstains on the case as it is (reasons below).",
    "after": "The model abstains on the changed case (reasons below).",
}
ABSTAINS_HELP = "Read the numbers as how it reacts, not as an answer."
CAUTIONS_NEW = "New reason to abstain"
CAUTIONS_GONE = "Reason to abstain that is gone"
CAUTIONS_KEPT = "Reason to abstain, as before"
NO_CAUTIONS = "Nothing gives the model a reason to abstain."

MAPS = "Where the model looked"
MAPS_ALT = "The photo {which}, under its attention map. {words}"
MAPS_NO_PHOTO = "No photo"
MAPS_NO_TEXT = "No description"
STRENGTH = "Attention maps"
WHICH = {"before": "before", "after": "changed"}

# Usual experiments
EXPERIMENTS = "The usual experiments"
EXPERIMENTS_HELP = (
    "The case as it is in Examine without its photo, without its description, and without each "
    "phrase in turn, at most {most} of them."
)
RUN_EXPERIMENTS = "Run them"
RUNNING = "Asking the model again and again"
LEFT_OUT = "Left out"
NOTHING_LEFT_OUT = "nothing"
THE_PHOTO = "the photo"
THE_TEXT = "the description"
FIRST_NOW = "First condition then"
CHANGE_OF = "Change of {name}"
SHOW = "Show"
SHOW_LABEL = "Show the case without {what}"
EXPERIMENTS_CAPTION = (
    "Without each part of the case: the first condition, and what {name} gains or loses, in points"
)
NO_EXPERIMENTS = (
    "There is nothing to leave out: this case is a photo alone, or a description of a single "
    "phrase. Add the other in Examine, or change the case above."
)

NOTHING_LEFT = (
    "Keep the photo or some words: with neither there is nothing to answer. "
    "“Undo all changes” brings both back."
)
OUT_OF_RANGE = "“Undo all changes” starts again."
