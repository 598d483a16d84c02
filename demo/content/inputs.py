"""Words of the case's inputs in the tab Examine: the photo, its crop, and the short form."""

from __future__ import annotations

PHOTO = "Photo"
PHOTO_HINT = "Drop a photo here, or tap to choose one"
PHOTO_ALT = "The photo that is analysed"
UNREADABLE = "This photo cannot be read. Nothing was kept. Try another one, or save it as JPEG."

CROP = "Crop to the spot"
WHOLE = "Whole photo"
CROP_TITLE = "Choose the part to analyse"
CROP_HELP = (
    "Drag the square over the spot, with some normal skin around it. Drag a corner, or use the "
    "slider, for its size. With the keyboard: arrow keys move it, plus and minus change its size."
)
CROP_SQUARE = "The chosen square. Arrow keys move it, plus and minus change its size."
CROP_ALT = "The whole photo, upright"
CROP_SIZE = "Size"
CROP_USE = "Use this part"
CROP_CANCEL = "Cancel"

ADVICE = "How to take a photo that can be read"
ADVICE_POINTS = (
    ("Light", "Daylight from the side or an even lamp. No shadow, no glare of the flash."),
    ("Focus", "Tap the spot on the screen, hold still, and look at the result enlarged."),
    ("Distance", "As near as stays sharp: the spot fills about half of the picture. Or crop it."),
    ("Scale", "Write the size in the description. A ruler helps people; crop it away here."),
    (
        "Nothing on the skin",
        "No pen marks, plasters, make-up or ointment. Wipe off oil and flakes.",
    ),
    ("Hair aside", "Part it, or hold it away from the spot."),
    ("Plain background", "One colour, no face, no jewellery, no name or date in the picture."),
)
ADVICE_SOURCE = (
    "These follow what CLEAR Derm (JAMA Dermatology, 2022) asks reports on skin photos to state. "
    "JPEG, PNG, WebP, HEIC, TIFF, BMP and GIF are read, up to 30 MB and 100 megapixels. What is "
    "shown and analysed is rebuilt from the pixels: place, time and camera are left out."
)

DESCRIPTION = "Description"
DESCRIPTION_HINT = (
    "Age, where on the body, since when, how it feels, how it changed. "
    "No names or other personal details."
)

FORM = "Fill in a short form instead of writing"
FORM_HELP = (
    "It writes sentences into the description, in the wordings that the model was trained on. "
    "Change them as you like: what you wrote yourself stays."
)
FORM_UNKNOWN = "not known"
FORM_AGE = "Age in years"
FORM_SEX = "Sex"
FORM_CATEGORY = "What it is"
FORM_DURATION = "Since when"
FORM_SITE = "Where"
FORM_OTHER_SITE = "And where else"
FORM_TEXTURES = "How it feels to the touch"
FORM_SKIN = "On the skin"
FORM_BODY = "In general"
FORM_YES = "yes"
FORM_NO = "no"
FORM_VOICE = "Written by"
FORM_VOICES = {"patient": "a patient", "referral": "a referring doctor", "chart": "a chart note"}
FORM_AGAIN = "Another wording"
FORM_CLEAR = "Empty the form"
FORM_WROTE = "The description was written. Change it there as you like."
FORM_EMPTY = "The form is empty: its sentences were taken out of the description."
