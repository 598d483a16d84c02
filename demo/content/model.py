"""The words of the tab Model. The numbers between them come from the checkpoint."""

from __future__ import annotations

NOT_MEASURED = "not measured"
NOT_COUNTED = "not counted"
NUMBERS = "The numbers"
MISSING = "Not measured: this was not run for these weights."

CONTENTS = "On this tab"
CARDS = {
    "about": "What it is",
    "data": "Data",
    "glance": "Scores",
    "conditions": "Conditions",
    "sources": "Sources",
    "skin": "Skin types",
    "reliability": "Probabilities",
    "risk": "Only when sure",
    "gate": "Gate",
    "attention": "Maps",
    "folds": "Literature",
    "failures": "Failures",
    "version": "Version",
}

# The three answers: with a photo, with a description, with both.
ANSWERS = {"image": "Photo alone", "text": "Description alone", "fused": "Photo and description"}
SHORT = {"image": "photo", "text": "words", "fused": "both"}  # where there is little room

# 1. What it is
ABOUT = "What this model is"
ABOUT_WORDS = (
    "A small research model that reads a photo of skin, a description, or both, and spreads its "
    "belief over {conditions} answers: {diseases} conditions and healthy skin. An EfficientNet-B0 "
    "reads the photo, a six-layer Transformer the words, and gated cross-attention joins the two. "
    "It has {parameters} million weights, all trained from random initialisation; no pretrained "
    "weights went in."
)
GROUPS = {
    "tumour": "tumours and growths",
    "inflammatory": "inflammatory",
    "infectious": "infections",
    "none": "no disease",
}
FOR_WHOM = "For whom"
FOR_WHOM_ITEMS = (
    "Teachers and learners, to see how such a model reads a case and how it fails.",
    "Researchers, to study fusion, calibration, abstention, shortcuts and explanations.",
)
NOT_FOR = "Not for"
NOT_FOR_ITEMS = (
    "any patient's care: diagnosis, triage, reassurance, referral, treatment, self-examination;",
    "conditions outside its list, nails, hair, mucosa and wounds, or descriptions in other "
    "languages than English;",
    "rashes with photo and description together: the data hold no true pair of them, so these "
    "answers are not validated;",
    "commercial use, or guesses about who somebody is.",
)
LIMITS = "Know before you trust"
LIMITS_ITEMS = (
    "Dark skin is rare in the data: see the results by skin type below.",
    "Tumours come mostly from two clinics, rashes from an atlas, poxes from the web. The model can "
    "read the source in place of the skin.",
    "The probabilities speak for a setting in which no condition is much commoner than another. "
    "They are not a risk in any population.",
    "Labels are those of the publishers, and only a part was confirmed by biopsy.",
    "Results by age and by sex are not measured.",
)

# 2. Data
DATA = "What it learned from"
DATA_WORDS = (
    "Public datasets; whole patients, lesions or cases were kept out of training to measure on. "
    "The results below are those of the {split} split. Beside these texts it read synthetic ones; "
    "no language model wrote any of them."
)
# Of each source: its name, what it holds, its licence, whom to credit.
SOURCES = {
    "pad_ufes_20": (
        "PAD-UFES-20",
        "smartphone photos of six kinds of tumours, with findings",
        "CC BY 4.0",
        "Pacheco et al., Data in Brief 2020",
    ),
    "milk10k": (
        "MILK10k",
        "a close-up and a dermoscopic photo of each lesion, with age, sex and site",
        "CC BY-NC",
        "MILK study team, ISIC Archive, 2025",
    ),
    "fitzpatrick17k": (
        "Fitzpatrick17k",
        "photos from two atlases, with skin types",
        "annotations CC BY-NC-SA 3.0; photos for research use",
        "Groh et al., CVPR Workshops 2021",
    ),
    "msld_v2": (
        "MSLD v2.0",
        "photos of mpox, chickenpox, measles, hand-foot-mouth disease, healthy skin",
        "research use",
        "Ali et al., 2023",
    ),
    "scin": (
        "SCIN",
        "cases reported by people themselves, labelled by dermatologists",
        "SCIN Data Use License",
        "Ward et al., JAMA Network Open 2024",
    ),
    "dermavqa_iiyi": (
        "DermaVQA (IIYI)",
        "questions of patients with doctors' replies",
        "CC BY 4.0",
        "Yim et al., MICCAI 2024",
    ),
}
DATA_COLUMNS = (
    "Source", "What", "Licence and credit", "Photos to learn from", "Texts to learn from",
    "Test photos", "Test texts",
)  # fmt: skip

# 3. At a glance
GLANCE = "How good is it?"
GLANCE_WORDS = (
    "Balanced accuracy: the mean, over the conditions tested, of how often a case of the condition "
    "gets it as the first answer."
)
GLANCE_NOTE = (
    "The three are measured on different cases and conditions, so they do not compare with each "
    "other; compare each with its own chance. True pairs of photo and description exist for "
    "tumours only."
)
GAIN = (
    "On the same pairs, both together gain {value} points of balanced accuracy over the better "
    "input alone ({low} to {high})."
)
CONTROL = (
    "On the same test descriptions a plain count of words (TF-IDF and logistic regression) reaches "
    "{plain}."
)
VIGNETTES = (
    "On {n} descriptions that we wrote ourselves, no part of the test, it reaches {own} and the "
    "count of words {plain}."
)
MISLED = "So freely written descriptions mislead it."

# 4. Conditions
CONDITIONS = "Which conditions does it recognise?"
CONDITIONS_WORDS = (
    "Sensitivity: of 100 test cases of the condition, how many get it as the first answer. In "
    "brackets the number of test cases. Bars are 95% intervals: where they are long, little is "
    "known."
)
CONDITIONS_AXIS = "sensitivity of the first answer"
CHOOSE_ANSWER = "Answer from"
TOO_FEW = "Fewer than {least} test cases, so not measured: {names}."
NO_CASES = "No test case at all: {names}."
CONDITION_COLUMNS = (
    "Condition", "Cases", "Sensitivity", "In the first three", "Right when named",
    "Most often taken for",
)  # fmt: skip

# 5. Sources, kinds of photos, skin types
BY_SOURCE = "By source"
BY_SOURCE_WORDS = (
    "The same model on the cases of each dataset. A grey tick is chance: rows hold different "
    "conditions, so compare a dot with its own tick and not with another row."
)
BY_SKIN = "By skin type and kind of photo"
BY_SKIN_WORDS = (
    "Photo alone. Fitzpatrick skin types are known for a part of the photos only. A grey tick is "
    "chance; rows hold different conditions."
)
SKIN_ROW = "Skin type {}"
BALANCED_AXIS = "balanced accuracy"
CHANCE = "chance"
GAP = {
    "told": "Types I–II less V–VI, on {where} photos ({light} and {dark}): {value} points of "
    "balanced accuracy ({low} to {high}), over {conditions}.",
    "untold": "Types I–II less V–VI, on {where} photos ({light} and {dark}): not measured, since "
    "no condition has {least} photos in both.",
}
GAP_NOTE = "Settings were chosen on validation (val) cases, so a result with them is no test."
ROW_COLUMNS = ("Cases", "Number", "Conditions", "Chance", "Balanced accuracy", "In the first three")

# 6. Calibration
RELIABILITY = "Can its probabilities be believed?"
RELIABILITY_WORDS = (
    "Answers that it gives about 60% should be right about 60 times in 100: then a dot lies on the "
    "dotted line. Below the line it is too sure, above it too modest."
)
RELIABILITY_AXES = ("probability of the first answer", "share that is right")
RELIABILITY_LINE = "as promised"
RELIABILITY_NOTE = (
    "Intervals are Wilson's and take each case as independent. Bands with fewer than {least} cases "
    "are left out."
)
ECE = "Mean gap between probability and share right (ECE): {values}."
RELIABILITY_COLUMNS = ("Answer", "Probability", "Cases", "Right", "Of 100")

# 7. Answering only the surest
RISK = "What if it answers only when sure?"
RISK_WORDS = (
    "Let the model answer the cases it is surest about and pass on the others. Move the slider and "
    "see what that gains."
)
RISK_SLIDER = "Answer the surest (% of cases)"
RISK_AXES = ("share of cases that are answered", "share of these that is right")
RISK_COLUMNS = ("Answer", "Answered", "Right", "If all are answered")

# 8. Gate
GATE = "Does the gate follow the information?"
GATE_WORDS = (
    "On {cases} test pairs the photo was made worse step by step, or the text cut word by word, "
    "while the other input stayed whole. A gate that means something leaves the input that tells "
    "less: the blue lines fall and the amber line rises."
)
GATE_AXES = ("how much was taken away", "the photo's share in the gate")
GATE_KINDS = {
    "blur": "photo blurred",
    "grey": "photo without colour",
    "dark": "photo darkened",
    "bright": "photo over-exposed",
    "coarse": "photo in coarse pixels",
    "text cut": "text cut",
}
GATE_RANGE = (
    "Over all {cases} pairs as they are, the photo's share lies between {p05} and {p95} in nine of "
    "ten cases."
)
GATE_CLAIMS = {
    "gate falls with blur": ("The gate falls as the photo is blurred.",
                             "The gate does not clearly fall as the photo is blurred."),
    "gate rises as text is cut": ("It rises as the text is cut.",
                                  "It does not clearly rise as the text is cut."),
    "gate varies over cases": ("It differs from case to case.",
                               "It is nearly the same for every case."),
}  # fmt: skip
GATE_COLUMNS = (
    "Made worse by", "Photo's share, whole", "At the last step", "Change",
    "That input alone right: before, after",
)  # fmt: skip
WHO = {
    "told": "Where only one input alone is right, the gate tells which one with an AUROC of "
    "{value} ({low} to {high}; 0.5 is a tossed coin).",
    "untold": "Whether the gate tells which input is right is not measured: too few cases.",
}

# 9. Maps and word weights
ATTENTION = "Do the maps and word weights mean anything?"
ATTENTION_WORDS = (
    "Parts of the photo, or words, are taken away in the order of their weight, the heaviest "
    "first. If the weights mean something, the probability of the answer falls faster than when "
    "parts go in random order. Left of zero: better than random."
)
ATTENTION_AXIS = "area less that of random order"
QUESTIONS = {
    "photo alone": "Map, photo alone",
    "photo of a pair": "Map, photo with words",
    "words alone": "Words, description alone",
    "words of a pair": "Words, with a photo",
}
BEATS = ("better than random", "not clearly better")
ATTENTION_COLUMNS = ("What is shown", "Cases", "Taken away", "Added to nothing")
ATTENTION_NOTE = (
    "Added to nothing: the heaviest parts come back first, and here a larger area is better. "
    "Intervals are 95%."
)
WITHOUT_TRAINING = (
    "A map of a model with random weights looks different: rank correlation {values}."
)

# 10. PAD-UFES-20 out of fold
FOLDS = "Beside the literature: PAD-UFES-20"
FOLDS_WORDS = (
    "The six classes of PAD-UFES-20, {n} photos of {patients} patients, each answered by a model "
    "that saw neither it nor its patient. Not the model of this page but its method, fitted anew, "
    "as others report it."
)
FOLDS_COLUMNS = ("Model", "Balanced accuracy", "Right first", "In the first three")

# 11. Failures
FAILURES = "Where it fails"
FAILURES_WORDS = "The surest wrong answers of the test: a high probability is no proof."
CONFUSED = "Most frequent mistakes"
NO_MISTAKES = "None was counted."
CONFUSED_LINE = "of {n} cases of {truth} got {answer}"
ERRORS = "Most confident errors"
ERROR_COLUMNS = ("Probability", "It said", "The label", "Case")

# 12. Which version
VERSION = "Which model this is"
CARD = (
    "The whole model card is docs/model-card.md in the repository, every study docs/results.md, "
    "and the data docs/data.md. On the command line, python -m dermmm info prints all of it."
)
VERSION_ROWS = {
    "version": "Version",
    "sha256": "SHA-256 of weights and settings",
    "weights": "Licence of the weights",
    "code": "Licence of the code",
    "initialisation": "Start of the training",
    "preset": "Training preset",
    "commit": "Commit of the training code",
    "data": "Fingerprint of the data",
    "image_size": "Photo, as it is read",
    "max_tokens": "Text, at most",
    "parameters": "Weights",
}
PARTS = {"image_encoder": "photo", "text_encoder": "words", "fusion": "fusion and answers"}
