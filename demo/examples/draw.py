"""Draw the example pictures: python -m demo.examples.draw

Input: none, the random generator is seeded. Output: five JPEG files beside this one, the same at
each run. Takes a few seconds. No photo of a person is used, and each picture says "drawing".

Shapes: H x W the picture. Masks and heights are (H, W), colours (3,), pictures (H, W, 3) in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from demo.examples import FOLDER

HEIGHT, WIDTH = 384, 512
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)

# From very light to very dark skin, sRGB.
LIGHT, FAIR, OLIVE, BROWN, DARK = (
    np.array(rgb) / 255
    for rgb in (
        (236, 200, 178),
        (226, 180, 150),
        (196, 148, 112),
        (150, 102, 72),
        (92, 60, 44),
    )
)


def main() -> None:
    """Draw all pictures and save them."""
    drawings: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "dark_spot.jpg": dark_spot,
        "itchy_patches.jpg": itchy_patches,
        "white_areas.jpg": white_areas,
        "shiny_bump.jpg": shiny_bump,
        "scaly_ring.jpg": scaly_ring,
    }
    for seed, (name, draw) in enumerate(drawings.items()):
        picture = sign(draw(np.random.default_rng(seed)))
        picture.save(FOLDER / name, quality=88, optimize=True)
        print(f"{name}: {(FOLDER / name).stat().st_size / 1024:.0f} KB")


def dark_spot(rng: np.random.Generator) -> np.ndarray:
    """An uneven spot in several browns on very light skin."""
    picture = skin(LIGHT, rng)
    distance = blob(rng, centre=(250, 190), radius=82, unevenness=0.2, stretch=1.25)
    spot = soft(distance, 9)
    browns = np.array([[0.47, 0.28, 0.17], [0.20, 0.11, 0.08]])
    shade = np.clip(0.5 + 1.1 * clouds(rng, 26) + 0.35 * clouds(rng, 7), 0, 1)[..., None]
    picture = mix(picture, np.array([0.80, 0.55, 0.46]), 0.45 * soft(distance - 14, 26))
    picture = mix(picture, browns[0] * (1 - shade) + browns[1] * shade, 0.94 * spot)
    return lit(picture, 5 * blurred(spot, 8) + 0.6 * clouds(rng, 2), 0.09)


def itchy_patches(rng: np.random.Generator) -> np.ndarray:
    """Smooth raised patches, paler in the middle, on olive skin."""
    picture, height = skin(OLIVE, rng), np.zeros((HEIGHT, WIDTH))
    for centre, radius in (
        ((130, 110), 52), ((235, 150), 44), ((350, 95), 60), ((400, 235), 46),
        ((265, 285), 66), ((110, 265), 42), ((165, 190), 26), ((455, 330), 30),
    ):  # fmt: skip
        distance = blob(rng, centre, radius, unevenness=0.003 * radius)
        patch = soft(distance, 8)
        picture = mix(picture, np.array([0.74, 0.36, 0.29]), 0.42 * soft(distance - 12, 22))
        picture = mix(picture, np.array([0.86, 0.62, 0.50]), 0.62 * patch * soft(distance + 15, 26))
        height = np.maximum(height, blurred(patch, 6))
    return lit(picture, 9 * height + 0.3 * clouds(rng, 3), 0.17)


def white_areas(rng: np.random.Generator) -> np.ndarray:
    """Sharply bordered areas without pigment on dark skin."""
    picture = skin(DARK, rng)
    distance = np.full((HEIGHT, WIDTH), np.inf)
    for centre, radius in (((215, 170), 98), ((335, 235), 84), ((120, 300), 34), ((410, 85), 28)):
        distance = np.minimum(distance, blob(rng, centre, radius, unevenness=0.002 * radius))
    area = soft(distance + 6 * clouds(rng, 6), 5)
    picture = mix(picture, DARK * 0.82, 0.5 * soft(distance - 9, 14))
    picture = mix(picture, np.array([0.93, 0.80, 0.74]), 0.93 * area)
    # Islands of pigment around the hairs.
    for _ in range(26):
        x, y = rng.uniform(130, 400), rng.uniform(100, 300)
        picture = mix(picture, DARK, 0.55 * soft(np.hypot(X - x, Y - y) - rng.uniform(2, 5), 4))
    return lit(picture, 0.9 * clouds(rng, 3), 0.10)


def shiny_bump(rng: np.random.Generator) -> np.ndarray:
    """A smooth pearly bump with fine vessels on fair skin."""
    picture = skin(FAIR, rng)
    distance = blob(rng, centre=(258, 195), radius=78, unevenness=0.07)
    bump = soft(distance, 10)
    picture = mix(picture, np.array([0.86, 0.52, 0.46]), 0.4 * soft(distance - 12, 26))
    picture = mix(picture, np.array([0.90, 0.70, 0.64]), 0.8 * bump)
    # Vessels run over the dome in slow bends and fork once.
    canvas = Image.new("L", (WIDTH, HEIGHT))
    pen = ImageDraw.Draw(canvas)
    for start, length in (
        (2.6, 15),
        (2.6, 9),
        (3.6, 17),
        (4.9, 11),
        (0.2, 16),
        (0.2, 8),
        (1.2, 12),
    ):
        x, y = 258 + 76 * np.cos(start), 195 + 76 * np.sin(start)
        course, points = start + np.pi + rng.normal(0, 0.5), []
        for _ in range(length * 2):
            points.append((x, y))
            course += rng.normal(0, 0.16)
            x, y = x + 2.6 * np.cos(course), y + 2.6 * np.sin(course)
        pen.line(points, fill=255, width=2)
    vessels = blurred(np.asarray(canvas) / 255, 1.1) * bump
    picture = mix(picture, np.array([0.72, 0.22, 0.22]), 0.62 * vessels)
    dome = np.sqrt(np.clip(1 - (np.hypot(X - 258, Y - 195) / 82) ** 2, 0, 1))
    picture = lit(picture, 46 * blurred(dome, 5), 0.085)
    shine = soft(np.hypot((X - 226) * 0.8, (Y - 158) * 1.3) - 5, 20)
    return mix(picture, np.ones(3), 0.55 * shine)


def scaly_ring(rng: np.random.Generator) -> np.ndarray:
    """A ring with a raised flaking edge and a calmer middle on brown skin."""
    picture = skin(BROWN, rng)
    distance = blob(rng, centre=(255, 192), radius=122, unevenness=0.09)
    inside = soft(distance, 7)
    edge = inside * soft(-(distance + 40), 26)
    picture = mix(picture, np.array([0.47, 0.24, 0.19]), 0.45 * inside)
    picture = mix(picture, np.array([0.62, 0.25, 0.20]), 0.72 * edge)
    flakes = np.clip(4.5 * (clouds(rng, 4) - 0.16), 0, 1) * np.clip(0.5 + clouds(rng, 14), 0, 1)
    picture = mix(picture, np.array([0.90, 0.84, 0.78]), 0.85 * flakes * (edge + 0.14 * inside))
    return lit(picture, 7 * blurred(edge, 4) + 2.4 * edge * clouds(rng, 3), 0.13)


def skin(tone: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bare skin of one tone: mottled, with furrows, hairs' pores and light from the upper left."""
    picture = np.broadcast_to(tone, (HEIGHT, WIDTH, 3)).copy()
    picture *= 1 + 0.05 * clouds(rng, 60)[..., None]
    picture[..., 0] *= 1 + 0.025 * clouds(rng, 22)
    picture *= (1.07 - 0.22 * np.hypot((X - 190) / WIDTH, (Y - 130) / HEIGHT) ** 1.6)[..., None]
    furrows = clouds(rng, 1.6) + 0.6 * clouds(rng, 3.5)
    picture = lit(picture, 0.75 * furrows, 0.06)
    pores = np.clip(clouds(rng, 1.3) - 0.62, 0, 1)
    return picture * (1 - 0.28 * pores[..., None])


def blob(
    rng: np.random.Generator,
    centre: tuple[float, float],
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


def soft(distance: np.ndarray, width: float) -> np.ndarray:
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


def sign(picture: np.ndarray) -> Image.Image:
    """Turn into 8 bits and write "drawing" into the lower right corner."""
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(0.6))
    ImageDraw.Draw(image).text(
        (WIDTH - 10, HEIGHT - 8),
        "drawing",
        font=ImageFont.load_default(15),
        anchor="rs",
        fill="white",
        stroke_width=2,
        stroke_fill=(40, 40, 40),
    )
    return image


if __name__ == "__main__":
    main()
