// The learner's answer, by hand or by keyboard. Gradio runs this once for the part that holds the
// round (`element`); its inside is replaced at each stage. Choices live in the card's data.

const card = () => element.querySelector('.dm-round');
const field = () => element.querySelector('.dm-search');
const pills = () => [...element.querySelectorAll('.dm-pill')];
const choices = () => JSON.parse(card().dataset.chosen);
const confidence = () => element.querySelector('[name=dm-confidence]:checked');
const MAX_CHOICES = 3;
let acted = false, typed = false;

function choose(list) {
  card().dataset.chosen = JSON.stringify(list);
  paint();
}

function toggle(name) {
  const list = choices();
  if (list.includes(name)) choose(list.filter(other => other !== name));
  else if (list.length < MAX_CHOICES) choose([...list, name]);
}

// What the field's content fits, the best first: a number, the beginning of a name or a whole
// synonym, then a part of them.
function matches() {
  const wanted = field().value.trim().toLowerCase();
  const rank = pill => {
    const name = pill.dataset.name.toLowerCase(), {number, synonyms} = pill.dataset;
    if (!wanted || number === wanted || name.startsWith(wanted)) return 0;
    if (/^\d+$/.test(wanted)) return number.startsWith(wanted) ? 1 : 9;
    if (synonyms.split(' | ').includes(wanted)) return 0;
    if (name.includes(wanted)) return 1;
    return synonyms.includes(wanted) ? 2 : 9;
  };
  return pills().filter(pill => rank(pill) < 9).sort((a, b) => rank(a) - rank(b));
}

function paint() {
  if (!field()) return;
  const list = choices(), found = matches(), searching = field().value.trim() !== '';
  const best = searching && found.find(pill => !list.includes(pill.dataset.name));
  for (const pill of pills()) {
    const place = list.indexOf(pill.dataset.name);
    pill.setAttribute('aria-pressed', String(place >= 0));
    pill.dataset.rank = place >= 0 ? place + 1 : '';
    pill.hidden = !found.includes(pill);
    pill.classList.toggle('dm-first', pill === best);
  }
  for (const group of element.querySelectorAll('.dm-group'))
    group.hidden = !group.querySelector('.dm-pill:not([hidden])');
  for (const slot of element.querySelectorAll('.dm-slot')) {
    const name = list[slot.dataset.rank];
    slot.textContent = name || '–';
    slot.disabled = !name;
  }
  const send = element.querySelector('[data-send]'), missing = element.querySelector('[data-missing]');
  const ready = list.length > 0 && (send.dataset.send !== 'commit' || confidence() !== null);
  send.disabled = !ready;
  if (missing) missing.hidden = ready;
  if (send.dataset.keep) {
    card().dataset.before ??= card().dataset.chosen;
    const changed = card().dataset.before !== card().dataset.chosen;
    send.textContent = changed ? send.dataset.changed : send.dataset.keep;
    if (changed) element.querySelector('details').open = true;
  }
}

function send() {
  const button = element.querySelector('[data-send]');
  if (!button || button.disabled) return;
  acted = true;
  button.disabled = true;
  setTimeout(() => { button.disabled = false; }, 3000);  // should the answer get lost on its way
  const round = Number(card().dataset.round), level = confidence();
  if (button.dataset.send === 'commit')
    trigger('commit', {round, choices: choices(), confidence: Number(level.value)});
  else if (button.dataset.send === 'settle') trigger('settle', {round, choices: choices()});
  else trigger('advance', {round});
}

element.addEventListener('click', event => {
  const pill = event.target.closest('.dm-pill'), slot = event.target.closest('.dm-slot');
  if (pill) toggle(pill.dataset.name);
  if (slot) choose(choices().filter((name, rank) => rank !== Number(slot.dataset.rank)));
  if (event.target.closest('[data-send]')) send();
});
element.addEventListener('pointerdown', () => { typed = false; });
element.addEventListener('input', paint);

element.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  typed = true;
  const {key, target} = event;
  if (!field()) {
    if (key.toLowerCase() === 'n' || (key === 'Enter' && target === card())) {
      event.preventDefault();
      send();
    }
    return;
  }
  const inField = target === field(), level = target.name === 'dm-confidence';
  if (key === 'Enter' && (inField || level || target === card())) {
    event.preventDefault();
    const found = matches().find(pill => !choices().includes(pill.dataset.name));
    if (inField && field().value.trim()) {
      if (!found) return;
      field().value = '';
      toggle(found.dataset.name);
    } else if (choices().length && element.querySelector('[data-send]').disabled)
      element.querySelector('[name=dm-confidence]').focus();
    else send();
  } else if (inField && key === 'Escape') {
    field().value = '';
    paint();
  } else if (inField && key === 'Backspace' && !field().value) {
    choose(choices().slice(0, -1));
  } else if (level && /^[1-9]$/.test(key)) {
    const levels = element.querySelectorAll('[name=dm-confidence]');
    levels[key - 1]?.focus();
    levels[key - 1]?.click();
  } else if (!inField && /^[\p{L}\d]$/u.test(key)) {
    const closed = element.querySelector('details.dm-rethink:not([open])');
    if (closed) closed.open = true;
    field().focus();  // the key's own letter arrives there
  }
});

// A new stage: the keyboard goes on where it was, and on a phone the new part comes into view.
watch('value', () => {
  if (!card()) return;
  paint();
  if (!acted) return;
  const fresh = card().dataset.stage === '1';
  (typed && fresh && field() ? field() : card()).focus({preventScroll: true});
  const part = fresh ? document.getElementById('teach-case') : element;
  const top = part.getBoundingClientRect().top;
  if (top < 0 || top > innerHeight / 2) part.scrollIntoView({block: 'start'});
});
paint();
