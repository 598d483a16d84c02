"""All words on the page, a module a tab; here those that tabs share.

Plain text: `render` escapes it where it becomes HTML.
"""

from __future__ import annotations

TITLE = "Derm-MMMModal"
TAGLINE = (
    "A photo of the skin, a description, or both: see which of 26 conditions the model finds "
    "likely, how much each input counted, and where it looked."
)

EXAMINE = "Examine"
WHAT_IF = "What if"
TEACH = "Teach"
BATCH = "Batch"
MODEL = "Model"

PHOTO_GONE = "The photo is no longer on the server: it is deleted after some minutes. Add it again."
NOT_UPLOADED = "Only an uploaded photo can be read."
NOT_HANDED_OUT = "What was uploaded is not handed out again."
BUSY = "Too many cases wait for the model at the moment. Try again in a few seconds."
BROKEN = "The model could not finish this case. Nothing was kept. Try again, or another photo."
