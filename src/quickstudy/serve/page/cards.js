// Class cards: a name, a way to add examples, and the examples.

import { notice } from "./banners.js";
import { brief, button, complain, el, icon, keyed, list, markIcon, visible } from "./dom.js";
import { dropExample, showExample } from "./example.js";
import { channelOf, isSeries, isWay, taughtHistory } from "./forecast.js";
import { acceptDrops, makeGather } from "./gather.js";
import { Unreadable } from "./inputs.js";
import { isMolecules } from "./molecules.js";
import { reveal } from "./panes.js";
import { makeRatings } from "./rate.js";
import { newer } from "./series.js";
import { examplesOf, hueOf, isItems, isRegression, state, subscribe } from "./state.js";
import { addClass, addExamples, addHistory, plainName, removeClass, renameClass, rollback } from "./task.js";
import { sketch, thumb, waySketch } from "./thumbs.js";
import { say } from "./words.js";

const grid = document.querySelector("#classes");
const more = document.querySelector("#add-class");
const alerts = document.querySelector("#class-alerts");
const notes = document.querySelector("#class-notes");
let shown = null;  // the model that the cards are for

export function setUpCards() {
  more.addEventListener("click", add);
  subscribe(() => {
    if (shown !== state.model) grid.replaceChildren();
    shown = state.model;
    more.hidden = isRegression() || isMolecules();
    list(notes, state.task?.notes);
    keyed(grid, state.classes, ({ key }) => key, isItems() ? makeRatings : makeCard, (card, item) => card.show(item));
  });
}

async function add() {
  const named = (n) => say("class.untitled", { n });
  let n = state.classes.length + 1;
  while (hueOf(named(n)) !== undefined) n++;
  try {
    complain(alerts, null);
    await addClass(named(n));
    const name = grid.lastElementChild.querySelector(".name");
    name.focus();
    name.select();
  } catch (problem) {
    complain(alerts, problem);
  }
}

function makeCard(item) {
  let now = item;
  const mark = el("span", { class: "class-mark" });
  const name = el("textarea", {
    class: "name", dir: "auto", rows: 1, maxlength: 200, spellcheck: "false", autocomplete: "off",
  });
  const hidden = el("small", { class: "hidden-marks" });
  const count = el("span", { class: "count" });
  const examples = el("ul", { class: "examples", "data-hint": say("example.drop") });
  const alerts = el("div", { class: "alerts" });
  const attempt = (work) => {
    complain(alerts, null);
    return work.catch((problem) => complain(alerts, problem));
  };

  const rename = async () => {
    const to = plainName(name.value.replace(/\s+/g, " "));
    if (!to || to === now.label) return void (name.value = now.label);
    await attempt(renameClass(now.label, to));
    name.value = now.label;
  };
  name.addEventListener("change", rename);
  name.addEventListener("keydown", (event) => {
    if (event.key === "Escape") name.value = now.label;
    if (event.key === "Enter") event.preventDefault(), rename();
  });
  name.addEventListener("input", fit);
  name.addEventListener("focus", () => name.select());  // as a field of one line is by Tab
  /** As high as its lines, which depend on its width; nothing can be said of one that is not shown. */
  function fit() {
    name.style.height = "auto";
    if (name.scrollHeight) name.style.height = `${name.scrollHeight}px`;
  }
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width !== width) requestAnimationFrame(fit);
    width = contentRect.width;
  }).observe(name);

  const remove = button("quiet remove", () => attempt(removeAll()), icon("cross"));
  const removeAll = async () => {
    const { label, shots } = now;
    const before = state.task?.revision;
    const next = card.nextElementSibling ?? card.previousElementSibling;
    if (!(await removeClass(label))) return;
    (next?.querySelector(".name") ?? more).focus();
    const undo = shots && (() => rollback(before));
    notice(shots ? say("class.removed_with", { label, n: shots }) : say("class.removed", { label }), undo);
  };

  const gather = makeGather({
    label: isSeries() ? say("series.history") : say("example.new"),
    verb: isSeries() ? say("series.learn") : say("example.add"),
    alerts,
    valued: isRegression(),
    onInputs: async (inputs) => {
      if (isSeries()) return learn(inputs[0].series);
      const added = await addExamples(now.label, inputs);
      const n = new Set(inputs.map(({ label }) => label).filter((label) => label !== undefined)).size;
      const classes = say("count.classes", { n });
      if (added && n && !isRegression()) notice(say("texts.added", { n: inputs.length, classes }));
      return added;
    },
  });
  const body = el("div", { class: "card-body" }, gather.element, examples);
  const head = el("header", {},
    isRegression() ? [el("h3", {}, titleOfValues()), count] : [mark, name, count, remove]);
  const card = el("section", { class: "card class-card" }, head, hidden, body, alerts);
  acceptDrops(card, gather.take);

  card.show = (item) => {
    now = item;
    card.dataset.label = item.label;
    card.setAttribute("aria-label", isRegression() ? titleOfValues() : visible(say("class.card", item)));
    card.classList.toggle("empty", item.shots === 0);
    mark.replaceChildren(markIcon(hueOf(item.label)));
    if (document.activeElement !== name) name.value = item.label ?? "";
    requestAnimationFrame(fit);
    const marked = item.label != null && visible(item.label) !== item.label;
    hidden.textContent = marked ? say("class.hidden_marks", { name: visible(item.label) }) : "";
    name.setAttribute("aria-label", visible(say("class.name", item)));
    remove.setAttribute("aria-label", visible(say("class.remove", item)));
    count.textContent = item.shots ? say("count.examples", { n: item.shots }) : isSeries() ? say("series.empty") : say("class.empty");
    gather.show();
    if (isSeries()) return showHistory(item);
    keyed(examples, examplesOf(item.label), keyOfExample, makeExample);
  };
  return card;

  /** The whole history that was taught, small. */
  function showHistory({ shots }) {
    const history = taughtHistory();
    if (!history.length) return examples.replaceChildren();
    count.textContent = say("series.taught", { n: history.length, windows: say("series.windows", { n: shots }) });
    const values = channelOf(history, 0);
    if (examples.dataset.length === String(values.length)) return;
    examples.dataset.length = values.length;
    const name = say("series.whole", { n: values.length });
    examples.replaceChildren(el("li", {}, isWay() ? waySketch(history, name) : sketch(values, name)));
  }

  function makeExample({ id, label }) {
    const { smiles, text = smiles } = state.inputs.get(id) ?? {};
    const example = text === undefined ? say("example.of", { id, label }) : say("example.text", { text });
    const open = el("button", {
      type: "button", "data-example": id, "aria-label": say("example.open", { example }),
      onclick: () => showExample(id),
      onkeydown: (event) => {
        if (event.key !== "Delete") return;
        const next = holder.nextElementSibling ?? holder.previousElementSibling;
        attempt(dropExample(id)).then(() => (next?.firstChild ?? name).focus());
      },
    }, thumb(state.inputs.get(id), example), isRegression() ? el("small", {}, brief(label)) : null);
    const holder = el("li", {}, open);
    return holder;
  }
}

function titleOfValues() {
  return isSeries() ? say("series.history") : say("teach.examples");
}

/** Teaches a history; of one that goes on from what is known, the part that is new. */
async function learn(pasted) {
  const { lags, horizon } = state.model.series;
  const known = taughtHistory();
  const rest = known.length ? newer(known, pasted, lags) : pasted;
  if (!rest.length) throw new Unreadable(say("series.known"), say("series.known_detail"));
  const before = known.slice(-(lags + horizon - 1));  // so that every new value is one that follows a window
  const learnt = await addHistory([...before, ...rest]);
  if (learnt) reveal(document.querySelector("#ask"));
  return learnt;
}

/** An example whose input arrives later is made again. */
function keyOfExample({ id }) {
  return state.inputs.has(id) ? id : `${id} unseen`;
}
