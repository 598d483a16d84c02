"""Words of the tab Examine."""

from __future__ import annotations

ANALYSE = "Analyse"
CLEAR = "Clear"
EXAMPLES = "Try an example"
EXAMPLES_HELP = (
    "Drawings and texts of our own, no photos of people: chosen to show what this page can answer, "
    "not how good the model is."
)
PRIVACY = (
    "Photo and description go to the computer that runs this page and to no other. The photo is "
    "kept there in a temporary folder for at most some minutes, is not used for training, and "
    "leaves nothing in this browser."
)

EMPTY_TITLE = "The differential appears here"
EMPTY_STEPS = (
    ("Give a photo, a description, or both.", "Either one is enough. Examples are below."),
    ("Press Analyse.", "The three likeliest conditions come first, then every input by itself."),
    ("Look at the reasons.", "The areas of the photo and the words that the model relied on."),
)
LOADING = "Reading the case"
FAILED = "No answer"
NOTHING_GIVEN = "Add a photo, write a description, or both, then press Analyse."

ANSWER = "Likeliest conditions"
GATE = "How much each input counted"
GATE_NAMES = {"image": "Photo", "text": "Description"}
CHART = "Probability by input"
CHART_NAMES = {"fused": "Both together", "image": "Photo only", "text": "Description only"}
CHART_ALONE = "Answer"
NEVER_LEARNED = "never learned"
LOOK_PHOTO = "Where the model looked"
LOOK_WORDS = "Words that counted"
LOOK_WORDS_HELP = "Stronger colour: more weight."
LOOK_WORDS_CHOOSE = "Choose a word to see where on the photo it looked."
STRENGTH = "Attention map"
ATTENTION_CAVEAT = (
    "Attention shows what the model weighed, not why it is right: it can look at the right place "
    "and still be wrong."
)

# The answer, and how far to believe it

GIVEN = {
    "image": "a photo alone",
    "text": "a description alone",
    "fused": "photo and description",
}
GATE_EQUAL = "equal"
FREQUENCY = "How often is such an answer right?"
TOO_FEW_LIKE = "Not measured: too few test cases were scored like this."
NOT_VALIDATED = "Not validated"


def not_validated(condition: str, inputs: str, n: int, needed: int | None) -> str:
    """Why an answer has neither frequency nor coverage; ``needed`` is None without any test."""
    if needed is None:
        return "This model was not tested, so how far to believe its answers is unknown."
    cases = f"{n or 'no'} {'case' if n == 1 else 'cases'}"
    return (
        f"The test set has {cases} of {condition} with {inputs}; a result needs {needed}. So the "
        "page gives no frequency and no coverage for this answer."
    )


def coverage(share: str, size: int) -> str:
    """What a prediction set of ``size`` conditions promises."""
    among = "this is the condition" if size == 1 else f"the condition is one of these {size}"
    return (
        f"In {share} of cases like those that the set was fitted on, {among}. It holds on average, "
        "not for each group of people."
    )


ABSTAINS = "No ranking for this case"
ABSTAINS_LEAD = "The model abstains. Why, and what to do:"
CAUTION_TITLES = {
    "blur": "Blurred photo",
    "dark": "Dark photo",
    "bright": "Over-exposed photo",
    "not skin-like": "Not skin-like",
    "far from training": "Far from what the model has seen",
    "words unknown": "Unknown words",
    "modalities disagree": "Photo and description disagree",
}
WOULD_ANSWER = "Show what the model would answer"
WOULD_ANSWER_CAVEAT = "No frequency and no coverage are given where the model abstains."

# What the answer owes to parts of the case

EFFECTS = "What would change the answer"
EFFECTS_WORKING = "Taking the case apart, piece by piece …"
EFFECTS_FAILED = "This could not be worked out for this case. The answer itself stands."
EFFECTS_TEXT = "Without a phrase"
EFFECTS_PHOTO = "With a part of the photo covered"
EFFECTS_SHOW = "Show the changes"
EFFECTS_POINTS = "Numbers are percentage points."
SPEAKS_FOR = "falls: it spoke for the answer"
SPEAKS_AGAINST = "rises: it spoke against it"
MAPS_TESTED = "Do the maps mean something here?"
MAP_NAMES = {"photo": "Map over the photo", "words": "Weights of the words"}
FAITHFUL = (
    "For this case, removing first what it marks lowered the probability faster than removing at "
    "random."
)
NOT_FAITHFUL = (
    "Not faithful for this case: removing first what it marks lowered the probability no faster "
    "than removing at random. Do not read it as the reason for the answer."
)

# Track record

RECORD = "Track record"
NOT_MEASURED = "not measured"
RECORD_WITH = "With these inputs"
RECORD_NONE = "Not measured: too few test cases of {condition} with {inputs} (n\u00a0=\u00a0{n})."
SENSITIVITY = "Sensitivity"
PRECISION = "Precision"
PRECISION_HELP = "It depends on how common the condition was among the test cases."
CONFUSIONS = "Its cases that were called something else"
NO_CONFUSIONS = "None."
SKIN_TYPES = ("I–II", "III–IV", "V–VI")
SKIN_TITLE = "Sensitivity by skin type (Fitzpatrick)"
SKIN_PHOTO_ALONE = "With a photo alone. With both inputs it was not measured."
SKIN_NONE = "Not measured: the test descriptions do not come with a skin type."
SKIN_TOO_FEW = "Not measured: too few of its test photos come with a known skin type."
