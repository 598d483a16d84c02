"""Six examples of our own: drawings made by `draw.py`, and descriptions that name no condition.

They are chosen to show the states of the page: answers from both inputs and from one, and a case
that the model refuses. How good the model is they do not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Example:
    """One case to try: a drawing, a description, or both.

    ``label`` says what is drawn or told, in plain words; ``drawing`` is a file of this folder.
    """

    label: str
    drawing: str | None
    text: str | None

    @property
    def path(self) -> Path | None:
        """Where the drawing lies; None for an example without one."""
        return None if self.drawing is None else FOLDER / self.drawing

    @property
    def caption(self) -> str:
        """What the example consists of. A drawing is always called a drawing."""
        if self.drawing is None:
            return "text only"
        return "drawing and text" if self.text else "drawing only"


EXAMPLES = (
    Example(
        "A dark spot on the back",
        "dark_spot.jpg",
        "A 58-year-old with light skin noticed that a dark spot on the upper back has grown over "
        "six months. The edge is uneven, there are several shades of brown, and it bled once.",
    ),
    Example(
        "White patches on the arm",
        "white_areas.jpg",
        "White patches on the arm, slowly larger for two years. They do not itch or flake. An aunt "
        "has the same.",
    ),
    Example(
        "Bumps after shaving",
        "hair_bumps.jpg",
        "Small pustules around the hairs on the thighs, some days after shaving. A little itchy "
        "and sore; no fever.",
    ),
    Example("An even brown spot", "brown_mole.jpg", None),
    Example(
        "Itch that wakes at night",
        None,
        "For four weeks an itch that is worst in bed at night. Small bumps and thin crooked lines "
        "between the fingers and at the wrists; two others in the household itch as well.",
    ),
    Example(
        "Photo and words that disagree",
        "scaly_plaque.jpg",
        "Raised, very itchy patches came up on the trunk an hour after a meal. Each one fades "
        "within a day and new ones appear elsewhere. No fever, no scaling.",
    ),
)
