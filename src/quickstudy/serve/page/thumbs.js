// How an input looks when it is small: a picture, the values of a row, the line of an array.

import { el, svg } from "./dom.js";

/** A small view of an input; `alt` says what it is. */
export function thumb(input, alt) {
  if (input?.image) return el("img", { class: "thumb", alt, src: `data:image/png;base64,${input.image.b64}` });
  if (input?.row) return rowThumb(input.row, alt);
  if (input?.values) return arrayThumb(input.values, alt);
  return el("span", { class: "thumb missing", role: "img", "aria-label": alt });
}

/** What an input holds, in words. */
export function describe(input) {
  if (input?.row) return Object.entries(input.row).map(([name, value]) => `${name} ${value ?? "missing"}`).join(", ");
  if (input?.values) return input.values.flat(Infinity).slice(0, 6).map((value) => +value.toPrecision(3)).join(", ");
  return "picture";
}

function rowThumb(row, alt) {
  const values = Object.values(row).slice(0, 8).map((value) => el("span", {}, value ?? "–"));
  return el("span", { class: "thumb values", role: "img", "aria-label": `${alt}: ${describe({ row })}` }, values);
}

function arrayThumb(values, alt) {
  const numbers = values.flat(Infinity);
  const low = Math.min(...numbers);
  const range = Math.max(...numbers) - low || 1;
  const points = numbers.map((value, i) =>
    `${(4 + 40 * (i + 0.5) / numbers.length).toFixed(1)},${(42 - 36 * (value - low) / range).toFixed(1)}`);
  const line = numbers.length > 1
    ? svg("polyline", { points: points.join(" ") })
    : svg("circle", { cx: 24, cy: 24, r: 4 });
  const label = `${alt}: ${describe({ values })}`;
  return svg("svg", { class: "thumb line", viewBox: "0 0 48 48", role: "img", "aria-label": label }, line);
}
