// What the whole page has to say: changed elsewhere, offline, done and undo.

import { watchConnection } from "./api.js";
import { button, el, plural, say } from "./dom.js";
import "./key.js";
import { isRegression, state, subscribe } from "./state.js";
import { conflict, readapt, reload } from "./task.js";

const place = document.querySelector("#banners");
const status = document.querySelector("#status");
const toast = document.querySelector("#toast");
const offline = el("div", { class: "banner warn", role: "status" },
  el("strong", {}, "Offline, retrying."),
  " What you see is kept; changes are sent when the server is back.");
let fading = null;

export function setUpBanners() {
  watchConnection(async (online) => {
    if (!online) return place.append(offline);
    offline.remove();
    if (state.task) await reload();
  });
  conflict.decide = decide;
  subscribe(() => say(status, summary()));
}

function summary() {
  if (!state.task) return "Nothing taught yet";
  const { examples, adapt_ms } = state.task;
  const parts = [plural(examples.length, "example")];
  if (!isRegression()) parts.unshift(plural(state.classes.length, "class"));
  if (state.task.state === "READY") parts.push(`adapted in ${adapt_ms.toFixed(1)} ms`);
  return parts.join(" · ");
}

/** Asks what becomes of a change that came second. */
function decide() {
  return new Promise((resolve) => {
    const choose = (keep) => () => {
      banner.remove();
      resolve(keep);
    };
    const theirs = button("plain", choose(false), "Reload");
    const both = button("main", choose(true), "Keep both");
    const text = el("p", {}, el("strong", {}, "This task was changed elsewhere. "),
      "Reload shows that and drops your last change; keep both makes your change on top of it.");
    const banner = el("div", { class: "banner warn", role: "alert" }, text,
      el("div", { class: "actions" }, theirs, both));
    place.append(banner);
    theirs.focus();
  });
}

/** Says what was done, with a way back while it is shown. */
export function notice(text, undo) {
  const back = undo && button("plain", () => {
    document.querySelector("#examples").focus({ preventScroll: true });
    toast.replaceChildren();
    undo().catch(fail);
  }, "Undo");
  toast.replaceChildren(el("div", { class: "toast" }, el("span", {}, text), back));
  clearTimeout(fading);
  fading = setTimeout(() => toast.replaceChildren(), 12000);
}

/** A problem that belongs to no card. */
export function fail(problem) {
  const gone = problem.reason === "MODEL_VERSION_GONE";
  const act = () => {
    banner.remove();
    if (gone) readapt().catch(fail);
  };
  const text = el("p", {}, el("strong", {}, problem.title ?? "Something went wrong on this page."),
    ` ${problem.detail ?? problem.message}`);
  const banner = el("div", { class: "banner bad", role: "alert" }, text,
    button("plain", act, gone ? "Adapt to the new model" : "Dismiss"));
  place.querySelector(".bad")?.remove();
  place.append(banner);
}
