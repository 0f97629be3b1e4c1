// Undo and redo: ways to and fro through the revisions that the server keeps.

import { ask } from "./api.js";
import { fail } from "./banners.js";
import { icon } from "./dom.js";
import { state, subscribe, taskPath } from "./state.js";
import { rollback } from "./task.js";

const buttons = { undo: document.querySelector("#undo"), redo: document.querySelector("#redo") };
let past = [];  // revisions, oldest first, each as it is called now
let at = -1;  // where in them the task is
let heading = null;  // where a step leads that is being made
let task = null;

export function setUpHistory() {
  for (const [name, each] of Object.entries(buttons)) each.append(icon(name));
  buttons.undo.addEventListener("click", () => step(-1));
  buttons.redo.addEventListener("click", () => step(+1));
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    if (event.target.closest(":is(input,textarea,select,dialog)")) return;  // they have an undo of their own
    const key = event.key.toLowerCase();
    const by = key === "y" || (key === "z" && event.shiftKey) ? +1 : key === "z" ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  subscribe(follow);
}

/** Notes a revision that came about; what was undone before it cannot be redone. */
function follow() {
  const { id, revision } = state.task ?? {};
  if (id !== task) {
    task = id;
    [past, at, heading] = id ? [[revision], 0, null] : [[], -1, null];
    if (revision > 1) recall(id, revision);
  } else if (id && revision !== past[at]) {
    if (heading === null) past.splice(++at, Infinity, revision);
    else past[(at = heading)] = revision;
    heading = null;
  }
  buttons.undo.disabled = at < 1;
  buttons.redo.disabled = at < 0 || at >= past.length - 1;
}

/** The revisions before the one that is open, of a task from the server. */
async function recall(id, revision) {
  const { value } = await ask("GET", `${taskPath()}/revisions`);
  if (state.task?.id !== id || past[0] !== revision) return;
  const earlier = value.revisions.map((each) => each.revision).filter((each) => each < revision);
  past.unshift(...earlier.sort((a, b) => a - b));
  at += earlier.length;
  follow();
}

async function step(by) {
  const to = past[at + by];
  if (to === undefined || heading !== null) return;
  heading = at + by;
  try {
    await rollback(to);
  } catch (problem) {
    fail(problem);
  } finally {
    heading = null;
  }
}
