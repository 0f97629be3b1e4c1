// How an input looks when it is small: a picture, the values of a row, the line of an array.

import { brief, el, svg } from "./dom.js";
import { channelOf } from "./forecast.js";
import { structure } from "./molecules.js";
import { say } from "./words.js";

const FEW = 4;  // numbers that are shown as they are; more are drawn as a line
const MOST = 8;  // values of a row that are shown

/** A small view of an input; `alt` says what it is. */
export function thumb(input, alt) {
  const picture = input?.shown ?? (input?.image && `data:image/png;base64,${input.image.b64}`);
  if (picture) return el("img", { class: "thumb", alt, src: picture });
  if (input?.text !== undefined) return el("span", { class: "thumb values sentence", dir: "auto" }, input.text);
  if (input?.smiles) return structure(input.smiles, alt);
  if (input?.row) return valuesThumb(Object.values(input.row), alt, input);
  const few = input?.values?.length <= FEW && !Array.isArray(input.values[0]);
  if (few) return valuesThumb(input.values, alt, input);
  if (input?.series) return lineThumb(channelOf(input.series, 0), alt, input);
  if (input?.values) return lineThumb(input.values.flat(Infinity), alt, input);
  return el("span", { class: "thumb", role: "img", "aria-label": alt });
}

/** What an input holds, in words. */
export function describe(input) {
  if (input?.image || input?.shown) return say("input.picture");
  if (input?.text !== undefined) return input.text;
  if (input?.smiles) return input.smiles;
  if (input?.row) return Object.entries(input.row).map(([name, value]) => `${name} ${short(value)}`).join(", ");
  if (input?.series) return input.series.flat().slice(-MOST).map(short).join(", ");
  if (input?.values) return input.values.flat(Infinity).slice(0, MOST).map(short).join(", ");
  return say("input.nothing");
}

function short(value) {
  return value == null ? "–" : typeof value === "number" ? brief(value) : value;
}

function valuesThumb(values, alt, input) {
  const shown = values.slice(0, MOST).map((value) => el("span", {}, short(value)));
  return el("span", { class: "thumb values", role: "img", "aria-label": `${alt}: ${describe(input)}` }, shown);
}

const POINTS = 300;  // of a sketch, which is some hundred pixels wide

/** A long line, small: of values side by side the least and the greatest, so that no peak is lost. */
export function sketch(numbers, alt) {
  const [low, high] = numbers.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const each = Math.max(1, Math.ceil((2 * numbers.length) / POINTS));
  const points = [];
  for (let i = 0; i < numbers.length; i += each) {
    const part = numbers.slice(i, i + each);
    const kept = each === 1 ? part : [Math.min(...part), Math.max(...part)];
    kept.forEach((value, k) => points.push([(i + (k * each) / 2) / Math.max(1, numbers.length - 1), (value - low) / (high - low || 1)]));
  }
  const text = points.map(([x, y]) => `${(300 * x).toFixed(1)},${(58 - 56 * y).toFixed(1)}`).join(" ");
  const line = svg("polyline", { points: text, "vector-effect": "non-scaling-stroke" });
  return svg("svg", { class: "sketch", viewBox: "0 0 300 60", preserveAspectRatio: "none", role: "img", "aria-label": alt }, line);
}

/** A way in the plane, small, with one scale for both of its axes. */
export function waySketch(points, alt) {
  const [across, up] = [0, 1].map((k) => points.map((point) => point[k]));
  const [left, low] = [Math.min(...across), Math.min(...up)];
  const [wide, high] = [Math.max(...across) - left, Math.max(...up) - low];
  const scale = Math.max(wide / 290, high / 70) || 1;
  const text = points.map(([x, y]) =>
    `${(150 + (x - left - wide / 2) / scale).toFixed(1)},${(40 - (y - low - high / 2) / scale).toFixed(1)}`);
  return svg("svg", { class: "sketch way-sketch", viewBox: "0 0 300 80", role: "img", "aria-label": alt }, svg("polyline", { points: text.join(" ") }));
}

function lineThumb(numbers, alt, input) {
  const low = Math.min(...numbers);
  const range = Math.max(...numbers) - low || 1;
  const points = numbers.map((value, i) =>
    `${(4 + 40 * (i + 0.5) / numbers.length).toFixed(1)},${(42 - 36 * (value - low) / range).toFixed(1)}`);
  const line = svg("polyline", { points: points.join(" ") });
  const label = `${alt}: ${describe(input)}`;
  return svg("svg", { class: "thumb line", viewBox: "0 0 48 48", role: "img", "aria-label": label }, line);
}
