// A forecast as a picture: the history, what follows it, how sure that is, and the naive forecast.

import { el, svg } from "./dom.js";
import { language, say } from "./words.js";

const HEIGHT = 300;  // pixels
const [TOP, RIGHT, BOTTOM] = [14, 14, 30];
const LETTER = 7;  // pixels of a digit, about
const MARKS = 5;  // numbers on an axis, about
const ROOM = 62;  // pixels of a time that is named
const DIGITS = 3;  // of the range, that a number is shown with

/**
 * @typedef {object} Forecast of one channel
 * @property {number[]} history in the order of time; the forecast follows its last value
 * @property {number[]} values that follow
 * @property {?number[]} low end of the interval of each; null where none is known
 * @property {?number[]} high
 * @property {{name: string, look: string, values: number[]}[]} naive the forecasts to compare with
 */

/** Numbers that divide a range as people would, from the first in it to the last. */
export function ticks(low, high, about = MARKS) {
  const rough = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const n = Math.floor(high / step + 1e-9) - first + 1;
  return { step, marks: Array.from({ length: n }, (_, i) => (first + i) * step) };
}

/** Writes numbers with as many decimals as a step between them needs. */
export function writer(step) {
  const decimals = Math.min(12, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  const format = new Intl.NumberFormat(language, { minimumFractionDigits: decimals, maximumFractionDigits: decimals, useGrouping: false });
  return (value) => format.format(Number(value.toFixed(decimals)) || 0).replace("-", "−");
}

/** Writes the values of a forecast: the digits that tell them apart. */
export function writerOf(numbers) {
  const [low, high] = ends(numbers);
  return writer((high - low || Math.abs(high) || 1) / 10 ** DIGITS * 2);
}

function ends(numbers) {
  return [Math.min(...numbers), Math.max(...numbers)];
}

/** A picture that is drawn anew whenever its width changes, so that its letters keep their size. */
function drawn(name, draw) {
  const plot = svg("svg", { class: "fan", role: "img", "aria-label": name });
  const holder = el("div", { class: "fan-frame" }, plot);
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const now = Math.round(contentRect.width);
    if (!now || now === width) return;
    width = now;
    const { height, parts } = draw(width);
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.replaceChildren(...parts);
  }).observe(holder);
  return holder;
}

function words(text, x, y, anchor = "end", look = "tick") {
  const element = svg("text", { class: look, x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

function line(look, x1, y1, x2, y2) {
  return svg("line", { class: look, x1, y1, x2, y2 });
}

function path(look, points) {
  return svg("polyline", { class: look, points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ") });
}

/** Where on a line of pixels the values of an axis are. */
function axis([low, high], [from, to]) {
  return (value) => from + (to - from) * (value - low) / (high - low || 1);
}

/**
 * The fan chart of one channel: time to the right, values upwards.
 * @param {Forecast} forecast
 * @param {number} season times of a season, 1 where there is none
 * @param {string} name for those who do not see it
 */
export function fanChart({ history, values, low, high, naive }, season, name) {
  const all = [...history, ...values, ...(low ?? []), ...(high ?? []), ...naive.flatMap((each) => each.values)];
  const [least, most] = ends(all);
  const margin = (most - least || Math.abs(most) || 1) * 0.06;
  const range = [least - margin, most + margin];
  const across = ticks(...range);
  const write = writer(across.step);
  const [first, last] = [1 - history.length, values.length];
  const now = history.at(-1);
  return drawn(name, (width) => {
    const left = 10 + LETTER * Math.max(...across.marks.map((each) => write(each).length));
    const [x, y] = [axis([first, last], [left, width - RIGHT]), axis(range, [HEIGHT - BOTTOM, TOP])];
    const points = (numbers, from) => numbers.map((value, i) => [x(from + i), y(value)]);
    const rows = across.marks.flatMap((each) =>
      [line("rule", left, y(each), width - RIGHT, y(each)), words(write(each), left - 7, y(each) + 4)]);
    const times = moments(first, last, season, (width - left) / ROOM).map((time) =>
      words(time ? signed(time) : say("fan.now"), x(time), HEIGHT - 9, "middle"));
    const shade = low && high
      ? [svg("polygon", { class: "shade", points: [...points([now, ...high], 0), ...points([now, ...low], 0).reverse()].map((each) => each.map((at) => at.toFixed(1)).join()).join(" ") })]
      : [];
    return {
      height: HEIGHT,
      parts: [
        ...rows, ...times, ...shade, line("now", x(0), TOP, x(0), HEIGHT - BOTTOM),
        ...naive.map((each) => path(each.look, points([now, ...each.values], 0))),
        path("past", points(history, first)), path("ahead", points([now, ...values], 0)),
        svg("circle", { class: "here", cx: x(0), cy: y(now), r: 3.2 }),
      ],
    };
  });
}

/** Times that are named, at most so many: seasons or round numbers from 0 on, which is now. */
function moments(first, last, season, most) {
  const round = [1, 10, 100, 1000, 10_000].flatMap((power) => [1, 2, 5].map((each) => each * power));
  const seasons = season > 1 ? round.map((each) => each * season) : [];
  const fits = (step) => (last - first) / step <= most;
  const step = seasons.find((each) => fits(each) && 3 * each <= last - first) ?? round.find(fits);
  const from = Math.ceil(first / step);
  return Array.from({ length: Math.floor(last / step) - from + 1 }, (_, i) => (from + i) * step);
}

function signed(time) {
  return `${time < 0 ? "−" : "+"}${Math.abs(time)}`;
}

/**
 * A way in the plane: the one that was gone, and the one that is expected.
 * @param {Forecast[]} channels two of them, across and upwards
 * @param {string} name for those who do not see it
 */
export function wayChart([across, up], name) {
  const both = (key) => (across[key] ? across[key].map((value, i) => [value, up[key][i]]) : []);
  const [history, values, low, high] = ["history", "values", "low", "high"].map(both);
  const naive = across.naive.map((each, k) => ({ ...each, points: each.values.map((value, i) => [value, up.naive[k].values[i]]) }));
  const all = [...history, ...values, ...low, ...high, ...naive.flatMap(({ points }) => points)];
  const spans = [0, 1].map((k) => ends(all.map((point) => point[k])));
  return drawn(name, (width) => {
    const left = 12 + LETTER * Math.max(...spans[1].map((each) => writer(ticks(...spans[1]).step)(each).length));
    const wide = width - RIGHT - left;
    const tall = 1.3 * wide * (spans[1][1] - spans[1][0]) / (spans[0][1] - spans[0][0] || 1e-9);
    const height = Math.round(Math.max(200, Math.min(420, TOP + BOTTOM + tall)));
    const room = [wide, height - TOP - BOTTOM];
    // One scale for both, so that directions are true.
    const scale = Math.max(...spans.map(([a, b], k) => (1.1 * (b - a) || 1e-9) / room[k]));
    const [x, y] = spans.map(([a, b], k) => {
      const half = scale * room[k] / 2;
      return { range: [(a + b) / 2 - half, (a + b) / 2 + half], pixels: k ? [height - BOTTOM, TOP] : [left, width - RIGHT] };
    });
    const [toX, toY] = [axis(x.range, x.pixels), axis(y.range, y.pixels)];
    const at = (points) => points.map(([a, b]) => [toX(a), toY(b)]);
    const [marksX, marksY] = [ticks(...x.range, Math.max(2, room[0] / 90)), ticks(...y.range)];
    const grid = [
      ...marksY.marks.flatMap((each) => [line("rule", left, toY(each), width - RIGHT, toY(each)), words(writer(marksY.step)(each), left - 7, toY(each) + 4)]),
      ...marksX.marks.flatMap((each) => [line("rule", toX(each), TOP, toX(each), height - BOTTOM), words(writer(marksX.step)(each), toX(each), height - 9, "middle")]),
    ];
    const shades = low.map(([a, b], i) => {
      const [[x1, y1], [x2, y2]] = at([[a, b], high[i]]);
      return svg("ellipse", { class: "shade", cx: (x1 + x2) / 2, cy: (y1 + y2) / 2, rx: Math.abs(x2 - x1) / 2, ry: Math.abs(y2 - y1) / 2 });
    });
    const now = history.at(-1);
    const dots = (look, points) => at(points).map(([cx, cy]) => svg("circle", { class: look, cx, cy, r: 2.6 }));
    return {
      height,
      parts: [
        ...grid, ...shades,
        ...naive.map((each) => path(each.look, at([now, ...each.points]))),
        path("past", at(history)), ...dots("step", history),
        path("ahead", at([now, ...values])), ...dots("step ahead", values),
        svg("circle", { class: "here", cx: toX(now[0]), cy: toY(now[1]), r: 4.5 }),
      ],
    };
  });
}

/** What the lines of a picture are; `interval` is the name of the shade, where there is one. */
export function legend(naive, interval) {
  const sample = (look) => svg("svg", { class: "key", viewBox: "0 0 26 12", "aria-hidden": "true" },
    look === "shade" ? svg("rect", { class: look, width: 26, height: 12, rx: 2 }) : line(look, 0, 6, 26, 6));
  const items = [["past", say("fan.history")], ["ahead", say("fan.forecast")],
    ...(interval ? [["shade", interval]] : []), ...naive.map(({ look, name }) => [look, name])];
  return el("ul", { class: "legend" }, items.map(([look, name]) => el("li", {}, sample(look), name)));
}
