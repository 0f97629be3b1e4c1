// All that changes the task. Writes wait for one another, and each names the revision it changes.

import { Problem, ask, at, request } from "./api.js";
import { asQuery, forgetQueries, refresh, remember, remembered } from "./answers.js";
import { isSeries } from "./forecast.js";
import { Unreadable } from "./inputs.js";
import { isMolecules } from "./molecules.js";
import { changed, isItems, isRegression, modelPath, setClasses, state, taskPath } from "./state.js";
import { say } from "./words.js";

const EVEN = 0.5;  // the least confidence to begin with
let queue = Promise.resolve();

/** Decides what becomes of a write when the task was changed elsewhere; set by banners.js. */
export const conflict = { decide: null };

/** Starts with empty classes; nothing is stored before the first edit. */
export function startAfresh() {
  Object.assign(state, { task: null, etag: null, inputs: new Map(), queries: [], classes: [] });
  Object.assign(state, { quality: null, points: null, curve: null, recommended: null, minConfidence: EVEN });
  const names = isMolecules() ? ["active", "inactive"] : [1, 2].map((n) => say("class.untitled", { n }));
  const unnamed = names.map((label) => ({ label, shots: 0 }));
  setClasses(isRegression() ? [{ label: null, shots: 0 }] : unnamed);
  address();
  changed();
}

/** Opens a stored task, with what was asked about it in this tab. */
export async function open(id) {
  const { value, etag } = await read(`${modelPath()}/tasks/${encodeURIComponent(id)}`);
  state.classes = [];
  accept(value, etag);
  state.minConfidence = value.min_confidence ?? 0;
  state.queries = remembered();
  await know(value.examples);
  await refresh();
}

/** Reads the task again, after it was changed elsewhere or the server came back. */
export async function reload() {
  const { value, etag } = await read(taskPath());
  accept(value, etag);
  await know(value.examples);
  await refresh();
}

/** A task the server has ready, with things to ask. */
export async function loadExample() {
  const { value, etag } = await ask("POST", `${modelPath()}/tasks:example`, { json: {} });
  await adopt(value, etag, value.suggested_queries ?? []);
}

/** A task from a file that this or another server exported. */
export async function importTask(file) {
  const options = { body: file, type: "application/octet-stream" };
  const { value, etag } = await ask("POST", `${modelPath()}/tasks:import`, options);
  await adopt(value, etag, []);
}

async function adopt(task, etag, queries) {
  state.classes = [];
  accept(task, etag);
  state.minConfidence = task.min_confidence ?? 0;
  state.queries = queries.map(asQuery);
  remember();
  await completeInputs();
  refresh();  // the task is there; what follows from it may take its time
}

/** Adds inputs as examples of a class; one that brings a label of its own, as all do in regression, keeps it. */
export function addExamples(label, labelled) {
  const examples = labelled.map((input) => ({ label, ...input }));
  const inputs = labelled.map(({ label: own, ...input }) => input);
  const named = !isRegression() && examples.every((example) => example.label !== label);
  const first = (draft) => ({ ...draft, ...(named && { classes: [] }), support: examples });
  return write(first, (path, etag) => ask("POST", `${path}/examples`, { json: { examples }, etag }), inputs);
}

/** Teaches a history, of which the server makes examples; it goes on from the one that is there. */
export function addHistory(series) {
  const first = (draft) => ({ ...draft, series });
  return write(first, (path, etag) => ask("POST", `${path}/examples`, { json: { series }, etag }));
}

export function removeExample(id) {
  return write(null, (path, etag) => ask("DELETE", `${path}/examples/${encodeURIComponent(id)}`, { etag }));
}

export function relabel(id, label) {
  const json = { examples: { [id]: label } };
  return write(null, (path, etag) => ask("POST", `${path}:relabel`, { json, etag }));
}

/** A name as it is compared: what looks the same is the same. */
export function plainName(name) {
  return name.normalize("NFC").trim();
}

function checkFree(label, own) {
  if (state.classes.some((each) => each.label !== own && plainName(each.label) === label)) {
    throw new Unreadable(say("class.exists"), say("class.exists_detail"));
  }
}

export async function addClass(label) {
  checkFree(label);
  const classes = () => [...labels(), label];
  const first = (draft) => ({ ...draft, classes: classes() });
  return write(first, (path, etag) => ask("PATCH", path, { json: { classes: classes() }, etag }));
}

export async function renameClass(from, to) {
  checkFree(to, from);
  const first = (draft) => ({ ...draft, classes: labels().map((label) => (label === from ? to : label)) });
  const shown = state.classes.find(({ label }) => label === from);
  shown.label = to;  // it keeps its place and its colour
  try {
    const json = { from, to };
    await write(first, (path, etag) => ask("POST", `${path}:renameClass`, { json, etag }));
  } catch (problem) {
    shown.label = from;
    changed();
    throw problem;
  }
}

export function removeClass(label) {
  const first = (draft) => ({ ...draft, classes: labels().filter((each) => each !== label) });
  return write(first, (path, etag) => ask("POST", `${path}:removeClass`, { json: { label }, etag }));
}

export function renameTask(display_name) {
  return patch({ display_name });
}

export function setMinConfidence(min_confidence) {
  state.minConfidence = min_confidence;
  return state.task ? patch({ min_confidence }) : refresh();
}

function patch(json) {
  return write((draft) => ({ ...draft, ...json }), (path, etag) => ask("PATCH", path, { json, etag }));
}

/** Learns the examples again, with the model as it is now. */
export function readapt() {
  return write(null, (path, etag) => ask("POST", `${path}:adapt`, { json: {}, etag }));
}

/** Back to an earlier revision, as a new one. */
export function rollback(revision) {
  return write(null, async (path, etag) => {
    await ask("POST", `${path}/revisions/${revision}:rollback`, { etag });
    return read(path);
  });
}

export async function deleteTask() {
  await request("DELETE", taskPath());
  forgetQueries();
  startAfresh();
}

function labels() {
  return state.classes.map(({ label }) => label);
}

/** What a task is made of that is not stored yet. */
function draft() {
  return isRegression() ? {} : { classes: labels(), min_confidence: state.minConfidence };
}

/**
 * Sends one change after those before it.
 * @param {?function} first makes of an empty task what is sent where there is none yet
 * @param {function} send (path, etag) => {value, etag}
 * @param {object[]} inputs of the examples that it adds, in order
 * @returns {Promise<boolean>} whether it was made
 */
function write(first, send, inputs = []) {
  const attempt = async () => {
    try {
      const { value, etag } = state.task
        ? await send(taskPath(), state.etag)
        : await ask("POST", `${modelPath()}/tasks`, { json: first(draft()) });
      accept(value, etag, inputs);
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 412) throw problem;
      const keep = await conflict.decide();
      await reload();
      return keep ? attempt() : false;
    }
    await completeInputs();
    return true;
  };
  const done = queue.then(attempt);
  queue = done.catch(() => {});
  done.then(refresh, () => {});
  return done;
}

/** Takes a task as the state of affairs. */
function accept(task, etag, inputs = []) {
  const known = state.task?.id === task.id ? state.inputs : new Map();
  const fresh = task.examples.filter(({ id }) => !known.has(id));
  if (fresh.length === inputs.length) fresh.forEach(({ id }, i) => known.set(id, inputs[i]));
  Object.assign(state, { task, etag, inputs: known });
  if (isSeries()) state.quality = null;  // a trial on other values says nothing of these
  setClasses(isRegression() ? [{ label: null, shots: task.examples.length }] : task.classes);
  address();
  changed();
}

/** Reads a task with its examples; without their inputs where the key may not see them. */
async function read(path) {
  try {
    return await ask("GET", `${path}?view=FULL`);
  } catch (problem) {
    if (problem.status !== 403) throw problem;
    return ask("GET", path);
  }
}

/** Asks for the examples that this tab has not seen. */
async function completeInputs() {
  if (state.task.examples.every(({ id }) => state.inputs.has(id))) return;
  const { value } = await read(taskPath());
  await know(value.examples);
}

/** Keeps inputs; of pictures that came as numbers, as in a file, the server makes pictures again. */
async function know(examples) {
  const known = state.inputs;
  await Promise.all(examples.map(async ({ id, input, title }) => {
    if (!input || known.has(id)) return;
    if (isItems()) return known.set(id, { ...input, title });
    const numbers = state.model.modality === "pictures" && !input.image;
    const shown = numbers ? await request("GET", `${taskPath()}/examples/${id}/image`) : null;
    known.set(id, shown ? { ...input, shown: URL.createObjectURL(await shown.blob()) } : input);
  }));
  changed();
}

/** The address names the task, so that a reload and the way back lead to it. */
function address() {
  const here = new URLSearchParams({ model: state.model.id });
  if (state.task) here.set("task", state.task.id);
  if (location.search !== `?${here}`) history.pushState(null, "", at(`/?${here}`));
}
