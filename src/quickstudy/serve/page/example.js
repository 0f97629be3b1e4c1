// One input, large, with the classes to choose from: for an example, and for a question that is to be one.

import { notice } from "./banners.js";
import { brief, complain, el, markIcon } from "./dom.js";
import { hueOf, isRegression, state } from "./state.js";
import { addExamples, relabel, removeExample, rollback } from "./task.js";
import { describe, thumb } from "./thumbs.js";

const dialog = document.querySelector("#example");

/** Deletes an example, with a way back. */
export async function dropExample(id) {
  const before = state.task.revision;
  if (await removeExample(id)) notice("Deleted an example.", () => rollback(before));
}

/** Shows an example, to move it to another class or to delete it. */
export function showExample(id) {
  const { label } = state.task.examples.find((each) => each.id === id);
  const back = () => {
    const moved = document.querySelector(`[data-example="${CSS.escape(id)}"]`);
    (moved ?? document.querySelector(".class-card .name"))?.focus();
  };
  show({
    title: `Example ${id}`,
    input: state.inputs.get(id),
    now: label,
    choose: (to) => to === label || relabel(id, to),
    remove: () => dropExample(id),
    back,
  });
}

/** Makes a question an example of the class that is chosen; then calls `done`. */
export function teachAs(query, done) {
  const choose = async (label) => {
    if (await addExamples(label, [query.input])) done();
  };
  show({ title: "Teach this as", input: query.input, choose, back: () => {} });
}

function show({ title, input, now, choose, remove, back }) {
  const alerts = el("div", { class: "alerts" });
  const attempt = async (work) => {
    try {
      await work;
      dialog.close();
      back();
    } catch (problem) {
      complain(alerts, problem);
    }
  };
  const choices = state.classes.map(({ label }) => el("button", {
    type: "button", class: "plain", "aria-pressed": now && String(label === now),
    onclick: () => attempt(choose(label)),
  }, markIcon(hueOf(label)), label));
  const bin = remove && el("button", { type: "button", class: "plain danger", onclick: () => attempt(remove()) }, "Delete example");
  const close = el("button", { type: "button", class: "main", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    el("h2", { id: "example-title" }, title),
    el("div", { class: "large" }, thumb(input, title)),
    ...(state.model.modality === "pictures" ? [] : [el("p", { class: "soft" }, describe(input))]),
    isRegression() ? el("p", {}, `Value ${brief(now)}`) : el("div", { class: "choices", role: "group", "aria-label": "Class" }, choices),
    alerts,
    el("div", { class: "actions" }, bin, close),
  );
  dialog.showModal();
}
