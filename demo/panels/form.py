"""The description: free text, and a short form that writes sentences into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from demo.content import inputs as content
from demo.render import form as render
from demo.render.pieces import sentence
from dermmm.describe import Facts, describe

# Any change of the form sends all of it. The wording is a number that "again" counts up. An age is
# sent as it is typed: sent when its box is left, it would come after the Clear that was pressed.
FILL_IN = """
let wording = 0;
const send = () => {
  const data = new FormData(element.querySelector('form'));
  const findings = {};
  for (const [name, answer] of data)
    if (name.startsWith('finding ') && answer) findings[name.slice(8)] = answer === 'yes';
  trigger('input', {
    facts: {
      age: data.get('age'), sex: data.get('sex'), category: data.get('category'),
      duration: data.get('duration'), sites: data.getAll('site'),
      textures: data.getAll('texture'), findings,
    },
    voice: data.get('voice'), wording,
  });
};
element.addEventListener('input', send);
element.addEventListener('submit', event => event.preventDefault());
element.addEventListener('reset', () => setTimeout(() => { wording = 0; send(); }));
element.addEventListener('click', event => {
  if (!event.target.closest('[data-do="again"]')) return;
  wording += 1;
  send();
});
"""

# The page's own button for an empty case empties the form too, without writing. What it returns is
# for the text that is known to be ours, and the remark.
EMPTY = """() => {
  const form = document.querySelector('#form form');
  for (const field of form.elements)
    if (field.type === 'radio' || field.type === 'checkbox') field.checked = field.defaultChecked;
    else field.value = '';
  return ['', ''];
}"""


def description() -> gr.Textbox:
    """Add the box for the description to the page that is being built."""
    return gr.Textbox(
        label=content.DESCRIPTION,
        placeholder=content.DESCRIPTION_HINT,
        lines=4,
        max_lines=10,
        max_length=4000,
        elem_id="description",
    )


def build(box: gr.Textbox, clear: gr.Button) -> None:
    """Add the form that writes into ``box``; the button ``clear`` empties it."""
    fields = gr.HTML(render.form(), js_on_load=FILL_IN, elem_id="form")
    status = gr.HTML(elem_id="form-status")
    # In the page and not in the session, so that it always belongs to the text sent with it.
    written = gr.Textbox(visible=False)
    fields.input(
        write,
        [box, written],
        [box, written, status],
        show_progress="hidden",
        trigger_mode="multiple",
        api_visibility="private",
    )
    clear.click(None, None, [written, status], js=EMPTY, api_visibility="private")


def write(text: str | None, written: str | None, event: gr.EventData) -> tuple[str, str, str]:
    """Say the form's facts in the description: the new text, what of it is ours, and a remark."""
    text, written = text or "", written or ""
    try:
        facts = facts_of(event.facts)
        new = describe(facts, int(event.wording), event.voice)
    except (ValueError, TypeError, AttributeError) as error:
        return text, written, render.status(sentence(str(error)), problem=True)
    remark = content.FORM_WROTE if new else content.FORM_EMPTY
    return render.rewritten(text, written, new), new, render.status(remark)


def facts_of(fields: Mapping[str, Any]) -> Facts:
    """The form's fields as `Facts`: an empty one is unknown, a site named twice counts once.

    Raises:
        ValueError: a field holds what its table does not have, or no age.
    """
    age = str(fields.get("age") or "").strip()
    if age and not age.isdecimal():
        raise ValueError(f"got {age!r} as age, expected whole years from 1 to 120; correct it")
    return Facts(
        age=int(age) if age else None,
        sex=fields.get("sex") or None,
        category=fields.get("category") or None,
        duration=fields.get("duration") or None,
        sites=tuple(dict.fromkeys(site for site in fields.get("sites") or () if site)),
        textures=tuple(fields.get("textures") or ()),
        findings=dict(fields.get("findings") or {}),
    )
