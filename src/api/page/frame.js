// Drawing: once per animation frame, only when something is to be drawn, never while hidden.

/** Figures of the last frames, for tests: when, and how long the page's own drawing took. */
export const frames = [];
const KEPT_FRAMES = 600;

let draw = () => {};
let isAsked = false;

function run() {
  isAsked = false;
  if (document.hidden) return;
  const start = performance.now();
  const tiles = draw();
  frames.push({ at: start, took: performance.now() - start, tiles });
  if (frames.length > KEPT_FRAMES) frames.shift();
}

/** What a frame does; it returns how many tiles it drew. */
export function drawWith(drawing) {
  draw = drawing;
}

/** Asks for a frame. */
export function ask() {
  if (isAsked || document.hidden) return;
  isAsked = true;
  requestAnimationFrame(run);
}

document.addEventListener('visibilitychange', () => {
  // A frame that was asked for before the page was hidden may never have come.
  isAsked = false;
  ask();
});
