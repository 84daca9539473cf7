// Elements without markup in text.

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/** A new element; `class` and `text` are set as such, everything else as an attribute. */
export function element(tag, { class: kind, text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Sets a text where it differs: what is unchanged costs no layout. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** `up`, `down` or nothing, as a change is coloured. */
export const direction = (change) => (change > 0 ? 'up' : change < 0 ? 'down' : '');

/** Colours a text by its change. */
export function colourBy(target, change) {
  target.classList.toggle('up', change > 0);
  target.classList.toggle('down', change < 0);
}

const probe = document.createElement('i');

/** A colour of the style sheet as a canvas takes it. */
export function colourOf(name) {
  probe.hidden = true;
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** The typeface of the page, for a canvas. */
export const family = () => getComputedStyle(document.body).fontFamily;

/** Korean names are read as Korean in an English page too. */
export const nameOf = (stock) => element('span', { class: 'name', lang: 'ko', text: stock.name });
