// The page: reads the address, opens the model and the task in it, and sets up the parts.

import { ask, at, request } from "./api.js";
import { fail, notice, setUpBanners } from "./banners.js";
import { setUpCards } from "./cards.js";
import { setUpCarry } from "./carry.js";
import { setUpHistory } from "./history.js";
import { alike, setUpKinds } from "./kinds.js";
import { setUpMap } from "./map.js";
import { isSeries } from "./forecast.js";
import { reveal, setUpPanes } from "./panes.js";
import { setUpQuality } from "./quality.js";
import { setUpQueries } from "./queries.js";
import { setUpList } from "./list.js";
import { setUpRecent } from "./recent.js";
import { setUpVerdict } from "./summary.js";
import { visible } from "./dom.js";
import { isItems, state, subscribe } from "./state.js";
import { deleteTask, importTask, loadExample, open, renameTask, startAfresh } from "./task.js";
import { say } from "./words.js";

const find = (selector) => document.querySelector(selector);
const HEARTBEAT = 4000;  // milliseconds between looks whether the server is there

async function start() {
  const parts = [setUpBanners, setUpCards, setUpQueries, setUpList, setUpVerdict, setUpQuality, setUpMap, setUpCarry];
  for (const setUp of [...parts, setUpRecent, setUpHistory, setUpHead, setUpPanes]) setUp();
  setUpKinds(choose);
  const [models, limits] = await Promise.all([ask("GET", "/v1/models"), ask("GET", "/v1/limits")]);
  Object.assign(state, { models: models.value.models, limits: limits.value });
  addEventListener("popstate", goThere);
  await goThere();
  find("main").inert = false;
  watchServer();
}

/** Opens what the address names. */
async function goThere() {
  const wanted = new URLSearchParams(location.search);
  const model = state.models.find(({ id }) => id === wanted.get("model")) ?? state.models[0];
  const task = wanted.get("task");
  if (model === state.model && task === (state.task?.id ?? null)) return;  // a link within the page
  if (!task) return choose(model);
  state.model = model;
  try {
    await open(task);
  } catch (problem) {
    if (problem.status !== 404) throw problem;
    choose(model);
    notice(say("task.gone"));
  }
}

function choose(model) {
  state.model = model;
  startAfresh();
}

/** Notices that the server is gone before anything is asked of it. */
async function watchServer() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, HEARTBEAT));
    if (!document.hidden) await request("GET", "/healthz").catch(() => {});
  }
}

function setUpHead() {
  const picker = find("#model");
  const name = find("#task-name");
  const chooser = find("#import-file");
  find(".skip").addEventListener("click", () => reveal(find("#examples")));
  picker.addEventListener("change", () => choose(state.models.find(({ id }) => id === picker.value)));
  name.addEventListener("change", () => renameTask(name.value.trim()).catch(fail));
  for (const button of document.querySelectorAll(".load-example")) {
    button.addEventListener("click", () => busy(button, loadExample).then(() => isSeries() && reveal(find("#ask"))));
  }
  find("#new-task").addEventListener("click", startAfresh);
  for (const button of document.querySelectorAll(".import")) {
    button.addEventListener("click", () => chooser.click());
  }
  chooser.addEventListener("change", () => {
    const [file] = chooser.files;
    chooser.value = "";
    busy(chooser, () => importTask(file));
  });
  find("#delete-task").addEventListener("click", () => find("#confirm").showModal());
  find("#confirm").addEventListener("close", ({ target }) => {
    const meant = target.returnValue === "delete";
    target.returnValue = "";
    if (meant) busy(find("#delete-task"), () => deleteTask().then(() => notice(say("task.deleted"))));
  });
  subscribe(() => {
    const { model, task } = state;
    const ids = alike(model).map(({ id }) => id);
    if (ids.join() !== [...picker.options].map(({ value }) => value).join()) {
      picker.replaceChildren(...ids.map((id) => new Option(id)));
    }
    picker.value = model.id;
    picker.parentElement.classList.toggle("single", ids.length < 2);
    find("#learner").textContent = model.net ? say("head.learner", model) : model.learner;
    find("#version").textContent = model.version.replace("sha256:", "").slice(0, 12);
    find("#version").title = model.version;
    find("#lab").href = at(`/lab/${encodeURIComponent(model.id)}`);
    if (document.activeElement !== name) name.value = task?.display_name ?? "";
    find("main").dataset.revision = task?.revision ?? 0;
    document.body.classList.toggle("fresh", !task);
    document.body.classList.toggle("ready", task?.state === "READY");
    document.body.classList.toggle("drawings", Boolean(model.drawings));
    document.body.classList.toggle("foretells", isSeries());
    document.body.classList.toggle("recommends", isItems());
    find("#examples-title").textContent = isItems() ? say("rate.title") : say("teach.title");
    find(".lead").textContent = isSeries() ? say("intro.series") : isItems() ? say("intro.ratings") : say("intro.lead");
    const worst = model.worst_site ? say("head.worst_site", { site: visible(model.worst_site) }) : "";
    find("#caution").textContent = [model.caution ?? "", worst].join(" ").trim();
    find("#caution").hidden = !model.caution && !worst;
    document.title = task?.display_name ? say("page.title", { name: visible(task.display_name) }) : say("page.brand");
    for (const button of document.querySelectorAll(".load-example")) button.hidden = !model.example_task;
  });
}

/** Works with a control out of action; where that loses the focus, it goes on to the examples. */
async function busy(button, work) {
  button.disabled = true;
  try {
    await work();
    if (document.activeElement === document.body) find("#examples").focus({ preventScroll: true });
  } catch (problem) {
    fail(problem);
  } finally {
    button.disabled = false;
  }
}

addEventListener("unhandledrejection", ({ reason }) => fail(reason));
start();
