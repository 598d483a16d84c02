"""Words of the tab Examine."""

from __future__ import annotations

PHOTO = "Photo"
PHOTO_HINT = "Drop a photo here, or tap to choose one"
PHOTO_ALT = "The chosen photo"
PHOTO_HELP = (
    "Sharp, evenly lit, the spot in the middle. JPEG, PNG, WebP or HEIC (a HEIC photo may show "
    "no preview until it is analysed)."
)
DESCRIPTION = "Description"
DESCRIPTION_HINT = (
    "Age, where on the body, since when, how it feels, how it changed. "
    "No names or other personal details."
)
ANALYSE = "Analyse"
CLEAR = "Clear"
EXAMPLES = "Try an example"
EXAMPLES_HELP = "The pictures are drawings made by a program, not photos of people."
PRIVACY = (
    "Photo and description go to the computer that runs this page and to no other. The photo is "
    "kept there in a temporary folder for at most some minutes, is not used for training, and "
    "leaves nothing in this browser."
)

EMPTY_TITLE = "The differential appears here"
EMPTY_STEPS = (
    ("Give a photo, a description, or both.", "Either one is enough; the model says how it copes."),
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
LOOK_PHOTO = "Where the model looked"
LOOK_WORDS = "Words that counted"
LOOK_WORDS_HELP = "Stronger colour: more weight."
LOOK_WORDS_CHOOSE = "Choose a word to see where on the photo it looked."
STRENGTH = "Attention map"
ATTENTION_CAVEAT = (
    "Attention shows what the model weighed, not why it is right: it can look at the right place "
    "and still be wrong."
)
