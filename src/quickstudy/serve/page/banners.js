// What the whole page has to say: changed elsewhere, offline, done and undo.

import { watchConnection } from "./api.js";
import { button, el, speak } from "./dom.js";
import "./key.js";
import { isItems, isRegression, state, subscribe } from "./state.js";
import { conflict, readapt, reload } from "./task.js";
import { say } from "./words.js";

const place = document.querySelector("#banners");
const status = document.querySelector("#status");
const toast = document.querySelector("#toast");
const offline = el("div", { class: "banner warn", role: "status" },
  el("strong", {}, say("banner.offline")), ` ${say("banner.kept")}`);
let fading = null;

export function setUpBanners() {
  watchConnection(async (online) => {
    if (!online) return place.append(offline);
    offline.remove();
    if (state.task) await reload();
  });
  conflict.decide = decide;
  subscribe(() => speak(status, summary()));
}

function summary() {
  if (!state.task) return say("task.empty");
  const { examples, adapt_ms } = state.task;
  const { length: n } = examples;
  const parts = [isItems() ? say("count.ratings", { n }) : say("count.examples", { n })];
  if (!isRegression()) parts.unshift(say("count.classes", { n: state.classes.length }));
  if (state.task.state === "READY") parts.push(say("task.adapted", { ms: adapt_ms.toFixed(1) }));
  return parts.join(" · ");
}

/** Asks what becomes of a change that came second. */
function decide() {
  return new Promise((resolve) => {
    const choose = (keep) => () => {
      banner.remove();
      resolve(keep);
    };
    const theirs = button("plain", choose(false), say("banner.reload"));
    const both = button("main", choose(true), say("banner.keep_both"));
    const text = el("p", {}, el("strong", {}, `${say("banner.changed")} `), say("banner.choices"));
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
  }, say("banner.undo"));
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
  const text = el("p", {}, el("strong", {}, problem.title ?? say("banner.failed")),
    ` ${problem.detail ?? problem.message}`);
  const banner = el("div", { class: "banner bad", role: "alert" }, text,
    button("plain", act, gone ? say("banner.readapt") : say("banner.dismiss")));
  place.querySelector(".bad")?.remove();
  place.append(banner);
}
