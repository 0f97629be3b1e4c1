// One input, large, and the classes it may be of: an example, or a question that is to become one.

import { notice } from "./banners.js";
import { brief, button, complain, el, markIcon, soft } from "./dom.js";
import { hueOf, isRegression, state } from "./state.js";
import { addExamples, relabel, removeExample, rollback } from "./task.js";
import { describe, thumb } from "./thumbs.js";
import { say } from "./words.js";

const dialog = document.querySelector("#example");

/** Deletes an example, with a way back. */
export async function dropExample(id) {
  const before = state.task.revision;
  if (await removeExample(id)) notice(say("example.deleted"), () => rollback(before));
}

/** Shows an example, to move it to another class or to delete it. */
export function showExample(id) {
  const { label } = state.task.examples.find((each) => each.id === id);
  show({
    title: say("example.title", { id }),
    input: state.inputs.get(id),
    now: label,
    choose: (to) => to === label || relabel(id, to),
    remove: () => dropExample(id),
    back: () => goTo(id, label),
  });
}

/** Gives the focus to an example, or to the class that it was in. */
export function goTo(id, label) {
  const there = document.querySelector(`[data-example="${CSS.escape(id)}"]`);
  (there ?? document.querySelector(`[data-label="${CSS.escape(label)}"] .name`))?.focus();
}

/** Makes a question an example of the class that is chosen; then calls `done`. */
export function teachAs(query, done) {
  const choose = async (label) => {
    if (await addExamples(label, [query.input])) done();
  };
  const back = () => document.querySelector("#ask :is(.pad, input, textarea)").focus({ preventScroll: true });
  show({ title: say("example.teach_as"), input: query.input, choose, back });
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
  const choices = el("div", { class: "choices", role: "group", "aria-label": say("example.class") },
    state.classes.map(({ label }) => {
      const choice = button("plain", () => attempt(choose(label)), markIcon(hueOf(label)), label);
      if (now) choice.setAttribute("aria-pressed", label === now);
      return choice;
    }));
  const bin = remove && button("plain danger", () => attempt(remove()), say("example.delete"));
  const close = button("main", () => dialog.close(), say("example.close"));
  dialog.replaceChildren(
    el("h2", { id: "example-title" }, title),
    el("div", { class: "large" }, thumb(input, title)),
    ...(state.model.modality === "pictures" ? [] : [soft(describe(input))]),
    isRegression() ? el("p", {}, say("example.value", { value: brief(now) })) : choices,
    alerts,
    el("div", { class: "actions" }, bin, close),
  );
  dialog.showModal();
}
