// Helpers that build elements without parsing markup.

/** Returns the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Creates an element; `class` and `text` are set directly, everything else as an attribute. */
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

/** Sets a text if it differs, so that unchanged texts cost no layout. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Returns the class for the colour of a change: `up`, `down` or none. */
export const direction = (change) => (change > 0 ? 'up' : change < 0 ? 'down' : '');

/** Colours a text by its change. */
export function colourBy(target, change) {
  target.classList.toggle('up', change > 0);
  target.classList.toggle('down', change < 0);
}

const probe = document.createElement('i');

/** Returns a colour of the style sheet in a form for canvases. */
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

/** Creates the name of a stock, marked as Korean for screen readers on English pages too. */
export const nameOf = (stock) => element('span', { class: 'name', lang: 'ko', text: stock.name });
