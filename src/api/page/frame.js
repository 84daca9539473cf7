// Drawing: once per animation frame, only if something changed, and never while hidden.

/** Figures of the last frames, for tests: their times, and how long the page's drawing took. */
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

/** Sets the function that draws a frame; it returns how many tiles it drew. */
export function drawWith(drawing) {
  draw = drawing;
}

/** Requests a frame. */
export function ask() {
  if (isAsked || document.hidden) return;
  isAsked = true;
  requestAnimationFrame(run);
}

document.addEventListener('visibilitychange', () => {
  // A frame requested before the page was hidden may never have come.
  isAsked = false;
  ask();
});
