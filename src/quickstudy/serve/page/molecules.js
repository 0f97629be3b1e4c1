// Molecules: their structures, which the server draws, and the example that each is most like.

import { ask } from "./api.js";
import { el, percent, soft } from "./dom.js";
import { modelPath, state } from "./state.js";
import { say } from "./words.js";

const MOST = 100;  // structures of one request
const drawn = new Map();  // SMILES to the address of its drawing
let waiting = new Map();  // SMILES to the images that wait for it

export function isMolecules() {
  return state.model?.modality === "molecules";
}

/** The structure of a molecule; its SMILES until the server has drawn it. */
export function structure(smiles, alt) {
  const image = el("img", { class: "thumb structure", alt: `${alt}: ${smiles}`, title: smiles });
  if (drawn.has(smiles)) image.src = drawn.get(smiles);
  else {
    if (!waiting.size) setTimeout(draw);
    waiting.set(smiles, [...(waiting.get(smiles) ?? []), image]);
  }
  return image;
}

/** Draws all that wait; a molecule that cannot be drawn keeps its SMILES. */
async function draw() {
  const now = waiting;
  waiting = new Map();
  const every = [...now.keys()];
  for (let i = 0; i < every.length; i += MOST) {
    const some = every.slice(i, i + MOST);
    const { value } = await ask("POST", `${modelPath()}:draw`, { json: { smiles: some } }).catch(() => ({}));
    value?.structures.forEach((svg, k) => {
      drawn.set(some[k], `data:image/svg+xml,${encodeURIComponent(svg)}`);
      for (const image of now.get(some[k])) image.src = drawn.get(some[k]);
    });
  }
}

/** The likeliest active first; those without an answer last. */
export function ranked(queries) {
  const chance = ({ prediction }) => prediction?.molecule?.probability ?? -1;
  return [...queries].sort((a, b) => chance(b) - chance(a));
}

/** How likely a molecule is active, and the example that it is most like, with a warning where it is far. */
export function screened({ prediction: { molecule } }) {
  const { probability, neighbour } = molecule;
  const near = state.inputs.get(neighbour.id);
  const values = { label: neighbour.label, similarity: neighbour.similarity.toFixed(2) };
  return [
    el("p", { class: "label" }, say("molecules.active", { percent: percent(probability) })),
    el("div", { class: "known" }, near ? structure(near.smiles, say("molecules.neighbour", values)) : null,
      soft(say("molecules.neighbour", values))),
    neighbour.is_far && el("p", { class: "far" }, say("molecules.far")),
  ].filter(Boolean);
}
