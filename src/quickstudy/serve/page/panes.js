// Teach and Ask as two tabs where the window has room for one of them.

import { closeUnseen } from "./camera.js";
import { el } from "./dom.js";
import { isSeries } from "./forecast.js";
import { isItems, state, subscribe } from "./state.js";
import { say } from "./words.js";

const NARROW = matchMedia("(max-width: 59.99rem)");
const list = document.querySelector("#panes");
const panes = { teach: document.querySelector("#teach-pane"), ask: document.querySelector("#ask") };
const tabs = {};
let now = "teach";

export function setUpPanes() {
  const names = { teach: say("teach.title"), ask: say("ask.title") };
  for (const [name, pane] of Object.entries(panes)) {
    tabs[name] = el("button", {
      type: "button", role: "tab", id: `${name}-tab`, "aria-controls": pane.id, onclick: () => show(name),
    }, names[name], el("span", { class: "number", "aria-hidden": "true" }));
  }
  list.append(...Object.values(tabs));
  list.addEventListener("keydown", (event) => {
    const names = Object.keys(tabs);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const ends = { Home: 0, End: names.length - 1 }[event.key];
    if (step === undefined && ends === undefined) return;
    event.preventDefault();
    const to = names[ends ?? (names.indexOf(now) + step + names.length) % names.length];
    show(to);
    tabs[to].focus();
  });
  NARROW.addEventListener("change", () => show(now));
  subscribe(() => {
    const counts = { teach: state.task?.examples.length, ask: isItems() ? 0 : state.queries.length };
    for (const name of Object.keys(tabs)) tabs[name].lastChild.textContent = counts[name] || "";
    tabs.ask.firstChild.textContent = isSeries() ? say("ask.forecast") : isItems() ? say("list.title") : names.ask;
    tabs.teach.firstChild.textContent = isItems() ? say("rate.title") : names.teach;
  });
  show(now);
}

/** Shows the pane that holds an element, where only one is shown. */
export function reveal(element) {
  const name = Object.keys(panes).find((each) => panes[each].contains(element));
  if (name && name !== now) show(name);
}

function show(name) {
  now = name;
  list.hidden = !NARROW.matches;
  for (const [each, pane] of Object.entries(panes)) {
    const chosen = each === name;
    tabs[each].setAttribute("aria-selected", chosen);
    tabs[each].tabIndex = chosen ? 0 : -1;
    pane.classList.toggle("away", NARROW.matches && !chosen);
    for (const [attribute, value] of Object.entries({ role: "tabpanel", "aria-labelledby": `${each}-tab` })) {
      if (NARROW.matches) pane.setAttribute(attribute, value);
      else if (attribute === "role") pane.removeAttribute(attribute);
      else pane.setAttribute(attribute, `${each}-title`);
    }
  }
  closeUnseen();
}
