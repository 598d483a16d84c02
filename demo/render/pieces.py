"""Small parts of many pages: numbers, names, heat maps, pictures as data.

Shapes: H x W pixels of the photo, h x w cells of an attention map.
"""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

# Okabe and Ito's colours, told apart by most colour-blind people; patterns tell them apart too.
COLOURS = {"fused": "#009e73", "image": "#0072b2", "text": "#e69f00"}
PATTERNS = {"fused": "", "image": "/", "text": "."}
# Readable on white and on near black. The style sheet replaces it by the theme's text colour.
NEUTRAL = "#7c8798"

# From little to much attention: viridis, by its anchors.
HEAT = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
HEAT_SIDE = 48

WRAP = 18


def percent(p: float) -> str:
    """A probability with one decimal. What would round to zero or one says so."""
    if 0 < p < 0.0005:
        return "<0.1%"
    if 0.9995 <= p < 1:
        return ">99.9%"
    return f"{p:.1%}"


def sentence(name: str) -> str:
    """A condition's name as it stands at the start of a line."""
    return name[:1].upper() + name[1:]


def wrapped(text: str, width: int = WRAP) -> str:
    """Break a label at spaces so that bars keep room on a phone; plotly breaks at <br>."""
    lines = [""]
    for word in escape(text, quote=False).split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def heat(attention: np.ndarray, side: int = HEAT_SIDE) -> np.ndarray:
    """An attention map (h, w) as a layer to lay over the photo: (side, side, 4) uint8, RGBA.

    The photo's shape does not matter: the layer is stretched over it, as the map covers all of it.
    Colour and opacity grow with attention. Attention that is almost even stays faint instead of
    being blown up to full contrast.
    """
    top = max(float(attention.max()), 3 * float(attention.mean())) or 1.0
    small = Image.fromarray((attention / top).astype(np.float32))
    level = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
    anchors = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(level, anchors, HEAT[:, c]) for c in range(3)]
    channels.append(255 * level)
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(photo: np.ndarray, attention: np.ndarray, strength: float = 0.6) -> np.ndarray:
    """The photo (H, W, 3) uint8 with its attention map blended in, for files and reports."""
    height, width = photo.shape[:2]
    layer = Image.fromarray(heat(attention)).resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(layer, dtype=np.float32)
    opacity = strength * pixels[..., 3:] / 255
    return (photo * (1 - opacity) + pixels[..., :3] * opacity).round().astype(np.uint8)


def heat_uri(attention: np.ndarray, side: int = HEAT_SIDE) -> str:
    """`heat` as a data address."""
    return data_uri(heat(attention, side), "PNG")


def data_uri(pixels: np.ndarray, format_: str) -> str:
    """Pixels (H, W, 3 or 4) uint8 as the address of an image that travels inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, quality=90)
    return f"data:image/{format_.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
