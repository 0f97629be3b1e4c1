// JSON schemas for people: what type a value has, what is in it, and a value that fits.

import { samples } from "./curl.js";
import { el, soft } from "./dom.js";
import { say } from "./words.js";

const REF = "#/components/schemas/";
const FORMS = { pictures: "image", rows: "row", texts: "text", series: "series", items: "item", molecules: "smiles", arrays: "values" };
const DEEP = 6;  // levels of a sample
let schemas = {};
let model = null;

/** Takes the document whose schemas are shown, and the model that samples are for, if any. */
export function use(api, example) {
  schemas = api.components.schemas;
  model = example;
}

/** The name of the schema that another one is, or is a list of; none where it has none. */
export function nameOf(schema) {
  return (schema?.$ref ?? schema?.items?.$ref)?.replace(REF, "");
}

function resolved(schema) {
  return schema.$ref ? schemas[schema.$ref.replace(REF, "")] : schema;
}

/** The type of a value in a few words. */
export function typeOf(schema) {
  if (schema.$ref) return schema.$ref.replace(REF, "");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(" | ");
  if (schema.type === "array") return say("schema.list", { type: schema.items ? typeOf(schema.items) : say("schema.any") });
  if (schema.type === "object" && schema.additionalProperties instanceof Object) {
    return say("schema.map", { type: typeOf(schema.additionalProperties) });
  }
  return schema.format ? `${schema.type} (${schema.format})` : schema.type ?? say("schema.any");
}

/** A schema: its description and properties; those of another schema are a link to it. */
export function schemaView(schema, whole = false) {
  const name = nameOf(schema);
  const { description, properties, required = [], oneOf, anyOf } = resolved(schema);
  const about = description && whole ? el("p", {}, description) : null;
  const link = name ? el("p", { class: "media" }, el("a", { href: `#schema-${name}` }, name)) : null;
  const choice = oneOf ? soft(say("schema.one_of", { names: oneOf.map((each) => each.required?.join()).join(", ") })) : null;
  const either = anyOf?.every((each) => each.required)
    ? soft(say("schema.any_of", { names: anyOf.map((each) => each.required.join(" + ")).join(", ") })) : null;
  const fields = Object.entries(properties ?? {}).map(([key, each]) => property(key, each, required.includes(key)));
  const body = fields.length ? el("dl", { class: "fields" }, fields)
    : name ? null : el("p", { class: "type" }, typeOf(resolved(schema)));
  return el("div", { class: "schema" }, about, link, choice, either, body);
}

function property(name, schema, required) {
  const target = nameOf(schema) ?? schema.anyOf?.map(nameOf).find(Boolean);
  const type = typeOf(schema);
  const shown = target ? [el("a", { href: `#schema-${target}` }, type)] : [type];
  const rules = [...limits(schema), ...(schema.anyOf ?? []).flatMap(limits)];
  return [
    el("dt", {}, el("code", {}, name), required ? el("b", { class: "must" }, say("reference.required")) : null),
    el("dd", {}, el("span", { class: "type" }, shown), rules.length ? el("small", {}, rules.join(" · ")) : null,
      schema.description ? el("p", {}, schema.description) : null),
  ];
}

/** What a value must keep to. */
function limits(schema) {
  const named = {
    minimum: (value) => say("schema.minimum", { value }),
    maximum: (value) => say("schema.maximum", { value }),
    minLength: (value) => say("schema.min_length", { value }),
    maxLength: (value) => say("schema.max_length", { value }),
    minItems: (value) => say("schema.min_items", { value }),
    maxItems: (value) => say("schema.max_items", { value }),
    pattern: (value) => say("schema.pattern", { value }),
    default: (value) => say("schema.default", { value: JSON.stringify(value) }),
  };
  return Object.keys(named).filter((key) => schema[key] !== undefined).map((key) => named[key](schema[key]));
}

/** A value that fits a schema: what is required, and of forms the one that the model takes. */
export function sampleOf(schema, name = "", deep = 0) {
  const each = resolved(schema);
  if (deep > DEEP) return null;
  if (each.const !== undefined) return each.const;
  if (each.enum) return each.enum[0];
  if (each.properties) return sampleObject(each, deep);
  if (name === "item" && model?.items) return model.items.most_rated;
  if (name === "label" && model?.kind === "regression") return sampleValue();
  if (each.anyOf) return sampleOf(each.anyOf.find(({ type }) => type !== "null") ?? each.anyOf[0], name, deep + 1);
  if (each.type === "array") return sampleList(each, name, deep);
  if (each.type === "object") return name === "row" ? sampleRow() : {};
  if (samples[name] !== undefined) return samples[name];
  if (each.default != null) return each.default;
  if (each.type === "integer" || each.type === "number") return each.minimum ?? 0;
  if (each.type === "boolean") return false;
  return each.type === "null" ? null : samples.string;
}

function sampleObject({ properties, required = [], oneOf, anyOf = [] }, deep) {
  const form = FORMS[model?.modality];
  const chosen = oneOf ? oneOf.find((one) => one.required.includes(form)) ?? oneOf[0] : {};
  const either = anyOf.find((one) => one.required?.includes(form)) ?? anyOf[0];
  const keys = [...required, ...(chosen.required ?? []), ...(either?.required ?? [])];
  const free = form === "series" && properties.series ? ["series"] : Object.keys(properties).slice(0, 2);
  const shown = keys.length ? keys : free;
  return Object.fromEntries(shown.map((key) => [key, sampleOf(properties[key], key, deep + 1)]));
}

/** The label of an example of a regression: a value, or what follows a series. */
function sampleValue() {
  if (model.items) return model.items.high;
  const { horizon, channels } = model.series ?? { horizon: 1, channels: ["value"] };
  const n = horizon * channels.length;
  return n > 1 ? filled([n]) : 1.5;
}

/** Examples are two, of two classes: fewer teach nothing. */
function sampleList({ items = {} }, name, deep) {
  if (name === "series") return sampleSeries();
  if (name === "values") return filled(model?.x_shape ?? [2]);
  const one = sampleOf(items, name, deep + 1);
  const labelled = one instanceof Object && "label" in one && resolved(items).oneOf;
  if (!labelled || model?.kind === "regression") return [one];
  return [one, { ...one, label: samples.other }];
}

function sampleRow() {
  return Object.fromEntries((model?.columns ?? samples.columns).map((name) => [name, 1]));
}

/** A history that is long enough to be taught and asked about. */
function sampleSeries() {
  const { lags, horizon, channels } = model?.series ?? { lags: 2, horizon: 1, channels: ["value"] };
  const moments = Array.from({ length: lags + horizon }, (_, i) => 10 + (i % 4));
  return channels.length > 1 ? moments.map((value) => channels.map((_, k) => value + k)) : moments;
}

/** Numbers of a shape. */
function filled([size, ...inner]) {
  return Array.from({ length: size }, (_, i) => (inner.length ? filled(inner) : i));
}

/** The model that samples are for. */
export function sampleModel() {
  return model?.id;
}
