// Equal areas for equal values: groups are enlarged by what their headings and gaps take.

/** Tolerated relative error of a share. */
const NEAR = 0.005;
/** Maximum number of rounds, and number of those in which headings may still appear. */
const MOST_TURNS = 40;
const DECIDING_TURNS = 8;
/** Largest factor by which a group grows or shrinks in one round. */
const MOST_STEP = 2;

/** Area that a group has left for its tiles, square pixels. */
const room = ({ x0, y0, x1, y1, heading }) => Math.max(0.1, (x1 - x0) * (y1 - y0 - heading));

/**
 * Places the groups of a tree, whose leaves have a value each, so that equal values get equal room
 * besides their headings and gaps. These take more of a small group than of a large one, so groups
 * with too little room are enlarged in several rounds, and the best result is kept.
 * `headingFor(leaf)` is the heading that a leaf's size has room for.
 */
export function balance(root, place, headingFor) {
  const leaves = root.leaves();
  const values = leaves.map(({ value }) => value);
  const total = values.reduce((all, value) => all + value, 0);
  const put = (weights, headings) => {
    leaves.forEach((leaf, index) => {
      leaf.value = values[index] * weights[index];
      leaf.heading = headings[index];
    });
    root.eachAfter((node) => {
      if (node.children) node.value = node.children.reduce((all, { value }) => all + value, 0);
    });
    place(root);
  };
  let weights = leaves.map(() => 1);
  let headings = leaves.map(() => 0);
  let best = { off: Infinity, weights, headings };
  for (let turn = 0; turn < MOST_TURNS && best.off > NEAR; turn += 1) {
    put(weights, headings);
    const rooms = leaves.map(room);
    const fair = rooms.reduce((all, one) => all + one, 0) / total;
    const short = rooms.map((one, index) => (fair * values[index]) / one);
    const off = Math.max(...short.map((one) => Math.abs(Math.log(one))));
    // In later rounds headings only disappear; otherwise the process might never settle.
    const mayCome = turn < DECIDING_TURNS;
    const fitting = leaves.map((leaf, index) => (mayCome ? headingFor(leaf) : Math.min(headings[index], headingFor(leaf))));
    const isFitting = fitting.every((heading, index) => heading === headings[index]);
    if (isFitting && off < best.off) best = { off, weights, headings };
    headings = fitting;
    weights = weights.map((weight, index) => weight * Math.min(MOST_STEP, Math.max(1 / MOST_STEP, short[index])));
  }
  put(best.weights, best.headings);
}
