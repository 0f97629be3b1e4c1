// The verdict where it is seen first: above what is taught and asked.

import { button, el, speak } from "./dom.js";
import { reveal } from "./panes.js";
import { isItems, isRegression, state, subscribe } from "./state.js";
import { verdictOf } from "./verdict.js";
import { say } from "./words.js";

const panel = document.querySelector("#verdict");
const place = document.querySelector("#verdict-text");
const go = document.querySelector("#verdict-go");
let shown = {};

export function setUpVerdict() {
  subscribe(() => {
    const { task, quality } = state;
    if (!task || (shown.task === task && shown.quality === quality)) return;
    shown = { task, quality };
    const waits = task.state === "READY" && !quality;
    panel.toggleAttribute("aria-busy", waits);
    if (!waits) show(verdictOf(isRegression() ? [] : state.classes, quality && isItems() ? { ...quality, ratings: task.examples.length } : quality));
    else if (!place.textContent) speak(place, say("verdict.waiting"));
  });
}

function show({ tone, can, sure, next, label }) {
  panel.dataset.tone = tone;
  const lines = [el("p", { class: "can" }, can), sure ? el("p", { class: "soft" }, sure) : null,
    el("p", { class: "next" }, el("b", {}, say("verdict.next")), ` ${next}`)];
  const text = el("div", {}, lines);
  if (text.textContent !== place.textContent) place.replaceChildren(text);
  go.replaceChildren(label === undefined ? "" : button("plain small", () => goTo(label), say("verdict.go", { label })));
}

/** Leads to the card of a class. */
function goTo(label) {
  const card = document.querySelector(`[data-label="${CSS.escape(label)}"]`);
  reveal(card);
  card.scrollIntoView({ block: "nearest" });
  card.querySelector(".gather :is(.pad, button, textarea, input)").focus({ preventScroll: true });
}
