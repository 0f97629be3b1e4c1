// What follows from the task: predictions, quality and map, asked for again after every change.

import { Problem, ask } from "./api.js";
import { isSeries, lastPart, taughtHistory, tried } from "./forecast.js";
import { isMolecules, ranked } from "./molecules.js";
import { changed, isItems, isRegression, newKey, state, taskPath } from "./state.js";

const REFUSED = [400, 413, 415, 422];  // what the server says of an input that it cannot read
const CURVE = 101;  // points of a curve
const LISTED = 50;  // items of a ranked list
let latest = 0;

/** Asks for all that follows from the task; of several calls only the last one counts. */
export async function refresh() {
  const turn = ++latest;
  const current = () => turn === latest;
  remember();
  if (state.task?.state !== "READY") {
    for (const query of state.queries) Object.assign(query, { prediction: null, reasons: null });
    Object.assign(state, { quality: null, points: null, curve: null, recommended: null });
    return changed();
  }
  if (isItems()) {
    await recommend(current);
    return current() ? assess(current) : undefined;
  }
  if (isSeries()) goOn();
  await predict(current);
  if (!isSeries() && current()) await (hasCurve() ? follow(current) : place(current));
  if (current()) await assess(current);  // last, as it takes longest
}

async function predict(current) {
  const asked = state.queries.filter(({ problem }) => !problem);
  state.notes = [];
  if (!asked.length) return changed();
  const inputs = asked.map(({ input }) => input);
  const found = await predictionsOf(inputs).catch((problem) => {
    if (inputs.length < 2 || !REFUSED.includes(problem.status)) throw problem;
    const alone = (input) => predictionsOf([input]).then(([one]) => one, (its) => its);
    return Promise.all(inputs.map(alone));
  });
  if (!current()) return;
  found.forEach((prediction, i) => {
    const refused = prediction instanceof Problem;
    Object.assign(asked[i], refused ? { problem: prediction } : { prediction, reasons: null });
  });
  if (isMolecules()) state.queries = ranked(state.queries);
  changed();
}

/** Whether an input is unlike all that was taught, as far as the model can tell. */
export function isNovel(prediction) {
  return (prediction?.novelty ?? 0) > 1;
}

/** What `:predict` is asked. */
export function predictBody(inputs) {
  const query = inputs.map(({ shown, ...input }) => input);
  return isRegression() ? { query } : { query, min_confidence: state.minConfidence };
}

/** Asks about one input that changes all the time, and about nothing else. */
export async function look(query, input) {
  const [prediction] = await predictionsOf([input]);
  if (!state.queries.includes(query)) return;
  Object.assign(query, { input, prediction, problem: null, reasons: null });
  changed();
}

async function predictionsOf(inputs) {
  const { value } = await ask("POST", `${taskPath()}:predict`, { json: predictBody(inputs) });
  state.notes = value.notes ?? [];
  return value.predictions;
}

/** Asks for the ranked list; where another came before, its places are kept to compare. */
async function recommend(current) {
  const { value } = await ask("POST", `${taskPath()}:recommend`, { json: { n: LISTED } });
  if (!current()) return;
  const last = state.recommended;
  const places = () => new Map(last.recommendations.map(({ item, place }) => [item, place]));
  const known = last?.of === taskPath();
  const before = !known ? null : last.task_revision === value.task_revision ? last.before : places();
  state.recommended = { ...value, before, of: taskPath() };
  changed();
}

async function assess(current) {
  // Windows of one series share values, so a cross-validation would say too much good of them.
  const quality = isSeries() ? await tried(taughtHistory(), current)
    : (await ask("POST", `${taskPath()}:quality`, { json: {} })).value;
  if (!current()) return;
  state.quality = quality;
  changed();
}

/** Asks of itself what follows the history. */
function goOn() {
  const series = lastPart(taughtHistory());
  const own = state.queries.find((query) => query.own);
  const others = state.queries.filter((query) => query !== own);
  if (!series.length) state.queries = others;
  else state.queries = [Object.assign(own ?? asQuery(null), { input: { series }, own: true, problem: null }), ...others];
}

async function place(current) {
  const asked = state.queries.filter(({ problem }) => !problem);
  const json = asked.length ? { query: asked.map(({ input }) => input) } : {};
  const { value } = await ask("POST", `${taskPath()}:map`, { json });
  if (!current()) return;
  state.points = value.points.map((point) => ({ ...point, asked: asked[point.query] }));
  changed();
}

/** Whether the model is a function of one number, which can be drawn. */
export function hasCurve() {
  return isRegression() && state.model.modality === "arrays" && state.model.x_shape.join() === "1";
}

/** The values between and around all that is known. */
async function follow(current) {
  const known = [...state.inputs.values(), ...state.queries.map(({ input }) => input)];
  const at = known.map(({ values }) => values[0]);
  const [low, high] = [Math.min(...at), Math.max(...at)];
  const margin = 0.15 * (high - low) || 1;
  const step = (high - low + 2 * margin) / (CURVE - 1);
  const x = Array.from({ length: CURVE }, (_, i) => low - margin + i * step);
  const json = predictBody(x.map((each) => ({ values: [each] })));
  const { value } = await ask("POST", `${taskPath()}:predict`, { json });
  if (!current()) return;
  state.curve = value.predictions.map(({ label }, i) => [x[i], label]);
  changed();
}

/** Why a query was answered so: the influence of every example. */
export async function explain(query) {
  const { value } = await ask("POST", `${taskPath()}:explain`, { json: { query: query.input } });
  query.reasons = value;
  changed();
}

/** Asks about new inputs, newest first; throws, and keeps none, where one cannot be read. */
export async function askAbout(inputs) {
  if (state.task?.state === "READY") await predictionsOf(inputs);
  const own = state.queries.filter((query) => query.own);
  state.queries = [...own, ...inputs.map(asQuery), ...state.queries.filter((query) => !query.own)];
  changed();
  return refresh();
}

export function asQuery(input) {
  return { key: newKey(), input };
}

function memory() {
  return `quickstudy-queries:${state.model.id}/${state.task.id}`;
}

/** What was asked about this task before a reload of this tab. */
export function remembered() {
  return JSON.parse(sessionStorage.getItem(memory()) ?? "[]").map(asQuery);
}

/** Keeps what is asked for a reload; pictures too large for that are forgotten. */
export function remember() {
  if (!state.task) return;
  try {
    sessionStorage.setItem(memory(), JSON.stringify(state.queries.filter(({ own }) => !own).map(({ input }) => input)));
  } catch {
    forgetQueries();
  }
}

export function forgetQueries() {
  sessionStorage.removeItem(memory());
}
