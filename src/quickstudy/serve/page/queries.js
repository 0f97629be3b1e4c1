// What is asked, and what the model says: label, confidence, neighbours and reasons.

import { asQuery, askAbout, explain, isNovel, look, refresh } from "./answers.js";
import { fail } from "./banners.js";
import { brief, button, el, icon, keyed, list as lines, markIcon, percent, soft, speak, svg } from "./dom.js";
import { teachAs } from "./example.js";
import { forecastView, inWords, isSeries, lastPart } from "./forecast.js";
import { acceptDrops, makeGather } from "./gather.js";
import { isMolecules, screened } from "./molecules.js";
import { changed, hueOf, isItems, isRegression, state, subscribe } from "./state.js";
import { setMinConfidence } from "./task.js";
import { thumb } from "./thumbs.js";
import { say } from "./words.js";
import { wordsThatSpoke } from "./spoken.js";

const panel = document.querySelector("#ask");
const list = document.querySelector("#answers");
const alerts = document.querySelector("#ask-alerts");
const notes = document.querySelector("#ask-notes");
const needs = document.querySelector("#needs");
const title = document.querySelector("#ask-title");
const spoken = document.querySelector("#spoken");
const slider = document.querySelector("#min-confidence");
const least = panel.querySelector("output");
const NOTABLE = 0.05;  // change of a probability, which fills half a bar
const MOST = 6;  // classes and examples that an answer is explained with
let drawing = null;  // the query that is still on the pad
let shown = null;  // the model that the pad is for
let gather = null;

export function setUpQueries() {
  acceptDrops(panel, (data) => gather.take(data));
  slider.addEventListener("input", () => (least.textContent = leastText(slider.valueAsNumber)));
  slider.addEventListener("change", () => setMinConfidence(slider.valueAsNumber).catch(fail));
  subscribe(show);
}

function show() {
  if (isItems()) return void (title.textContent = say("list.title"));
  if (shown !== state.model) {
    shown = state.model;
    const label = isSeries() ? say("series.other") : say("ask.about");
    const verb = isSeries() ? say("series.forecast") : say("ask.ask");
    gather = makeGather({ label, verb, alerts, onInputs: take, onDrawing: follow, asks: true });
    panel.querySelector(":is(.gather, .others)")?.remove();
    // The forecast of the history comes first.
    if (isSeries()) list.after(el("details", { class: "fold others" }, el("summary", {}, label), gather.element));
    else panel.querySelector(".way-in").prepend(gather.element);
  }
  gather.show();
  title.textContent = isSeries() ? say("ask.forecast") : say("ask.title");
  if (drawing && !state.queries.includes(drawing)) drawing = gather.clear();
  panel.querySelector(".sureness").hidden = isRegression() || isMolecules();
  slider.value = state.minConfidence;
  least.textContent = leastText(state.minConfidence);
  needs.textContent = whatIsMissing();
  lines(notes, state.notes);
  keyed(list, state.queries, ({ key }) => key, makeAnswer, (answer, query) => answer.show(query));
  const answered = state.queries.filter(({ prediction }) => prediction);
  speak(spoken, answered.slice(0, 3).map(sentence).join(". "));
}

function leastText(confidence) {
  return confidence ? percent(confidence) : say("ask.never");
}

function whatIsMissing() {
  if (state.task?.state === "READY") return state.queries.length ? "" : say("ask.ready");
  if (isSeries()) return say("ask.needs_history");
  if (isRegression()) return say("ask.needs_values");
  const filled = state.classes.filter(({ shots }) => shots > 0);
  if (filled.length === 1) return say("ask.needs_second", filled[0]);
  return say("ask.needs_two");
}

/** Takes pictures to ask about; of none, the drawing on the pad becomes one of them. */
async function take(inputs) {
  if (inputs.length) return askAbout(inputs);
  if (drawing?.live) {
    drawing.live = false;
    refresh().catch(fail);
  }
  drawing = null;
}

/** Follows the pad, or the camera: asks again after every stroke, or look. */
async function follow(input, looks) {
  if (!input) return drawing && forget(drawing);
  const first = !drawing;
  if (first) state.queries = [(drawing = asQuery(input)), ...state.queries];
  Object.assign(drawing, looks ? { live: true } : { input, problem: null });
  if (looks && state.task?.state === "READY") return look(drawing, input).catch(fail);
  drawing.input = input;
  changed();
  if (first || !looks) await refresh().catch(fail);
}

function forget(query) {
  state.queries = state.queries.filter((each) => each !== query);
  changed();
  refresh().catch(fail);
}

/** An answer as it is spoken; of one that follows the camera only what changes with its class. */
function sentence({ input, prediction, live }) {
  if (isSeries()) return inWords(lastPart(input.series), prediction);
  const { label, confidence, abstained } = prediction;
  if (isNovel(prediction)) return say("answer.spoken_none");
  if (abstained) return say("answer.spoken_unsure");
  if (live) return label;
  return isRegression() ? brief(label) : `${label}, ${percent(confidence)}`;
}

function makeAnswer(query) {
  const picture = el("div", { class: "asked" });
  const said = el("div", { class: "said" });
  const more = el("div", { class: "more" });
  const remove = button("quiet remove", () => {
    const next = answer.nextElementSibling ?? answer.previousElementSibling;
    forget(query);
    (next?.querySelector(".remove") ?? panel.querySelector(".pad, button, textarea, input")).focus();
  }, icon("cross"));
  remove.setAttribute("aria-label", say("answer.remove"));
  remove.hidden = Boolean(query.own);
  const answer = el("li", { class: "answer card", "data-query": query.key }, picture, said, remove, more);
  let drawn = {};
  answer.show = () => {
    const { input, prediction, reasons, problem } = query;
    if (drawn.input !== input && !isSeries()) picture.replaceChildren(thumb(input, say("answer.question")));
    if (drawn.prediction !== prediction || drawn.reasons !== reasons || drawn.problem !== problem) {
      const open = more.querySelector(".why")?.open;
      const numbers = said.querySelector(".numbers")?.open;
      answer.classList.toggle("unsure", Boolean(prediction?.abstained) || isNovel(prediction));
      said.replaceChildren(...(prediction ? verdict(query, numbers) : [soft(problem?.title ?? say("answer.none"))]));
      more.replaceChildren(...(prediction ? evidence(query, open) : []));
    }
    drawn = { input, prediction, reasons, problem };
  };
  return answer;
}

function verdict(query, open) {
  const { prediction } = query;
  if (isSeries()) return forecastView(query, open);
  const { label, confidence, abstained, low, high } = prediction;
  if (isRegression()) {
    const interval = Number.isFinite(low) ? soft(say("answer.interval", { low: brief(low), high: brief(high) })) : null;
    return [el("p", { class: "label" }, brief(label)), interval];
  }
  if (isMolecules()) return screened(query);
  const bar = el("div", {
    class: "meter", role: "meter", "aria-label": say("answer.confidence"), "aria-valuemin": 0, "aria-valuemax": 1,
    "aria-valuenow": confidence, "aria-valuetext": percent(confidence),
  }, el("span"));
  bar.style.setProperty("--value", confidence);
  bar.style.setProperty("--least", state.minConfidence);
  const novel = isNovel(prediction);
  const name = novel ? say("answer.none_of_these") : abstained ? say("answer.unsure") : label;
  const shape = abstained || novel ? null : markIcon(hueOf(label));
  const head = el("p", { class: "label" }, shape, el("span", { dir: "auto" }, name));
  if (!novel) return [head, el("div", { class: "sure" }, bar, el("b", {}, percent(confidence)))];
  const [[nearest]] = Object.entries(prediction.scores).sort(([, a], [, b]) => b - a);
  return [head, soft(say("answer.nearest_class", { label: nearest, percent: percent(confidence) }))];
}

function evidence(query, open) {
  const exactly = ({ id, label, similarity }) =>
    say("answer.similarity", { label: isSeries() ? nameOf({ id }) : label, similarity: similarity.toFixed(3) });
  const closest = query.prediction.nearest.map((near) =>
    el("li", {}, state.model.modality === "texts" ? markIcon(hueOf(near.label)) : null,
      thumb(state.inputs.get(near.id), nameOf(near)),
      el("small", { title: exactly(near) }, near.similarity.toFixed(2))));
  const answer = el("div", { class: "reasons" }, query.reasons ? reasons(query) : null);
  const why = el("details", { class: "fold why", open }, el("summary", {}, say("answer.why")), answer);
  why.addEventListener("toggle", () => why.open && !query.reasons && explain(query).catch(fail));
  const teach = button("plain small", () => teachAs(query, () => forget(query)), say("answer.teach"));
  return [
    el("ul", { class: "nearest", "aria-label": say("answer.closest") }, closest),
    el("div", { class: "row" }, why, isRegression() ? null : teach),
  ];
}

/** An example by its name: of a series it is a window, of which nobody wants to hear all that follows. */
function nameOf({ id, label }) {
  return isSeries() ? say("series.window", { id }) : say("example.of", { id, label });
}

/** How sure the model is of each class, and which examples pulled it there or away. */
function reasons({ prediction, reasons: { target, influence, words } }) {
  const shares = Object.entries(prediction.scores).sort(([, a], [, b]) => b - a).slice(0, MOST);
  const classes = el("dl", { class: "shares" }, shares.map(([label, share]) =>
    [el("dt", {}, markIcon(hueOf(label)), label), el("dd", {}, percent(share))]));
  const known = influence.filter(({ value }) => value != null);
  const strongest = known.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, MOST);
  const full = Math.max(Math.abs(strongest[0]?.value ?? 0), isRegression() ? Number.MIN_VALUE : NOTABLE);
  const pulls = el("ul", { class: "pulls" }, strongest.map(({ id, value }) => pull(id, value, value / full)));
  if (!known.length) pulls.append(el("li", { class: "soft" }, say("answer.no_pulls")));
  const sure = shares.length ? [el("h4", {}, say("answer.shares")), classes] : [];
  const spoke = words ? [el("h4", {}, say("answer.words", { label: target })), wordsThatSpoke(words)] : [];
  return [...spoke, ...sure, el("h4", {}, isSeries() ? say("series.pulls") : say("answer.pulls")), pulls];
}

/** One example, with a bar to the right if it spoke for the answer and to the left if against it. */
function pull(id, value, part) {
  const { label } = state.task.examples.find((each) => each.id === id) ?? {};
  const look = { class: part < 0 ? "pull against" : "pull", viewBox: "-1 0 2 1", preserveAspectRatio: "none" };
  const bar = svg("rect", { x: Math.min(0, part), y: 0.2, width: Math.abs(part), height: 0.6 });
  const size = isRegression() ? brief(Math.abs(value)) : Math.abs(value).toFixed(2);
  const sign = Number(size) === 0 ? "" : value < 0 ? "−" : "+";
  return el("li", {}, thumb(state.inputs.get(id), nameOf({ id, label })),
    svg("svg", { ...look, "aria-hidden": "true" }, bar), el("small", {}, `${sign}${size}`));
}
