// How good the model is by its own examples, and which of them look wrong.

import { fail } from "./banners.js";
import { button, el, markIcon, percent, soft } from "./dom.js";
import { goTo, showExample } from "./example.js";
import { isSeries } from "./forecast.js";
import { hueOf, isItems, isRegression, state, subscribe } from "./state.js";
import { relabel } from "./task.js";
import { thumb } from "./thumbs.js";
import { say } from "./words.js";

const panel = document.querySelector("#quality");
const doubts = document.querySelector("#doubts");
let shown = {};

export function setUpQuality() {
  subscribe(() => {
    const { quality, task } = state;
    if (isSeries() || isItems()) return;  // its test is in the verdict
    if (shown.quality === quality && shown.task === task) return;
    shown = { quality, task };
    panel.replaceChildren(...estimate(quality));
    doubts.parentElement.hidden = isRegression();
    doubts.replaceChildren(...lookAtThese(quality));
  });
}

function estimate(quality) {
  if (!quality) return [soft(say("quality.none"))];
  if (quality.value == null) return [soft(capital(quality.reason))];
  const { metric, value, low, high, n, folds, warning } = quality;
  const share = metric === "accuracy";
  const text = share ? percent : (number) => number.toPrecision(3);
  const unit = share ? say("quality.right") : say("quality.squared_error");
  const parts = [
    el("p", { class: "figure" }, text(value), el("small", {}, unit)),
    soft(say("quality.interval", { low: text(low), high: text(high), n, folds })),
  ];
  if (share) parts.splice(1, 0, intervalBar(value, low, high));
  if (warning) parts.push(soft(capital(warning)));
  return parts;
}

function intervalBar(value, low, high) {
  const bar = el("div", { class: "interval", "aria-hidden": "true" }, el("span"), el("i"));
  for (const [name, at] of Object.entries({ value, low, high })) bar.style.setProperty(`--${name}`, at);
  return bar;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function lookAtThese(quality) {
  const found = (quality?.suspicious ?? []).slice(0, 5);
  if (!found.length) return [soft(quality?.value == null ? say("doubts.not_yet") : say("doubts.none"))];
  return [soft(say("doubts.lead")), el("ol", { class: "doubts" }, found.map(doubt))];
}

function doubt({ id, label, probability, suggested }) {
  const open = button("open", () => showExample(id), thumb(state.inputs.get(id), ""));
  open.dataset.doubt = id;
  open.setAttribute("aria-label", say("doubts.example", { id, label }));
  const text = el("span", {}, el("span", { class: "named" }, markIcon(hueOf(label)), label),
    el("small", {}, say("doubts.likely", { percent: percent(probability) })));
  const move = () => relabel(id, suggested).then(() => goTo(id, suggested), fail);
  const better = suggested && suggested !== label;
  return el("li", {}, open, text, better ? button("plain small", move, say("doubts.move", { label: suggested })) : null);
}
