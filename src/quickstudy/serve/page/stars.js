// A rating as stars, one for each step of the scale; as a number where the scale has too many steps.

import { el, icon } from "./dom.js";
import { state } from "./state.js";
import { say } from "./words.js";

const MOST = 10;  // steps that are stars
const PAUSE = 350;  // milliseconds in which a choice may still move, as arrow keys make it
let names = 0;

/** The steps of the scale of the model, or null where they are too many. */
function stepsOf({ low, high }) {
  const step = Number.isInteger(low) ? 1 : 0.5;
  const n = (high - low) / step + 1;
  return Number.isInteger(n) && n <= MOST ? Array.from({ length: n }, (_, i) => low + i * step) : null;
}

/**
 * Stars to rate an item with.
 * @param {string} title of the item
 * @param {function(number): *} onrate takes the rating
 * @returns {{element: HTMLElement, set: function(?number)}}
 */
export function makeStars(title, onrate) {
  const { low, high } = state.model.items;
  const steps = stepsOf(state.model.items);
  if (!steps) return makeNumber(title, low, high, onrate);
  const name = `stars-${++names}`;
  let waiting = null;
  const choices = steps.map((value) => el("label", { title: say("rate.step", { value, high }) },
    el("input", { type: "radio", name, value, "aria-label": say("rate.step", { value, high }) }), icon("ratings")));
  const element = el("fieldset", {
    class: steps.length > 7 ? "stars many" : "stars",
    onchange: ({ target }) => {
      fill(Number(target.value));
      clearTimeout(waiting);
      waiting = setTimeout(() => onrate(Number(target.value)), PAUSE);
    },
  }, el("legend", { class: "unseen" }, say("rate.of", { title })), choices);
  const fill = (rating) => choices.forEach((choice, i) => choice.classList.toggle("full", rating != null && steps[i] <= rating));
  const set = (rating) => {
    if (element.contains(document.activeElement) && element.querySelector(":checked")) return fill(Number(element.querySelector(":checked").value));
    for (const input of element.querySelectorAll("input")) input.checked = Number(input.value) === rating;
    fill(rating);
  };
  return { element, set };
}

function makeNumber(title, low, high, onrate) {
  const element = el("input", {
    type: "number", class: "rating", min: low, max: high, step: "any", placeholder: say("rate.scale", { low, high }), "aria-label": say("rate.of", { title }),
    onchange: () => element.reportValidity() && element.value !== "" && onrate(element.valueAsNumber),
  });
  return { element, set: (rating) => document.activeElement !== element && (element.value = rating ?? "") };
}
