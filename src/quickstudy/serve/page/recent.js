// Tasks to go on with, shown where none is open yet.

import { ask, at } from "./api.js";
import { el } from "./dom.js";
import { isItems, modelPath, state, subscribe } from "./state.js";
import { language, say } from "./words.js";

const place = document.querySelector("#recent");
const SHOWN = 4;
const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"]];
let shown = null;  // the model whose tasks are listed

export function setUpRecent() {
  subscribe(() => {
    if (state.task) shown = null;
    else if (shown !== state.model) list((shown = state.model));
  });
}

async function list(model) {
  place.replaceChildren();
  const { value } = await ask("GET", `${modelPath()}/tasks`);
  if (shown !== model) return;
  const latest = value.tasks.sort((a, b) => b.update_time.localeCompare(a.update_time)).slice(0, SHOWN);
  if (!latest.length) return;
  const links = latest.map(({ id, display_name, examples, update_time }) => {
    const address = new URLSearchParams({ model: model.id, task: id });
    return el("li", {}, el("a", { class: "plain", href: at(`/?${address}`) }, display_name || say("recent.untitled"),
      el("small", {}, about({ n: examples.length, ago: ago(update_time) }))));
  });
  place.replaceChildren(el("h2", {}, say("recent.title")), el("ul", { class: "actions" }, links));
}

function about(values) {
  return isItems() ? say("recent.ratings", values) : say("recent.about", values);
}

function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  const [length, unit] = UNITS.find(([length]) => seconds >= length) ?? [60, "minute"];
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-Math.floor(seconds / length), unit);
}
