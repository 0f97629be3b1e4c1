// Tasks to go on with, shown where none is open yet.

import { ask } from "./api.js";
import { el, plural } from "./dom.js";
import { state, subscribe } from "./state.js";

const place = document.querySelector("#recent");
const SHOWN = 6;
let shown = null;  // the model whose tasks are listed

export function setUpRecent() {
  subscribe(() => {
    if (state.task) shown = null;
    else if (shown !== state.model) list((shown = state.model));
  });
}

async function list(model) {
  place.replaceChildren();
  const { value } = await ask("GET", `/v1/models/${encodeURIComponent(model.id)}/tasks`);
  if (shown !== model) return;
  const latest = value.tasks.sort((a, b) => b.update_time.localeCompare(a.update_time)).slice(0, SHOWN);
  if (!latest.length) return;
  const links = latest.map(({ id, display_name, examples }) => {
    const address = new URLSearchParams({ model: model.id, task: id });
    return el("li", {}, el("a", { class: "plain", href: `/?${address}` },
      display_name || "Untitled", el("small", {}, plural(examples.length, "example"))));
  });
  place.replaceChildren(el("h2", {}, "Go on with"), el("ul", { class: "actions" }, links));
}
