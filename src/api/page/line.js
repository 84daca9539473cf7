// Today's line of one stock.

import { colourOf, element, family } from './dom.js';
import { whole } from './numbers.js';
import { columns, hours, minuteOf, summary, timeOf } from './points.js';
import { words } from './words.js';

const HEIGHT = 148;

/** Draws an answer of `/v1/lines/{code}` into a host. */
export class Line {
  constructor(host) {
    this.host = host;
    this.answer = undefined;
    this.previous = undefined;
  }

  show(answer, previous) {
    this.answer = answer;
    this.previous = previous;
    this.#draw();
  }

  /** Adds a newer price of the last minute or of the next one. */
  extend(time, price) {
    if (!this.answer || price === undefined || !/^\d\d:\d\d$/.test(time)) return;
    const { points } = this.answer;
    const last = points.at(-1);
    if (last && last[0] === time) {
      if (last[1] === price) return;
      last[1] = price;
    } else if (!last || last[0] < time) points.push([time, price]);
    else return;
    if (this.plot) {
      this.plot.setData(columns(points));
      this.host.setAttribute('aria-label', summary(points));
    } else this.#draw();
  }

  close() {
    this.plot?.destroy();
    this.plot = undefined;
    this.answer = undefined;
    this.host.replaceChildren();
  }

  #draw() {
    this.plot?.destroy();
    this.plot = undefined;
    this.host.replaceChildren();
    const { points, opens_at: opens, closes_at: closes } = this.answer;
    this.host.setAttribute('role', 'img');
    this.host.setAttribute('aria-label', summary(points));
    if (points.length === 0) {
      this.host.append(element('p', { class: 'nothing', text: words('noLine') }));
      return;
    }
    const previous = this.previous;
    const last = points.at(-1)[1];
    const colour = colourOf(previous === undefined || last === previous ? '--quiet' : last > previous ? '--up' : '--down');
    const faint = colourOf('--line');
    const quiet = colourOf('--quiet');
    const isAlone = (data, place) => data[place] !== null && data[place - 1] == null && data[place + 1] == null;
    const dash = (plot) => {
      if (previous === undefined) return;
      const y = Math.round(plot.valToPos(previous, 'y', true));
      const { left, top, width, height } = plot.bbox;
      if (y < top || y > top + height) return;
      plot.ctx.save();
      plot.ctx.strokeStyle = quiet;
      plot.ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      plot.ctx.beginPath();
      plot.ctx.moveTo(left, y);
      plot.ctx.lineTo(left + width, y);
      plot.ctx.stroke();
      plot.ctx.restore();
    };
    const from = Math.min(minuteOf(opens ?? '09:00'), minuteOf(points[0][0]));
    const until = Math.max(minuteOf(closes ?? '15:30'), minuteOf(points.at(-1)[0]));
    const axis = { stroke: quiet, font: `11px ${family()}`, grid: { stroke: faint, width: 1 }, ticks: { show: false } };
    const options = {
      width: this.host.clientWidth || 320,
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 0, 0, 24],
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: () => [from, until] },
        y: {
          range: (_, low, high) => {
            const least = Math.min(low, previous ?? low);
            const most = Math.max(high, previous ?? high);
            const margin = Math.max(1, (most - least) * 0.08);
            return [least - margin, most + margin];
          },
        },
      },
      axes: [
        { ...axis, size: 24, splits: () => hours(from, until), values: (_, splits) => splits.map(timeOf) },
        { ...axis, side: 1, size: 58, space: 32, values: (_, splits) => splits.map((value) => (Number.isInteger(value) ? whole(value) : '')) },
      ],
      series: [
        {},
        {
          stroke: colour,
          width: 1.5,
          points: { show: true, size: 3, filter: (plot, _, isShown) => (isShown === false ? null : plot.data[1].flatMap((__, place) => (isAlone(plot.data[1], place) ? [place] : []))) },
        },
      ],
      hooks: { draw: [dash], setCursor: [(plot) => this.#tell(plot)] },
    };
    this.told = element('p', { class: 'told' });
    this.plot = new globalThis.uPlot(options, columns(points), this.host);
    this.host.append(this.told);
  }

  #tell(plot) {
    const { idx } = plot.cursor;
    const price = idx == null ? undefined : plot.data[1][idx];
    this.told.textContent = price == null ? '' : `${timeOf(plot.data[0][idx])}  ${whole(price)}`;
  }
}
