// The words of a text that spoke for an answer or against it, marked in the text.

import { el } from "./dom.js";

const STRONG = 2 / 3;  // part of the strongest word's weight from which on a word is strong
const WEAK = 1 / 4;  // and below which it is not marked

/**
 * A text with its words marked.
 * @param {string} text as far as it was read
 * @param {{start: number, end: number, value: ?number}[]} words where each stands, and what it changes
 */
export function wordsThatSpoke({ text, words }) {
  const letters = [...text];  // places are counted in characters, not in UTF-16
  const full = Math.max(...words.map(({ value }) => Math.abs(value ?? 0)));
  const parts = [];
  let at = 0;
  for (const { start, end, value } of words) {
    const part = full && value != null ? Math.abs(value) / full : 0;
    if (part < WEAK) continue;
    const look = `${value < 0 ? "against" : "for"} ${part > STRONG ? "strong" : "some"}`;
    const title = `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
    parts.push(letters.slice(at, start).join(""), el("mark", { class: look, title }, letters.slice(start, end).join("")));
    at = end;
  }
  return el("p", { class: "spoke", dir: "auto" }, ...parts, letters.slice(at).join(""));
}
