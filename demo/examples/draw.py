"""Draw the example pictures: python -m demo.examples.draw

Input: none, the random generator is seeded. Output: JPEG files beside this one, the same at each
run. Takes some ten seconds. No photo of a person is used, and each picture says "drawing".

Shapes: H x W the picture. Masks and heights are (H, W), colours (3,), pictures (H, W, 3) in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from demo.examples import FOLDER

HEIGHT, WIDTH = 480, 640
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)

Point = tuple[float, float]


def rgb(red: int, green: int, blue: int) -> np.ndarray:
    """A colour from sRGB values 0..255."""
    return np.array([red, green, blue]) / 255


# Skin, from light to dark.
LIGHT, FAIR, OLIVE, BROWN = (
    rgb(226, 180, 158), rgb(214, 160, 134), rgb(198, 150, 118), rgb(142, 98, 72),
)  # fmt: skip


def dark_spot(rng: np.random.Generator) -> np.ndarray:
    """A flat spot with an uneven outline and several browns, on light skin."""
    picture = skin(LIGHT, rng)
    distance = blob(rng, (306, 228), 88, 0.22, 1.2)
    distance = np.minimum(distance, blob(rng, (384, 284), 52, 0.2, 1.15))  # it grew to one side
    distance = distance + 11 * clouds(rng, 16) + 5 * clouds(rng, 6)
    fading = 9 + 20 * np.clip(0.3 + clouds(rng, 45), 0, 1)  # the border is sharp in places only
    spot = soft(distance, fading)
    shade = 0.5 + 0.55 * clouds(rng, 26) + 0.22 * clouds(rng, 8) - 0.004 * distance
    shade += 0.0035 * (Y - X + 70)
    colour = ramp(
        shade,
        rgb(190, 124, 88), rgb(146, 86, 58), rgb(98, 56, 40), rgb(58, 36, 32), rgb(40, 30, 34),
    )  # fmt: skip
    # Greyish pink, where pigment was lost.
    pale = np.clip(1.8 * clouds(rng, 20) - 0.6, 0, 1) * soft(distance + 20, 30)
    colour = mix(colour, rgb(160, 122, 118), 0.6 * pale)
    picture = mix(picture, rgb(206, 124, 108), 0.45 * soft(distance - 14, 50))
    picture = mix(picture, colour, 0.94 * spot)
    net = blurred(np.exp(-cells(rng, 7) / 1.3), 0.6)
    picture = mix(picture, rgb(56, 32, 26), 0.3 * spot * net * np.clip(0.4 + clouds(rng, 30), 0, 1))
    relief = 5 * blurred(spot, 8) + spot * (0.8 * clouds(rng, 3) + 1.6 * clouds(rng, 9))
    return photographed(hairs(lit(picture, relief, 0.09), rng, 14), rng)


def brown_mole(rng: np.random.Generator) -> np.ndarray:
    """A soft round dome of one even brown."""
    picture = skin(FAIR, rng)
    distance = blob(rng, (322, 238), 84, 0.03, 1.12) + 2 * clouds(rng, 8)
    spot = soft(distance, 20)
    shade = 0.35 + 0.16 * clouds(rng, 14) + 0.1 * clouds(rng, 4) - 0.005 * np.minimum(distance, 0)
    colour = ramp(shade, rgb(158, 100, 70), rgb(122, 72, 50), rgb(92, 54, 40))
    picture = mix(picture, rgb(198, 130, 102), 0.4 * soft(distance - 12, 36))
    picture = mix(picture, colour, 0.95 * spot)
    dome = np.sqrt(np.clip(-distance / 84, 0, 1))
    relief = 42 * blurred(dome, 8) + spot * (1.1 * clouds(rng, 5) + 0.45 * clouds(rng, 2))
    picture = shine(lit(picture, relief, 0.08), rng, (288, 200), 30, 0.16)
    return photographed(hairs(picture, rng, 12), rng)


def shiny_bump(rng: np.random.Generator) -> np.ndarray:
    """A pearly nodule with a sunken, crusted middle and branching vessels."""
    picture = skin(FAIR, rng, redness=0.05)
    centre = (322, 238)
    distance = blob(rng, centre, 98, 0.14, 1.18) + 5 * clouds(rng, 14)
    bump = soft(distance, 26)
    picture = mix(picture, rgb(206, 116, 100), 0.45 * soft(distance - 16, 60))
    pearl = ramp(0.5 + 0.55 * clouds(rng, 14), rgb(224, 158, 142), rgb(200, 116, 104))
    picture = mix(picture, pearl, 0.72 * bump)
    angles = rng.uniform(0, 0.8, 8) + np.arange(8) * np.pi / 4
    trees = branches(rng, [(angle, centre, rng.uniform(92, 120)) for angle in angles])
    picture = mix(picture, rgb(176, 60, 60), 0.62 * trees * soft(distance - 4, 22))
    hollow = blob(rng, (330, 244), 28, 0.3, 1.25) + 6 * clouds(rng, 8) + 2 * clouds(rng, 3)
    sunk = soft(hollow, 12)
    shade = 0.45 + 0.5 * clouds(rng, 7) + 0.2 * clouds(rng, 2)
    crust = ramp(shade, rgb(196, 112, 84), rgb(156, 62, 52), rgb(104, 40, 36))
    picture = mix(picture, rgb(190, 78, 70), 0.5 * soft(hollow - 8, 22))
    picture = mix(picture, crust, 0.85 * sunk)
    rim = np.sqrt(np.clip(-distance / 90, 0, 1))
    relief = 58 * blurred(rim, 9) - 34 * blurred(sunk, 12)
    relief += sunk * (2 * clouds(rng, 3) + 4 * clouds(rng, 8))
    relief += bump * (5 * clouds(rng, 15) + 0.8 * clouds(rng, 4))
    picture = lit(picture, relief, 0.075)
    for place, size in (((262, 186), 24), ((300, 166), 14), ((384, 300), 12)):
        picture = shine(picture, rng, place, size, 0.42)
    return photographed(hairs(picture, rng, 8), rng)


def scaly_plaque(rng: np.random.Generator) -> np.ndarray:
    """A sharply edged red plaque under thick silvery scale, with smaller ones beside it."""
    picture = skin(FAIR, rng)
    distance = blob(rng, (306, 234), 138, 0.2, 1.3)
    for centre, radius in (((566, 88), 34), ((572, 372), 42), ((92, 424), 28), ((74, 84), 22)):
        distance = np.minimum(distance, blob(rng, centre, radius, 0.15))
    distance = distance + 7 * clouds(rng, 12) + 2 * clouds(rng, 4)
    plaque = soft(distance, 10)
    picture = mix(picture, rgb(206, 112, 96), 0.4 * soft(distance - 8, 26))
    red = ramp(0.5 + 0.5 * clouds(rng, 12), rgb(200, 96, 84), rgb(168, 62, 58))
    picture = mix(picture, red, 0.86 * plaque)
    inner = soft(distance + 12, 26)
    relief = 7 * blurred(plaque, 6)
    thick = np.clip(0.72 + 0.75 * clouds(rng, 34), 0, 1) * inner
    powder = ramp(0.5 + 0.6 * clouds(rng, 4), rgb(238, 226, 220), rgb(204, 172, 164))
    picture = mix(picture, powder, 0.6 * thick * np.clip(0.7 + 0.5 * clouds(rng, 5), 0, 1))
    for size, cover in ((34, 0.4), (19, 0.45), (11, 0.45)):  # flakes upon flakes
        ragged = cells(rng, size) + 1.6 * clouds(rng, 3) + 1.2 * clouds(rng, 1.5)
        flake = np.clip((ragged - 0.6) / 2, 0, 1) * thick
        flake *= np.clip(0.8 + 1.6 * clouds(rng, size), 0, 1)
        silver = ramp(0.5 + 0.6 * clouds(rng, 4), rgb(244, 237, 232), rgb(208, 188, 182))
        picture = mix(picture, silver, cover * flake)
        relief = relief + 2.2 * blurred(flake, 0.8) + 1.2 * flake * clouds(rng, 1.6)
    return photographed(lit(picture, relief, 0.12), rng)


def white_areas(rng: np.random.Generator) -> np.ndarray:
    """Sharply bordered areas without pigment on brown skin."""
    picture = skin(BROWN, rng)
    distance = np.full((HEIGHT, WIDTH), np.inf)
    for centre, radius, stretch in (
        ((262, 214), 104, 1.25), ((400, 290), 84, 1.2), ((545, 120), 34, 1.0),
        ((120, 395), 40, 1.3), ((560, 410), 22, 1.0), ((455, 185), 26, 1.0),
    ):  # fmt: skip
        distance = np.minimum(distance, blob(rng, centre, radius, 0.16, stretch))
    distance += 9 * clouds(rng, 14) + 4 * clouds(rng, 5)
    picture = mix(picture, BROWN * 0.8, 0.5 * soft(distance - 14, 34))
    area = soft(distance, 14)
    islands = np.zeros((HEIGHT, WIDTH))  # pigment that is left around hairs
    for x, y in scattered(rng, 40, 14):
        islands += soft(np.hypot(X - x, Y - y) - rng.uniform(1, 4), 6)
    white = picture * rgb(236, 200, 184) / BROWN  # the surface stays as it was
    white = mix(white, rgb(232, 170, 156), np.clip(0.18 + 0.3 * clouds(rng, 40), 0, 1))
    picture = mix(picture, white, 0.95 * area * (1 - 0.7 * np.clip(islands, 0, 1)))
    return photographed(hairs(picture, rng, 14), rng)


def itchy_patches(rng: np.random.Generator) -> np.ndarray:
    """Smooth raised wheals, paler in the middle, with a red flare around them."""
    picture = skin(OLIVE, rng)
    distance = np.full((HEIGHT, WIDTH), np.inf)
    for centre, radius in (
        ((150, 130), 58), ((236, 170), 48), ((410, 110), 64), ((476, 176), 44), ((520, 300), 50),
        ((330, 345), 72), ((420, 385), 46), ((120, 330), 46), ((190, 262), 28), ((585, 430), 34),
        ((310, 60), 22), ((40, 220), 24),
    ):  # fmt: skip
        distance = np.minimum(distance, blob(rng, centre, radius, 0.16, 1.15))
    distance += 6 * clouds(rng, 12)
    wheal = soft(distance, 14)
    picture = mix(picture, rgb(206, 104, 88), 0.6 * soft(distance - 18, 44))
    middle = ramp(0.5 + 0.6 * clouds(rng, 18), rgb(228, 164, 142), rgb(216, 128, 110))
    picture = mix(picture, middle, 0.75 * wheal * soft(distance + 16, 26))
    height = 13 * blurred(wheal, 7) + 1.2 * wheal * clouds(rng, 8)
    return photographed(hairs(lit(picture, height, 0.11), rng, 14), rng)


def hair_bumps(rng: np.random.Generator) -> np.ndarray:
    """Small red bumps around hairs, many with a yellow tip."""
    picture = skin(FAIR, rng, redness=0.03)
    distance, tip = np.full((HEIGHT, WIDTH), np.inf), np.zeros((HEIGHT, WIDTH))
    roots = list(scattered(rng, 26, 62))
    for x, y in roots:
        radius = rng.uniform(8, 15)
        distance = np.minimum(distance, blob(rng, (x, y), radius, 0.2))
        if rng.random() < 0.6:
            tip = np.maximum(tip, soft(np.hypot(X - x, Y - y) - 0.42 * radius, 5))
    distance += 1.5 * clouds(rng, 5)
    bump = soft(distance, 10)
    picture = mix(picture, rgb(206, 104, 90), 0.6 * soft(distance - 8, 28))
    picture = mix(picture, rgb(192, 80, 72), 0.6 * bump)
    picture = mix(picture, rgb(236, 212, 164), 0.85 * tip)
    for root in roots:
        picture = hairs(picture, rng, 1, root)
    return photographed(hairs(lit(picture, 7 * blurred(bump, 4), 0.16), rng, 18), rng)


def skin(tone: np.ndarray, rng: np.random.Generator, redness: float = 0.02) -> np.ndarray:
    """Bare skin of one tone: mottled, with a net of fine furrows and pores."""
    picture = np.broadcast_to(tone, (HEIGHT, WIDTH, 3)).copy()
    picture *= 1 + 0.035 * clouds(rng, 70)[..., None] + 0.02 * clouds(rng, 14)[..., None]
    blood = np.clip(redness + 0.03 * clouds(rng, 30) + 0.02 * clouds(rng, 7), -0.1, 0.2)
    picture *= 1 - blood[..., None] * np.array([-0.4, 1.6, 1.4])
    depth = np.exp(-cells(rng, 9) / 1.6) + 0.6 * np.exp(-cells(rng, 22) / 2.2)
    picture = lit(picture, -1.1 * blurred(depth, 0.8) + 0.5 * clouds(rng, 2.5), 0.055)
    picture *= 1 - 0.05 * blurred(depth, 0.8)[..., None]
    pores = np.clip(clouds(rng, 1.6) - 0.75, 0, 1)
    return picture * (1 - 0.25 * pores[..., None])


def shine(
    picture: np.ndarray, rng: np.random.Generator, place: Point, size: float, amount: float
) -> np.ndarray:
    """A broken reflection of the lamp on a moist or smooth surface."""
    gleam = np.exp(-(((X - place[0]) / (1.2 * size)) ** 2) - ((Y - place[1]) / (0.8 * size)) ** 2)
    return mix(
        picture, rgb(255, 250, 246), amount * gleam * np.clip(0.6 + 0.7 * clouds(rng, 3), 0, 1.4)
    )


def cells(rng: np.random.Generator, size: float) -> np.ndarray:
    """A net of uneven cells about ``size`` pixels wide: (H, W) pixels from the nearest border."""
    x = X + 0.35 * size * clouds(rng, size) + 0.3 * Y
    y = Y + 0.35 * size * clouds(rng, size)
    column, row = np.floor(x / size).astype(int), np.floor(y / size).astype(int)
    column -= column.min() - 1
    row -= row.min() - 1
    x -= (np.floor(x / size) - column).flat[0] * size
    y -= (np.floor(y / size) - row).flat[0] * size
    seeds = rng.uniform(0.1, 0.9, size=(row.max() + 2, column.max() + 2, 2))
    nearest = np.full((2, HEIGHT, WIDTH), np.inf)  # and the second nearest seed
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = row + down, column + right
            seed = seeds[r, c]
            away = np.hypot((c + seed[..., 0]) * size - x, (r + seed[..., 1]) * size - y)
            nearest[1] = np.minimum(nearest[1], np.maximum(nearest[0], away))
            nearest[0] = np.minimum(nearest[0], away)
    return (nearest[1] - nearest[0]) / 2


def hairs(
    picture: np.ndarray, rng: np.random.Generator, count: int, root: Point | None = None
) -> np.ndarray:
    """Lay fine bent hairs over the picture, all roughly one way, or out of one root."""
    canvas = Image.new("L", (2 * WIDTH, 2 * HEIGHT))
    pen = ImageDraw.Draw(canvas)
    for _ in range(count):
        x, y = root or (rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT))
        course, bend = rng.normal(0.9, 0.35), rng.normal(0, 0.035)
        length = rng.uniform(14, 34)
        strength = rng.uniform(70, 190)
        for step in np.linspace(1, 0, int(length)):
            onward = x + 2 * np.cos(course), y + 2 * np.sin(course)
            pen.line([(2 * x, 2 * y), (2 * onward[0], 2 * onward[1])], int(strength * step**0.5), 2)
            (x, y), course = onward, course + bend
    hair = np.asarray(canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX)) / 255
    return mix(picture, rgb(62, 42, 34), 0.8 * hair)


def branches(rng: np.random.Generator, starts: list[tuple[float, Point, float]]) -> np.ndarray:
    """Vessels that run from the edge of a round inwards and fork, each time thinner: (H, W) 0..1.

    ``starts``: for each vessel its place on the edge (radians), and centre and radius of the round.
    """
    canvas = Image.new("L", (2 * WIDTH, 2 * HEIGHT))
    pen = ImageDraw.Draw(canvas)
    for angle, (cx, cy), radius in starts:
        x, y = cx + radius * np.cos(angle), cy + 0.9 * radius * np.sin(angle)
        open_ends = [(x, y, angle + np.pi + rng.normal(0, 0.5), 5, 26)]
        while open_ends:
            x, y, course, width, steps = open_ends.pop()
            for _ in range(steps):
                course += rng.normal(0, 0.2)
                ahead = x + 2.2 * np.cos(course), y + 2.2 * np.sin(course)
                pen.line([(2 * x, 2 * y), (2 * ahead[0], 2 * ahead[1])], 130 + 25 * width, width)
                x, y = ahead
            if width > 2:
                for turn in (-0.55, 0.5):
                    open_ends.append((x, y, course + turn, width - 1, int(rng.uniform(8, 18))))
    return blurred(np.asarray(canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX)) / 255, 0.8)


def scattered(rng: np.random.Generator, count: int, apart: float) -> Iterator[Point]:
    """Points at random places, at least ``apart`` pixels from each other."""
    taken: list[Point] = []
    while len(taken) < count:
        x, y = rng.uniform(25, WIDTH - 25), rng.uniform(25, HEIGHT - 25)
        if all(np.hypot(x - a, y - b) >= apart for a, b in taken):
            taken.append((x, y))
            yield x, y


def blob(
    rng: np.random.Generator,
    centre: Point,
    radius: float,
    unevenness: float,
    stretch: float = 1.0,
) -> np.ndarray:
    """Signed distance in pixels to a round, uneven outline: below zero inside."""
    dx, dy = (X - centre[0]) / stretch, Y - centre[1]
    angle = np.arctan2(dy, dx)
    outline = np.ones_like(angle)
    for wave in range(2, 8):
        phase, size = rng.uniform(0, 2 * np.pi), rng.normal(0, unevenness / wave)
        outline += size * np.cos(wave * angle + phase)
    return np.hypot(dx, dy) - radius * outline


def ramp(position: np.ndarray, *colours: np.ndarray) -> np.ndarray:
    """Colours along a ramp, (H, W, 3): the first at position 0, the last at 1."""
    stops = np.linspace(0, 1, len(colours))
    return np.stack(
        [np.interp(position, stops, channel) for channel in zip(*colours, strict=True)], axis=-1
    )


def soft(distance: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """1 inside a signed distance, 0 outside, smooth over ``width`` pixels."""
    step = np.clip(0.5 - distance / width, 0, 1)
    return step * step * (3 - 2 * step)


def clouds(rng: np.random.Generator, size: float) -> np.ndarray:
    """Noise with structures of about ``size`` pixels, mean 0, mostly within -1..1."""
    noise = blurred(rng.standard_normal((HEIGHT, WIDTH)), size)
    return noise / (2.2 * noise.std())


def blurred(plane: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur by Fourier transform: periodic, and exact for any radius."""
    fy, fx = np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :]
    kernel = np.exp(-2 * (np.pi * radius) ** 2 * (fy**2 + fx**2))
    return np.fft.irfft2(np.fft.rfft2(plane) * kernel, s=plane.shape)


def mix(picture: np.ndarray, colour: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Lay ``colour``, (3,) or (H, W, 3), over the picture with opacity ``amount`` (H, W)."""
    return picture + (colour - picture) * np.clip(amount, 0, 1)[..., None]


def lit(picture: np.ndarray, height: np.ndarray, strength: float) -> np.ndarray:
    """Shade a relief with light from the upper left."""
    slope_y, slope_x = np.gradient(height)
    return picture * (1 + strength * np.clip(slope_x + slope_y, -4, 4)[..., None])


def photographed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a camera sees it: light that falls off to one side, a vignette, some blur, and noise."""
    light = 1.06 - 0.2 * np.hypot((X - 200) / WIDTH, (Y - 130) / HEIGHT) ** 1.5
    vignette = 1 - 0.16 * (np.hypot(X / WIDTH - 0.5, Y / HEIGHT - 0.5) / 0.7) ** 3
    picture = picture * (light * vignette)[..., None]
    picture = np.stack([blurred(picture[..., channel], 0.8) for channel in range(3)], axis=-1)
    return picture + 0.008 * rng.standard_normal(picture.shape)


def sign(picture: np.ndarray) -> Image.Image:
    """Turn into 8 bits and write "drawing" into the lower right corner."""
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    ImageDraw.Draw(image).text(
        (WIDTH - 12, HEIGHT - 10),
        "drawing",
        font=ImageFont.load_default(19),
        anchor="rs",
        fill="white",
        stroke_width=2,
        stroke_fill=(40, 40, 40),
    )
    return image


# Each with its seed, chosen by eye.
DRAWINGS: dict[str, tuple[Callable[[np.random.Generator], np.ndarray], int]] = {
    "dark_spot.jpg": (dark_spot, 7),
    "white_areas.jpg": (white_areas, 1),
    "hair_bumps.jpg": (hair_bumps, 3),
    "brown_mole.jpg": (brown_mole, 2),
    "scaly_plaque.jpg": (scaly_plaque, 3),
    "shiny_bump.jpg": (shiny_bump, 1),
    "itchy_patches.jpg": (itchy_patches, 5),
}


def main() -> None:
    """Draw all pictures and save them."""
    for name, (draw, seed) in DRAWINGS.items():
        sign(draw(np.random.default_rng(seed))).save(FOLDER / name, quality=80, optimize=True)
        print(f"{name}: {(FOLDER / name).stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
