// What the page knows. Modules read it, show it when told to, and change it through task.js.

export const state = {
  /** Models on offer, and the one in use. */
  models: [],
  model: null,
  limits: {},
  /** The task as the server last gave it, and its ETag; null until the first edit. */
  task: null,
  etag: null,
  /** Classes in the order shown: {key, hue, label, shots}; key and hue stay when the label changes. */
  classes: [],
  /** Example id to input. */
  inputs: new Map(),
  /** What is asked: {key, input, prediction, reasons}. */
  queries: [],
  /** What the server says of what is asked, for people. */
  notes: [],
  minConfidence: 0.5,
  /** Derived from the task: each null until the server has said. */
  quality: null,
  points: null,
  curve: null,
  /** What is recommended, beside what everybody gets; and the place that each item had before. */
  recommended: null,
};

const listeners = [];
let nextKey = 1;

/** Calls `listener` after every change. */
export function subscribe(listener) {
  listeners.push(listener);
}

/** Tells everyone that the state has changed. */
export function changed() {
  for (const listener of listeners) listener();
}

/** Where the API has the model that is in use. */
export function modelPath() {
  return `/v1/models/${encodeURIComponent(state.model.id)}`;
}

export function taskPath() {
  return `${modelPath()}/tasks/${encodeURIComponent(state.task.id)}`;
}

export function newKey() {
  return nextKey++;
}

/** Whether the model gives values; its examples then stand on one card, of no label. */
export function isRegression() {
  return state.model.kind === "regression";
}

/** Whether it is of the items of a catalogue, which a user rates. */
export function isItems() {
  return state.model?.modality === "items";
}

/** Puts classes in their places: known ones stay where they are, new ones come last. */
export function setClasses(found) {
  const shots = new Map(found.map(({ label, shots }) => [label, shots]));
  const known = state.classes.filter(({ label }) => shots.has(label));
  const labels = new Set(known.map(({ label }) => label));
  state.classes = known.map((each) => ({ ...each, shots: shots.get(each.label) }));
  for (const each of found.filter(({ label }) => !labels.has(label))) {
    const taken = new Set(state.classes.map(({ hue }) => hue));
    const hue = [...state.classes, 0].findIndex((_, i) => !taken.has(i));
    state.classes.push({ key: newKey(), hue, ...each });
  }
}

/** The number that decides the colour and mark of a class; none for one that is gone. */
export function hueOf(label) {
  return state.classes.find((each) => each.label === label)?.hue;
}

export function examplesOf(label) {
  const all = state.task?.examples ?? [];
  return isRegression() ? all : all.filter((example) => example.label === label);
}
