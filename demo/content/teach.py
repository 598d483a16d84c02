"""Words of the tab Teach."""

from __future__ import annotations

INTRO = (
    "Commit to an answer first. Then see what the model says, keep yours or change it, and learn "
    "the truth."
)
SET = "Set of cases"
LINK = "Link to this set"
LINK_LABEL = "Opens this set for a class. Copy it"
LINK_COPIED = "Copied."

CASE = "The case"
CASE_ALT = "The photo of the case. It is not described here, because looking is the task."
DRAWING_ALT = "The drawing of the case. It is not described here, because looking is the task."
MADE_UP = "Drawings and written cases are made up: no person is shown or told of."
CREDIT = "Credit"
LICENCE = "Licence"

STAGES = ("Your answer", "The model", "The truth")

COMMIT_TITLE = "What is it?"
COMMIT_HELP = "Up to three conditions, the likeliest first. The model has not been asked yet."
RANKS = ("Likeliest", "Second", "Third")
REMOVE = "Take it away"
SEARCH = "Find a condition by name, synonym or number"
SEARCH_HINT = "Type, then press Enter"
GROUPS = {
    "tumour": "Tumours",
    "inflammatory": "Inflammatory",
    "infectious": "Infectious",
    "none": "Neither",
}
CONFIDENCE = "How likely is it that your first choice is right?"
CONFIDENCE_WORDS = {10: "a guess", 30: "unsure", 50: "even odds", 70: "fairly sure", 90: "sure"}
COMMIT = "Commit"
COMMIT_MISSING = "Choose a condition and how sure you are."
KEYS = (
    "By keyboard: type a name and press Enter; Enter again goes on and commits; N is the next case."
)

LOADING = "Asking the model"
SETTLE_TITLE = "The model has answered"
SETTLE_HELP = "Keep your answer, or change it. Both are counted. The truth comes after this."
MODEL_SAYS = "The model ranks"
MODEL_ABSTAINS = "It would rather not rank this case."
MODEL_WOULD = "What it would have answered:"
YOURS = "Your answer"
CHANGE = "Change my answer"
KEEP = "Keep my answer"
CHANGED = "Answer this instead"

TRUTH = "It is"
TRUTH_DRAWN = "It was drawn as"
POINT = "To remember"
WHO = {"first": "You, at first", "final": "You, in the end", "model": "The model"}
RIGHT = "right"
AMONG = "among the three"
WRONG = "wrong"
NEXT = "Next case"
LAST = "Finish the set"

DONE_TITLE = "All cases of this set are answered"
DONE_HELP = (
    "The score is below. Choose another set, or start this one again: that forgets its answers."
)

MODEL = "What the model answered"
MODEL_PROBABILITY = "Its first five conditions, with calibrated probability."

SCORE = "Score of this set"
SCORE_ROWS = WHO
SCORE_COLUMNS = ("", "First choice right", "Among three")
SCORE_HELP = "Cases answered: {n}. You may name fewer than three; the model always names three."
ABSTAINED = "The model abstained in {n} of them; what it would have ranked is counted."
INFLUENCE = "What the model did to your answers"
INFLUENCE_AGREED = "You and the model agreed at first in {agreed} of {n} cases."
INFLUENCE_COLUMNS = ("You disagreed, and", "Cases", "You took its answer")
INFLUENCE_ROWS = {
    "helped": "the model was right",
    "misled": "you were right",
    "neither": "both were wrong",
}
INFLUENCE_HELP = (
    "Giving up a right answer for a wrong one of the model is automation bias; a learner without "
    "it takes the model's answer in the first row and not in the second."
)
CALIBRATION = "How sure, and how often right"
CALIBRATION_LEARNER = "You, at first"
CALIBRATION_MODEL = "The model"
CALIBRATION_IDEAL = "As sure as right"
CALIBRATION_X = "How sure"
CALIBRATION_Y = "How often right"
CALIBRATION_HELP = (
    "Below the line: more sure than right. The numbers are cases; with few of them a point may lie "
    "anywhere by chance."
)
ANSWERS = "Case by case"
ANSWERS_COLUMNS = ("", "Truth", "You, at first", "You, in the end", "The model")
CONFUSIONS = "Taken for another"
CONFUSIONS_NONE = "None so far."
CONFUSION = "{truth} taken for {answer}"
CSV = "Save as CSV"
CSV_NAME = "teaching-session.csv"
RESET = "Forget these answers"
RESET_ASK = "Forget all your answers to this set? They cannot be brought back."
PRIVACY = (
    "Your answers are kept in this browser alone, as case numbers and names of conditions. Nobody "
    "else sees them."
)

BAD_ANSWER = "Choose one to three conditions and how sure you are, then commit."
ROUND_GONE = "This case was answered already, perhaps in another window. Load the page again."
PHOTO_GONE = "The photo of this case is no longer there. Tell the person who runs this page."
