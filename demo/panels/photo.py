"""The photo of a case: any file a camera makes, shown as it is analysed, and a crop of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

from demo.content import inputs as content
from demo.gate import made_folder
from demo.panels import Predictor, at_once, uploaded
from demo.render import photo as render
from demo.uploads import KEPT_SECONDS

logger = logging.getLogger(__name__)

Box = tuple[float, float, float, float]  # top, left, bottom, right: shares of height and width
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

# Many computers do not know what HEIC is: the dialogue then hides such files, and Gradio ignores
# them when they are dropped. Both are told, before Gradio looks.
KNOW_HEIC = """
const typed = file => file.type || !/[.](heic|heif)$/i.test(file.name)
  ? file : new File([file], file.name, {type: 'image/heic'});
const mended = files => {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(typed(file));
  return transfer;
};
const strange = files => [...files ?? []].some(file => typed(file) !== file);
const ours = event => event.target.closest?.('#photo');
document.addEventListener('click', event => {
  if (!ours(event)) return;
  for (const field of document.querySelectorAll('#photo input[type=file]'))
    field.accept = 'image/*,.heic,.heif';
}, true);
document.addEventListener('change', event => {
  if (ours(event) && strange(event.target.files))
    event.target.files = mended(event.target.files).files;
}, true);
document.addEventListener('drop', event => {
  if (!ours(event) || !strange(event.dataTransfer?.files)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  event.target.dispatchEvent(new DragEvent('drop', {
    dataTransfer: mended(event.dataTransfer.files), bubbles: true, cancelable: true,
  }));
}, true);
"""

# The square follows pointer, keys and slider in the page; only where it ends goes to Python.
CHOOSE_PART = """
const stage = () => element.querySelector('.dm-stage');
const square = () => element.querySelector('.dm-square');
const within = (value, low, high) => Math.min(Math.max(value, low), high);
const aspect = () => Number(stage().dataset.aspect);
const largest = () => Math.min(1, 1 / aspect());
const smallest = () => Number(stage().dataset.smallest) * largest();
const place = () => {
  const {x, y, side} = square().dataset;
  return {x: Number(x), y: Number(y), side: Number(side)};
};
const put = (x, y, side) => {
  side = within(side, smallest(), largest());
  x = within(x, 0, 1 - side);
  y = within(y, 0, 1 - side * aspect());
  Object.assign(square().dataset, {x, y, side});
  const percent = share => `${100 * share}%`;
  Object.assign(square().style, {
    left: percent(x), top: percent(y), width: percent(side), height: percent(side * aspect()),
  });
  element.querySelector('input').value = 100 * side / largest();
};
const resize = side => {  // around its middle
  const was = place();
  side = within(side, smallest(), largest());
  put(was.x + (was.side - side) / 2, was.y + (was.side - side) / 2 * aspect(), side);
};
const point = event => {
  const frame = stage().getBoundingClientRect();
  return {
    x: (event.clientX - frame.left) / frame.width, y: (event.clientY - frame.top) / frame.height,
  };
};
let follow = null;  // what the pointer does while it is down
element.addEventListener('pointerdown', event => {
  if (!event.target.closest('.dm-square')) return;
  event.preventDefault();
  square().focus({preventScroll: true});
  square().setPointerCapture(event.pointerId);
  const from = point(event), was = place(), corner = event.target.closest('.dm-corner');
  follow = to => put(was.x + to.x - from.x, was.y + to.y - from.y, was.side);
  if (!corner) return;
  const right = corner.dataset.right === '1', bottom = corner.dataset.bottom === '1';
  const fixed = {  // the corner across
    x: right ? was.x : was.x + was.side, y: (bottom ? was.y : was.y + was.side * aspect()),
  };
  follow = to => {
    const room = Math.min(
      right ? 1 - fixed.x : fixed.x, (bottom ? 1 - fixed.y : fixed.y) / aspect());
    const across = Math.max(
      right ? to.x - fixed.x : fixed.x - to.x,
      (bottom ? to.y - fixed.y : fixed.y - to.y) / aspect());
    const side = within(across, Math.min(smallest(), room), room);
    put(right ? fixed.x : fixed.x - side, bottom ? fixed.y : fixed.y - side * aspect(), side);
  };
});
element.addEventListener('pointermove', event => { if (follow) follow(point(event)); });
for (const end of ['pointerup', 'pointercancel'])
  element.addEventListener(end, () => { follow = null; });
element.addEventListener('input', event => resize(event.target.value / 100 * largest()));
element.addEventListener('keydown', event => {
  if (!event.target.closest('.dm-square')) return;
  const {x, y, side} = place(), step = event.shiftKey ? 0.1 : 0.02;
  const act = {
    ArrowLeft: () => put(x - step, y, side), ArrowRight: () => put(x + step, y, side),
    ArrowUp: () => put(x, y - step * aspect(), side),
    ArrowDown: () => put(x, y + step * aspect(), side),
    '+': () => resize(side + step), '=': () => resize(side + step), '-': () => resize(side - step),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
element.addEventListener('click', event => {
  const action = event.target.closest('[data-do]')?.dataset.do;
  const {x, y, side} = action ? place() : {};
  if (action === 'use') trigger('submit', {box: [y, x, y + side * aspect(), x + side]});
  if (action === 'cancel') trigger('clear');
  const outside = event.target.closest('.dm-stage') && !event.target.closest('.dm-square');
  if (!outside) return;
  const to = point(event), was = place();
  put(to.x - was.side / 2, to.y - was.side / 2 * aspect(), was.side);
});
"""


@dataclass(frozen=True)
class Shown:
    """What a picture on the page was made from: an uploaded file, and the part of it."""

    file: str
    box: Box


def build(predictor: Predictor, clear: gr.Button) -> gr.Image:
    """Add the photo, its crop and the advice to the page that is being built.

    Whatever picture comes into the returned component, chosen here or set by another part of the
    page, is replaced by what the model sees of it: upright, bounded, rebuilt from pixels.
    ``clear`` is the button that also takes away what is said of a file.
    """

    def show(
        photo: dict[str, Any] | None, made: dict[str, Shown]
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Show what the model sees of a picture that has just come."""
        if photo is None:
            return gr.update(visible=True), {}, gr.skip(), *_tools(None)
        if photo["path"] in made:  # our own picture, which this event has just put there
            return gr.update(visible=True), gr.skip(), "", *_tools(made[photo["path"]])
        return part(Shown(photo["path"], WHOLE), made)

    def part(wanted: Shown, made: dict[str, Shown]) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Show a part of an uploaded file, or say why it cannot be."""
        nothing = gr.update(value=None, visible=True)
        try:
            pixels = predictor.open_photo(uploaded({"path": wanted.file}), wanted.box)
        except (ValueError, gr.Error) as error:
            return nothing, {}, render.trouble(str(error)), *_tools(None)
        except Exception as error:
            # The log must tell what broke, and must not hold the photo: no message, no name.
            logger.error("a photo could not be opened: %s", type(error).__name__)
            return nothing, {}, render.trouble(content.UNREADABLE), *_tools(None)
        # Without loss: the answer is then the same as for the file itself.
        path = save_pil_to_cache(
            Image.fromarray(pixels), cache_dir=str(made_folder()), name="photo", format="png"
        )
        return gr.update(value=path, visible=True), {**made, path: wanted}, "", *_tools(wanted)

    def choose(photo: dict[str, Any], made: dict[str, Shown]) -> tuple[Any, Any, Any]:
        """Put the whole photo with a square on it in the photo's place."""
        shown = made.get(photo["path"], Shown(photo["path"], WHOLE))
        try:
            whole = predictor.open_photo(uploaded({"path": shown.file}))
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from None
        cropper = gr.update(value=render.cropper(whole), visible=True)
        return gr.update(visible="hidden"), cropper, gr.update(visible=False)

    def crop(photo: dict[str, Any], made: dict[str, Shown], event: gr.EventData) -> Any:
        """Show the chosen part instead of the photo."""
        top, left, bottom, right = (min(max(float(share), 0.0), 1.0) for share in event.box)
        shown = made.get(photo["path"], Shown(photo["path"], WHOLE))
        return part(Shown(shown.file, (top, left, bottom, right)), made)

    def whole(photo: dict[str, Any], made: dict[str, Shown]) -> Any:
        """Show the whole photo again."""
        return part(Shown(made[photo["path"]].file, WHOLE), made)

    made = gr.State({}, time_to_live=KEPT_SECONDS)
    photo = gr.Image(
        label=content.PHOTO,
        sources=["upload", "webcam", "clipboard"],
        placeholder=content.PHOTO_HINT,
        alt_text=content.PHOTO_ALT,
        # Not mirrored, because mirroring swaps left and right; the rear camera of a phone.
        webcam_options=gr.WebcamOptions(
            mirror=False, constraints={"video": {"facingMode": {"ideal": "environment"}}}
        ),
        buttons=["fullscreen"],
        height=300,
        elem_id="photo",
    )
    cropper = gr.HTML(visible=False, js_on_load=CHOOSE_PART, elem_id="crop")
    with gr.Row(visible=False, elem_classes="dm-tools") as tools:
        choose_button = gr.Button(content.CROP, size="sm", elem_id="choose-crop")
        whole_button = gr.Button(content.WHOLE, size="sm", visible=False, elem_id="whole-photo")
    trouble = gr.HTML(elem_id="photo-trouble")
    gr.HTML(render.advice(), js_on_load=KNOW_HEIC)

    given = [photo, made]
    outputs = [photo, made, trouble, cropper, tools, whole_button]
    common: dict[str, Any] = {
        "preprocess": False,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    photo.change(show, given, outputs, **common)
    choose_button.click(choose, given, [photo, cropper, tools], **common)
    cropper.submit(crop, given, outputs, **common)
    cropper.clear(
        lambda: (gr.update(visible=True), gr.update(visible=False), gr.update(visible=True)),
        None,
        [photo, cropper, tools],
        **common,
    )
    whole_button.click(whole, given, outputs, **common)
    clear.click(None, None, trouble, js=at_once(""), api_visibility="private")
    return photo


def _tools(shown: Shown | None) -> tuple[Any, Any, Any]:
    """The cropper is closed; what can be done with the picture depends on what it is."""
    return (
        gr.update(visible=False),
        gr.update(visible=shown is not None),
        gr.update(visible=shown is not None and shown.box != WHOLE),
    )
