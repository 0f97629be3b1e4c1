// What a user rated, what the model would ask about, and a search of the catalogue.

import { ask } from "./api.js";
import { notice } from "./banners.js";
import { button, complain, el, icon, keyed } from "./dom.js";
import { makeStars } from "./stars.js";
import { changed, isItems, modelPath, state, taskPath } from "./state.js";
import { addExamples, relabel, removeExample, rollback } from "./task.js";
import { say } from "./words.js";

const FOUND = 8;  // items that a search shows
const FIRST = 5;  // questions to a new user
const MORE = 3;  // questions to one who has answered these
const PAUSE = 180;  // milliseconds without typing after which is searched
const titles = new Map();  // of items, as far as they were seen
let asked = { model: null, task: null, items: [] };  // what the model would ask about
let picked = [];  // what was found and is not rated yet

/** The ratings, the latest first. */
function ratings() {
  const known = (task) => task.examples.filter(({ id }) => state.inputs.has(id));
  return (state.task ? known(state.task) : []).map(({ id, label }) => {
    const { item, title = titles.get(item) ?? item } = state.inputs.get(id);
    return { id, item, title, label };
  }).reverse();
}

/** The card of a user's ratings. */
export function makeRatings() {
  const alerts = el("div", { class: "alerts" });
  const wanted = el("ul", { class: "items" });
  const own = el("ul", { class: "items" });
  const about = [el("h3", {}, say("rate.asked")), el("h3", {}, say("rate.own"))];
  const attempt = (work) => {
    complain(alerts, null);
    return work.catch((problem) => complain(alerts, problem));
  };
  const search = makeSearch(pick, attempt);
  const card = el("section", { class: "card class-card ratings" },
    search.element, alerts, about[0], wanted, about[1], own);

  card.show = () => {
    const rated = ratings();
    const done = new Set(rated.map(({ item }) => item));
    const questions = asked.model === state.model ? asked.items : [];
    picked = picked.filter(({ item, model }) => model === state.model && !done.has(item));
    const chosen = new Set(picked.map(({ item }) => item));
    const open = [...picked, ...questions.filter(({ item }) => !done.has(item) && !chosen.has(item))];
    keyed(wanted, open, ({ item }) => item, makeRow, (row, each) => row.show(each));
    keyed(own, rated, ({ id }) => id, makeRow, (row, each) => row.show(each));
    about[0].hidden = !open.length;
    about[1].hidden = !rated.length;
    attempt(replenish(open.length > picked.length));
  };
  return card;

  /** One item with its stars; of one that is rated, a way to take that back. */
  function makeRow(each) {
    let now = each;
    const stars = makeStars(each.title, (value) => attempt(rate(now, value, row)));
    const remove = each.id ? button("quiet remove", () => attempt(drop(now)), icon("cross")) : null;
    remove?.setAttribute("aria-label", say("rate.remove", each));
    const row = el("li", { "data-item": each.item }, el("span", { class: "title", dir: "auto" }, each.title), stars.element, remove);
    row.show = (item) => {
      now = item;
      stars.set(item.label);
    };
    return row;
  }

  async function rate({ id, item, label }, value, row) {
    if (value === label) return;
    const next = row.nextElementSibling ?? row.previousElementSibling;
    const held = row.contains(document.activeElement);
    if (id) await relabel(id, value);
    else await addExamples(null, [{ item, label: value }]);
    if (id || !held || document.activeElement !== document.body) return;
    (next?.isConnected ? next.querySelector("input") : search.box).focus({ preventScroll: true });
  }

  async function drop({ id, title }) {
    const before = state.task.revision;
    if (!(await removeExample(id))) return;
    notice(say("rate.removed", { title }), () => rollback(before));
    if (document.activeElement === document.body) search.box.focus({ preventScroll: true });
  }

  function pick(found) {
    const there = card.querySelector(`[data-item="${CSS.escape(found.item)}"]`);
    if (!there) {
      picked = [{ ...found, model: state.model }, ...picked];
      changed();
    }
    const row = there ?? card.querySelector(`[data-item="${CSS.escape(found.item)}"]`);
    (row.querySelector("input:checked") ?? row.querySelector("input")).focus();
  }
}

/** Asks what to ask about, at first and once all of that is rated. */
async function replenish(left) {
  const { model, task } = state;
  if (!isItems() || (asked.model === model && (left || !task || task.state !== "READY" || asked.task === task.id + task.examples.length))) return;
  const begins = asked.model !== model;
  const n = begins ? FIRST : MORE;
  asked = { model, task: begins || !task ? null : task.id + task.examples.length, items: begins ? [] : asked.items };
  const { value } = await ask("POST", `${begins ? modelPath() : taskPath()}:questions`, { json: { n } });
  if (asked.model !== model) return;
  asked.items = remembered(value.items);
  changed();
}

/** Items as they are, with their titles kept. */
export function remembered(items) {
  for (const { item, title } of items) titles.set(item, title);
  return items;
}

/** A box to type in, and under it the items that hold these words. */
function makeSearch(pick, attempt) {
  const list = el("ul", { id: "found", class: "found card", role: "listbox", "aria-label": say("rate.found"), hidden: true });
  const none = el("p", { class: "soft", role: "status" });
  const box = el("input", {
    role: "combobox", "aria-expanded": "false", "aria-controls": "found", "aria-autocomplete": "list", autocomplete: "off",
    spellcheck: "false", "aria-label": say("rate.search"), placeholder: say("rate.search"), dir: "auto",
  });
  let [items, at, turn, waiting] = [[], 0, 0, null];

  const show = (found) => {
    items = found;
    at = 0;
    list.replaceChildren(...items.map((each, i) => el("li", {
      role: "option", id: `found-${i}`,
      onmousemove: () => i !== at && ((at = i), mark()),
      onmousedown: (event) => event.preventDefault(),  // the box keeps the focus
      onclick: () => take(each),
    }, el("span", { dir: "auto" }, each.title), el("small", {}, say("rate.known", { n: each.n_ratings })))));
    list.hidden = !items.length;
    box.setAttribute("aria-expanded", !list.hidden);
    mark();
  };
  const mark = () => {
    [...list.children].forEach((option, i) => option.setAttribute("aria-selected", i === at));
    if (items.length) box.setAttribute("aria-activedescendant", `found-${at}`);
    else box.removeAttribute("aria-activedescendant");
    list.children[at]?.scrollIntoView({ block: "nearest" });
  };
  const take = (item) => {
    box.value = "";
    show([]);
    pick(item);
  };
  const find = async () => {
    const [title, mine] = [box.value.trim(), ++turn];
    const query = `?${new URLSearchParams({ title, page_size: FOUND })}`;
    const found = title ? (await ask("GET", `${modelPath()}/items${query}`)).value.items : [];
    if (mine !== turn) return;
    none.textContent = title && !found.length ? say("rate.none", { title }) : "";
    show(remembered(found));
  };
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => attempt(find()), PAUSE);
  });
  box.addEventListener("blur", () => show([]));
  box.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && items.length) {
      event.preventDefault();
      at = (at + step + items.length) % items.length;
      mark();
    } else if (event.key === "Enter" && items.length) {
      event.preventDefault();
      take(items[at]);
    } else if (event.key === "Escape") show([]);
  });
  return { box, element: el("div", { class: "search" }, box, list, none) };
}
