// The reference of the API: the OpenAPI document of this server, to read, search and try.

import { at, request } from "./api.js";
import { curlOf } from "./curl.js";
import { button, complain, el, soft } from "./dom.js";
import "./key.js";
import { nameOf, sampleOf, schemaView, typeOf, use } from "./schema.js";
import { say } from "./words.js";

const find = (selector) => document.querySelector(selector);
const METHODS = ["get", "post", "put", "patch", "delete"];
const PARAGRAPH = /\n\s*\n/;
const place = find("#operations");
const contents = find("#contents");
const field = find("#find");
const entries = [];  // of the page: {element, link, words}

try {
  const api = await (await request("GET", "/openapi.json")).json();
  use(api, await firstModel());
  show(api);
  addEventListener("hashchange", openNamed);
  openNamed();
} catch (problem) {
  if (!problem.title) throw problem;
  complain(find("#alerts"), problem);
}
find("main").removeAttribute("aria-busy");

/** A model to take for examples; none where that needs a key. */
async function firstModel() {
  const answer = await fetch(at("/v1/models")).catch(() => null);
  return answer?.ok ? (await answer.json()).models[0] : null;
}

function show(api) {
  find("#about").textContent = say("reference.about", { about: api.info.description, version: api.info.version });
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => {
      const parameters = [...(item[method].parameters ?? []), ...(item.parameters ?? [])];
      return { ...item[method], path, method, parameters };
    }));
  for (const tag of api.tags) {
    const own = operations.filter(({ tags }) => tags?.includes(tag.name));
    if (own.length) section(tag.name, tag.name, tag.description, own.map(operation));
  }
  const schemas = Object.entries(api.components.schemas).sort(([a], [b]) => a.localeCompare(b));
  section("schemas", say("reference.schemas"), say("reference.schemas_about"), schemas.map(schemaEntry));
  field.addEventListener("input", search);
  search();
}

function section(id, title, about, parts) {
  const heading = el("h2", { id: `${id}-title` }, title);
  place.append(el("section", { "aria-labelledby": `${id}-title` }, heading, soft(about), parts.map(({ element }) => element)));
  const links = el("ul", {}, parts.map(({ link }) => el("li", {}, link)));
  contents.append(el("section", {}, el("h3", {}, title), links));
  entries.push(...parts);
}

/** A part that unfolds, and is made only then. */
function entry(id, head, words, body) {
  const element = el("details", { class: "card entry", id }, el("summary", {}, head));
  const link = el("a", { href: `#${id}` }, words[0]);
  element.addEventListener("toggle", () => {
    if (element.open && element.children.length === 1) element.append(el("div", { class: "entry-body" }, body()));
  });
  return { element, link, words: words.join(" ").toLowerCase() };
}

function operation(each) {
  const { path, method, summary, description, operationId, parameters, requestBody } = each;
  const head = [el("span", { class: `method ${method}` }, method.toUpperCase()),
    el("code", { class: "path" }, ...broken(path)), el("span", { class: "short" }, (description ?? summary).split(PARAGRAPH)[0])];
  const body = Object.values(requestBody?.content ?? {}).map(({ schema }) => nameOf(schema));
  const words = [summary, path, method, description, operationId, ...parameters.map(({ name }) => name), ...body];
  return entry(operationId, head, words.filter(Boolean), () => operationBody(each));
}

/** A path that may be broken after its slashes. */
function broken(path) {
  return path.split(/(?=[/:])/).flatMap((part) => [part, el("wbr")]);
}

function operationBody(each) {
  const { description, parameters, requestBody, responses, security } = each;
  const parts = (description ?? "").split(PARAGRAPH).slice(1).map((text) => el("p", {}, text));
  if (security) parts.push(soft(say("reference.needs_key")));
  if (parameters.length) parts.push(el("h3", {}, say("reference.parameters")), el("dl", { class: "fields" }, parameters.map(parameter)));
  if (requestBody) parts.push(el("h3", {}, say("reference.body")), ...bodyView(requestBody));
  parts.push(el("h3", {}, say("reference.try")), code(curlOf(each, sampleOf), say("reference.curl")));
  parts.push(el("h3", {}, say("reference.responses")), el("dl", { class: "fields responses" }, Object.entries(responses).map(response)));
  return parts;
}

function parameter({ name, in: where, required, schema, description }) {
  const places = { path: say("reference.in_path"), query: say("reference.in_query"), header: say("reference.in_header") };
  return [
    el("dt", {}, el("code", {}, name), required ? el("b", { class: "must" }, say("reference.required")) : null),
    el("dd", {}, el("span", { class: "type" }, `${typeOf(schema)}, ${places[where]}`), description ? el("p", {}, description) : null),
  ];
}

function bodyView({ required, content }) {
  const about = required ? null : soft(say("reference.body_optional"));
  return [about, ...Object.entries(content).flatMap(([media, { schema }]) => {
    const sample = media.endsWith("json") ? [code(JSON.stringify(sampleOf(schema), null, 2), say("reference.example"))] : [];
    return [el("p", { class: "media" }, el("code", {}, media)), schemaView(schema), ...sample];
  })];
}

function response([status, { description, content, headers }]) {
  const bodies = Object.entries(content ?? {}).map(([media, { schema }]) =>
    el("p", { class: "media" }, el("code", {}, media), " ", schema ? reference(schema) : null));
  const named = Object.entries(headers ?? {}).map(([name, { description }]) =>
    el("p", { class: "media" }, el("code", {}, name), ` ${description}`));
  return [el("dt", {}, el("code", { class: status < 400 ? "fine" : "refused" }, status)),
    el("dd", {}, el("p", {}, description), bodies, named)];
}

/** The name of a schema, as a link to it where it has one. */
function reference(schema) {
  const name = nameOf(schema);
  return name ? el("a", { href: `#schema-${name}` }, name) : el("span", { class: "type" }, typeOf(schema));
}

function schemaEntry([name, schema]) {
  const words = [name, schema.description ?? "", ...Object.keys(schema.properties ?? {})];
  const head = [el("code", { class: "path" }, name), schema.description ? el("span", { class: "short" }, schema.description) : null];
  return entry(`schema-${name}`, head, words, () => [schemaView(schema, true), el("h3", {}, say("reference.example")),
    code(JSON.stringify(sampleOf(schema), null, 2), say("reference.example"))]);
}

/** Text to copy. */
function code(text, label) {
  const pre = el("pre", { tabindex: "0", role: "region", "aria-label": label }, el("code", {}, text));
  const done = el("span", { class: "unseen", role: "status" });
  const copy = button("plain small copy", async () => {
    await navigator.clipboard?.writeText(text).catch(() => {});
    getSelection().selectAllChildren(pre);
    done.textContent = say("carry.copied");
  }, say("carry.copy"));
  return el("div", { class: "code" }, pre, copy, done);
}

/** Shows the parts that have all the words that are looked for. */
function search() {
  const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let n = 0;
  for (const { element, link, words } of entries) {
    const fits = wanted.every((word) => words.includes(word));
    element.hidden = link.parentElement.hidden = !fits;
    n += fits;
  }
  for (const each of document.querySelectorAll(":is(#operations, #contents) > section")) {
    each.hidden = ![...each.querySelectorAll(":is(details,li)")].some(({ hidden }) => !hidden);
  }
  find("#count").textContent = wanted.length ? say("reference.count", { n }) : "";
}

/** Unfolds the part that the address names. */
function openNamed() {
  const part = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!part?.matches("details")) return;
  if (part.hidden) {
    field.value = "";
    search();
  }
  part.open = true;
  part.scrollIntoView();
  part.querySelector("summary").focus({ preventScroll: true });
}
