// The lab: how a model was meta-trained and how good it is, every picture with its numbers.

import { ask } from "./api.js";
import { complain, el } from "./dom.js";
import "./key.js";

const find = (selector) => document.querySelector(selector);
const model = decodeURIComponent(location.pathname.split("/").pop());

async function start() {
  find("#title").textContent = `${model} in the lab`;
  find("#teach").href = `/?model=${encodeURIComponent(model)}`;
  document.title = `${model} in the lab – quickstudy`;
  try {
    const { value } = await ask("GET", `/v1/models/${encodeURIComponent(model)}/lab`);
    show(value);
  } catch (problem) {
    find("#lead").textContent = "";
    complain(find("#alerts"), problem);
  }
  find("main").removeAttribute("aria-busy");
}

function show({ learner, net, tasks, evaluate, pictures, settings }) {
  find("#lead").textContent = `${learner}${net ? ` on ${net}` : ""}, meta-trained on ${tasks ?? "tasks made in Python"}.`;
  find("#note").hidden = !evaluate;
  find("#evaluate").textContent = evaluate;
  find("#figures").replaceChildren(...pictures.map(figure));
  find("#settings").hidden = false;
  find("#settings tbody").replaceChildren(...settings.map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row" }, name.replaceAll("_", " ")), el("td", {}, text(value)))));
}

function figure({ name, title, caption, svg, data, tables }) {
  const picture = address(svg, "image/svg+xml");
  const numbers = address(JSON.stringify(data), "application/json");
  const rows = { class: "scroll", tabindex: "0", role: "region", "aria-label": `Numbers of: ${title}` };
  return el("figure", { class: "card", id: name },
    el("h2", { class: "unseen" }, title),
    el("img", { src: picture, alt: title }),
    el("figcaption", {}, caption),
    el("details", { class: "fold" }, el("summary", {}, "The numbers"), el("div", rows, tables.map(table))),
    el("p", { class: "actions" },
      el("a", { class: "plain", href: picture, download: `${name}.svg` }, "Download SVG"),
      el("a", { class: "plain", href: numbers, download: `${name}.json` }, "Download JSON")));
}

function address(content, type) {
  return URL.createObjectURL(new Blob([content], { type }));
}

function table({ name, rows }) {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const heads = columns.map((column) => el("th", { scope: "col" }, column.replaceAll("_", " ")));
  const cells = (row) => columns.map((column) => el("td", {}, text(row[column])));
  return el("table", {}, el("caption", {}, name), el("thead", {}, el("tr", {}, heads)),
    el("tbody", {}, rows.map((row) => el("tr", {}, cells(row)))));
}

function text(value) {
  if (value == null) return "–";
  return typeof value === "number" && !Number.isInteger(value) ? `${+value.toPrecision(4)}` : String(value);
}

start();
