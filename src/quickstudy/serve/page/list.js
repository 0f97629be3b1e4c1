// What is recommended: the ranked list, what moved in it, its reasons, and what everybody gets.

import { ask } from "./api.js";
import { fail } from "./banners.js";
import { button, el, icon, keyed, speak, svg } from "./dom.js";
import { remembered } from "./rate.js";
import { isItems, modelPath, state, subscribe } from "./state.js";
import { say } from "./words.js";

const SHOWN = 10;  // items of the list at first
const REASONS = 5;  // ratings that are named; the others are summed
const NOTABLE = 0.02;  // of a rating's share, from which on it is why an item is there
const about = document.querySelector("#ranked-about");
const list = document.querySelector("#ranked");
const more = document.querySelector("#ranked-more");
const moved = document.querySelector("#moved");
const everybody = document.querySelector("#everybody");
let popular = { model: null, items: [] };  // what everybody gets who has rated nothing
let drawn = null;
let shown = SHOWN;

export function setUpList() {
  subscribe(() => {
    if (!isItems()) return;
    if (popular.model !== state.model) start().catch(fail);
    if (drawn === (state.recommended ?? popular)) return;
    if (!drawn?.of || drawn.of !== state.recommended?.of) shown = SHOWN;
    drawn = state.recommended ?? popular;
    show();
  });
}

async function start() {
  const { model } = state;
  popular = { model, items: [] };
  const { value } = await ask("GET", `${modelPath()}/items?page_size=${SHOWN}`);
  if (popular.model !== model) return;
  popular = { model, items: remembered(value.items) };
  show();
}

function show() {
  const { recommendations = [], by_mean = popular.items, before = null } = state.recommended ?? {};
  const top = recommendations.slice(0, shown);
  const mine = new Set(recommendations.slice(0, SHOWN).map(({ item }) => item));
  const shared = by_mean.slice(0, SHOWN).filter(({ item }) => mine.has(item)).length;
  about.replaceChildren(el("p", { class: "soft" }, top.length ? say("list.lead", { n: shared, shown: Math.min(SHOWN, top.length) }) : say("list.none")));
  remembered(recommendations);
  keyed(list, top, ({ item }) => item, makeRow, (row, each) => row.show(each, before));
  const rest = recommendations.length - top.length;
  more.replaceChildren(rest > 0 ? button("plain small", () => ((shown += SHOWN), show()), say("list.more")) : "");
  everybody.replaceChildren(...by_mean.slice(0, SHOWN).map(({ item, title, mean }) => {
    const too = mine.has(item) ? el("span", { class: "too" }, say("list.too")) : null;
    return el("li", {}, el("span", { dir: "auto" }, title), too, el("b", {}, fixed(mean)));
  }));
  speak(moved, top.length ? say("list.first", { title: top[0].title, n: top.filter((each) => moveOf(each, before) > 0).length }) : "");
}

/** By how many places an item went up; infinitely many where it was in no list; null where there was none. */
function moveOf({ item, place }, before) {
  return before && (before.get(item) ?? Infinity) - place;
}

function makeRow({ item, title }) {
  const number = el("span", {});
  const move = el("span", {});
  const soft = el("p", { class: "soft" });
  const rating = el("div", { class: "expected" });
  const why = el("details", { class: "fold why" });
  const row = el("li", { "data-item": item }, el("div", { class: "place" }, number, move),
    el("div", { class: "what" }, el("h3", { dir: "auto" }, title), soft), rating, why);
  row.show = (each, before) => {
    const by = moveOf(each, before);
    number.textContent = each.place;
    soft.textContent = say("list.about", { mean: brief(each.mean), n: each.n_ratings, place: each.place_by_mean });
    rating.replaceChildren(...expected(each));
    move.className = `move ${by > 0 ? "up" : by < 0 ? "down" : ""}`;
    move.replaceChildren(...(by ? moveText(by) : []));
    const open = why.open;
    why.replaceChildren(...reasons(each));
    why.open = open;
  };
  return row;
}

function moveText(by) {
  const places = Math.abs(by);
  if (places === Infinity) return [say("list.new")];
  const spoken = by > 0 ? say("list.up", { n: places }) : say("list.down", { n: places });
  return [el("span", { "aria-hidden": "true" }, `${by > 0 ? "▲" : "▼"} ${places}`), el("span", { class: "unseen" }, spoken)];
}

/** The rating that is expected, and how sure that is: a band on the scale. */
function expected({ rating, low, high, mean }) {
  const { low: least, high: most } = state.model.items;
  const of = (value) => 100 * (Math.min(Math.max(value, least), most) - least) / (most - least);
  const band = low === null ? [] : [svg("rect", { class: "band", x: of(low), y: 3, width: of(high) - of(low), height: 6 })];
  const scale = svg("svg", { class: "scale", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", x: 0, y: 5, width: 100, height: 2 }), ...band,
    svg("rect", { class: "everybody", x: of(mean) - 0.6, y: 1, width: 1.2, height: 10 }),
    svg("rect", { class: "yours", x: Math.min(of(rating), 98) - 1, y: 0, width: 3, height: 12 }));
  const between = low === null ? say("list.unsure") : say("list.between", { low: brief(low), high: brief(high) });
  return [el("b", {}, icon("ratings"), brief(rating)), scale, el("small", {}, between)];
}

/** The sum that an expected rating is: the mean, what is expected of anybody, and the part of each rating. */
function reasons({ mean, start, score, because }) {
  if (!because) return [el("summary", {}, say("list.why")), el("p", { class: "soft" }, say("list.no_reasons"))];
  const [first] = because;
  const summary = first?.value > NOTABLE ? say("list.because", { title: first.title, label: brief(first.label), high: brief(state.model.items.high) }) : say("list.why");
  const strongest = [...because].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const named = strongest.slice(0, REASONS).sort((a, b) => b.value - a.value);
  const others = strongest.slice(REASONS);
  const parts = [[say("list.anybody"), start], ...named.map(({ title, label, value }) => [say("list.rated", { title, label: brief(label) }), value])];
  if (others.length) parts.push([say("list.others", { n: others.length }), others.reduce((sum, { value }) => sum + value, 0)]);
  const full = Math.max(...parts.map(([, value]) => Math.abs(value)), Number.MIN_VALUE);
  const lines = parts.map(([name, value]) => part(name, value, value / full));
  const whole = (name, value) => el("li", { class: "whole" }, el("span", {}, name), el("b", {}, fixed(value)));
  const { high, low } = state.model.items;
  const cut = score > high || score < low ? [el("li", { class: "soft" }, say("list.cut", { low, high }))] : [];
  return [el("summary", { dir: "auto" }, summary), el("ul", { class: "sum" }, whole(say("list.mean"), mean), lines, whole(say("list.sum"), score), cut)];
}

/** One part of the sum, with a bar to the right where it adds and to the left where it takes away. */
function part(name, value, share) {
  const look = { class: share < 0 ? "pull against" : "pull", viewBox: "-1 0 2 1", preserveAspectRatio: "none", "aria-hidden": "true" };
  const bar = svg("rect", { x: Math.min(0, share), y: 0.2, width: Math.abs(share), height: 0.6 });
  const sign = Number(fixed(Math.abs(value))) === 0 ? "" : value < 0 ? "−" : "+";
  return el("li", {}, el("span", { dir: "auto" }, name), svg("svg", look, bar), el("small", {}, `${sign}${fixed(Math.abs(value))}`));
}

function brief(value) {
  return `${Math.round(10 * value) / 10}`;
}

function fixed(value) {
  return value.toFixed(2);
}
