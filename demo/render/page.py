"""What frames every tab: the header with the notice, and the examples."""

from __future__ import annotations

from html import escape

import numpy as np
from PIL import Image

from demo import content
from demo.content import examine
from demo.examples import Example
from demo.render.pieces import data_uri
from dermmm import NOTICE


def header() -> str:
    """Name, one sentence, and the notice, which is never hidden."""
    return (
        f'<header class="dm-header"><h1>{content.TITLE}</h1><p>{escape(content.TAGLINE)}</p>'
        f'<p class="dm-notice" role="note">{escape(NOTICE)}</p></header>'
    )


def examples(cases: tuple[Example, ...]) -> str:
    """The examples as a row of buttons with their drawings."""
    buttons = "".join(
        f'<button type="button" class="dm-example" data-index="{index}">{_thumbnail(case)}'
        f"<span>{escape(case.label)}<small>{case.caption}</small></span></button>"
        for index, case in enumerate(cases)
    )
    return (
        f'<section class="dm-examples"><h2>{examine.EXAMPLES}</h2><div>{buttons}</div>'
        f'<p class="dm-small">{examine.EXAMPLES_HELP}</p></section>'
    )


def _thumbnail(case: Example) -> str:
    if case.path is None:
        return '<span class="dm-quote" aria-hidden="true">“ ”</span>'
    with Image.open(case.path) as image:
        image.thumbnail((160, 120))
        return f'<img src="{data_uri(np.asarray(image), "JPEG")}" alt="">'
