// Elements without markup in strings: text that comes from outside can only ever be text.

import { say } from "./words.js";

const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text in which marks that would turn the direction of reading are seen rather than followed. */
export function visible(text) {
  return text.replace(DIRECTIONS, (mark) => `⟨U+${mark.codePointAt().toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

const SPOKEN = new Set(["alt", "aria-label", "title"]);

/** Makes an element from attributes, `on*` listeners and children; false and null are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, SPOKEN.has(name) ? visible(value) : value);
  }
  const shown = children.flat(2).filter((child) => child != null);
  element.append(...shown.map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const ICONS = {
  cross: "M6 6l12 12M18 6L6 18",
  redo: "M15 14l5-5-5-5M20 9H10a5.5 5.5 0 0 0 0 11h4",
  undo: "M9 14L4 9l5-5M4 9h10a5.5 5.5 0 0 1 0 11h-4",
  eraser: "M4 20h16M6 16l9-11 5 4-8 11H8z",
  upload: "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4",
  photos: "M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7a3.5 3.5 0 0 0 0 7z",
  drawings: "M4 20c3-6 5 1 8-3M13 14l7-9 2 2-7 9-3 1z",
  texts: "M5 6h14M5 11h14M5 16h9",
  tables: "M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14",
  series: "M2 15l4-6 4 5 3-4M13 10l8-6M13 10l8 1M13 10l8 8",
  numbers: "M4 18l5-6 4 3 7-9M4 21h16",
  molecules: "M12 3l7.8 4.5v9L12 21l-7.8-4.5v-9zM12 7l4.3 2.5v5L12 17",
  ratings: "M12 3.5l2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9-4.3-4.1 5.9-.8z",
  turn: "M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5",
};

/** A button of a look. */
export function button(look, onclick, ...children) {
  return el("button", { type: "button", class: look, onclick }, ...children);
}

/** A button of an icon alone. */
export function tool(name, text, onclick) {
  return el("button", { type: "button", class: "tool", "aria-label": text, title: text, onclick }, icon(name));
}

/** A quiet paragraph. */
export function soft(text) {
  return el("p", { class: "soft" }, text);
}

/** A line drawing that says nothing to a screen reader. */
export function icon(name) {
  const shape = svg("path", { d: ICONS[name] });
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, shape);
}

/** Six shapes in four ways of filling, so that classes are not told apart by colour alone. */
const MARKS = [
  "M0-5a5 5 0 1 0 .01 0z",
  "M-4.6-4.6h9.2v9.2h-9.2z",
  "M0-5.8L5.6 4.2H-5.6z",
  "M0-6.2L6.2 0 0 6.2-6.2 0z",
  "M-1.9-5.6h3.8v3.7h3.7v3.8H1.9v3.7h-3.8V1.9h-3.7v-3.8h3.7z",
  "M0-6.2L5.9-1.9 3.6 5H-3.6L-5.9-1.9z",
];

const FILLINGS = ["full", "hollow", "holed", "dotted"];

/** The mark of a class by its number: no two of the first 24 are alike, nor are they without colour. */
export function mark(hue = 0) {
  const round = Math.floor(hue / MARKS.length);
  const [shape, filling] = [MARKS[hue % MARKS.length], FILLINGS[round % FILLINGS.length]];
  const dot = filling === "holed" || filling === "dotted" ? [svg("circle", { r: 1.9 })] : [];
  const look = `mark hue-${(hue + round) % MARKS.length} ${filling}`;
  return svg("g", { class: look }, svg("path", { d: shape }), ...dot);
}

/** A mark as an inline picture. */
export function inline(shape) {
  return svg("svg", { class: "mark-icon", viewBox: "-8 -8 16 16", "aria-hidden": "true" }, shape);
}

export function markIcon(hue) {
  return inline(mark(hue));
}

/** Makes the children of `parent` match `items`, keeping the elements whose key stays. */
export function keyed(parent, items, keyOf, make, update = () => {}) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, i) => {
    const key = String(keyOf(item));
    const child = old.get(key) ?? make(item);
    child.dataset.key = key;
    old.delete(key);
    update(child, item);
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
  for (const child of old.values()) child.remove();
}

/** Makes the children of a list be lines of text. */
export function list(parent, lines = []) {
  keyed(parent, lines, (line) => line, (line) => el("li", {}, line));
}

/** 0.934 as "93 %"; nothing certain is said of what is only nearly so. */
export function percent(fraction) {
  if (fraction > 0.995 && fraction < 1) return say("number.percent", { number: "> 99" });
  if (fraction > 0 && fraction < 0.005) return say("number.percent", { number: "< 1" });
  return say("number.percent", { number: Math.round(100 * fraction) });
}

/** A number, or several, with four digits. */
export function brief(value) {
  return [value].flat().map((each) => `${+each.toPrecision(4)}`.replace("-", "−")).join(", ");
}

/** Changes the text of a live region, which is spoken, only where it is another. */
export function speak(place, text) {
  const shown = visible(text);
  if (place.textContent !== shown) place.textContent = shown;
}

/** Shows a problem as an alert inside `place`, or takes it away. */
export function complain(place, problem) {
  if (!problem) return place.replaceChildren();
  const lines = Array.isArray(problem.detail) && el("ul", {}, problem.detail.map((line) => el("li", {}, line)));
  const text = el("div", {}, el("strong", {}, problem.title), lines || ` ${problem.detail ?? ""}`);
  const dismiss = button("quiet", () => place.replaceChildren(), icon("cross"));
  dismiss.setAttribute("aria-label", say("banner.dismiss"));
  return place.replaceChildren(el("div", { class: "alert", role: "alert" }, text, dismiss));
}
