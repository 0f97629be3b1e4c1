// The switch between photos, drawings, texts, tables, series, ratings, molecules and numbers: in plain words, what the models take.

import { at } from "./api.js";
import { el, icon } from "./dom.js";
import { state, subscribe } from "./state.js";
import { say } from "./words.js";

const KINDS = ["photos", "drawings", "texts", "tables", "series", "ratings", "molecules", "numbers"];
const NAMED = {
  photos: () => say("kind.photos"),
  drawings: () => say("kind.drawings"),
  texts: () => say("kind.texts"),
  tables: () => say("kind.tables"),
  series: () => say("kind.series"),
  ratings: () => say("kind.ratings"),
  molecules: () => say("kind.molecules"),
  numbers: () => say("kind.numbers"),
};
const place = document.querySelector("#kinds");
const latest = new Map();  // of each kind, the model that was used last

/** What a person would call the inputs of a model. */
export function kindOf({ modality, drawings }) {
  if (modality === "pictures") return drawings ? "drawings" : "photos";
  return { texts: "texts", rows: "tables", series: "series", items: "ratings", molecules: "molecules", arrays: "numbers" }[modality];
}

/** The models that take the same kind of inputs. */
export function alike(model) {
  return state.models.filter((each) => kindOf(each) === kindOf(model));
}

/** Shows the kinds that are served, where there are several; `choose` opens a model. */
export function setUpKinds(choose) {
  const first = (kind) => latest.get(kind) ?? state.models.find((model) => kindOf(model) === kind);
  subscribe(() => {
    const now = kindOf(state.model);
    latest.set(now, state.model);
    const kinds = KINDS.filter(first);
    place.hidden = kinds.length < 2;
    if (place.children.length !== kinds.length) place.replaceChildren(...kinds.map(link));
    for (const each of place.children) {
      const { id } = first(each.dataset.kind);
      each.href = at(`/?${new URLSearchParams({ model: id })}`);
      each.toggleAttribute("aria-current", each.dataset.kind === now);
      if (each.dataset.kind === now) each.setAttribute("aria-current", "page");
    }
  });

  function link(kind) {
    const onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      if (kind !== kindOf(state.model)) choose(first(kind));
    };
    return el("a", { "data-kind": kind, href: ".", onclick }, icon(kind), el("span", {}, NAMED[kind]()));
  }
}
