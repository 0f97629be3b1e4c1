// How an input looks when it is small: a picture, the values of a row, the line of an array.

import { brief, el, svg } from "./dom.js";
import { say } from "./words.js";

const FEW = 4;  // numbers that are shown as they are; more are drawn as a line
const MOST = 8;  // values of a row that are shown

/** A small view of an input; `alt` says what it is. */
export function thumb(input, alt) {
  const picture = input?.shown ?? (input?.image && `data:image/png;base64,${input.image.b64}`);
  if (picture) return el("img", { class: "thumb", alt, src: picture });
  if (input?.text !== undefined) return el("span", { class: "thumb values sentence", dir: "auto" }, input.text);
  if (input?.row) return valuesThumb(Object.values(input.row), alt, input);
  const few = input?.values?.length <= FEW && !Array.isArray(input.values[0]);
  if (few) return valuesThumb(input.values, alt, input);
  if (input?.values) return lineThumb(input, alt);
  return el("span", { class: "thumb", role: "img", "aria-label": alt });
}

/** What an input holds, in words. */
export function describe(input) {
  if (input?.image || input?.shown) return say("input.picture");
  if (input?.text !== undefined) return input.text;
  if (input?.row) return Object.entries(input.row).map(([name, value]) => `${name} ${short(value)}`).join(", ");
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

function lineThumb(input, alt) {
  const numbers = input.values.flat(Infinity);
  const low = Math.min(...numbers);
  const range = Math.max(...numbers) - low || 1;
  const points = numbers.map((value, i) =>
    `${(4 + 40 * (i + 0.5) / numbers.length).toFixed(1)},${(42 - 36 * (value - low) / range).toFixed(1)}`);
  const line = svg("polyline", { points: points.join(" ") });
  const label = `${alt}: ${describe(input)}`;
  return svg("svg", { class: "thumb line", viewBox: "0 0 48 48", role: "img", "aria-label": label }, line);
}
