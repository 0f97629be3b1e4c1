// Requests as lines of curl, and the values in them.

import { at } from "./api.js";
import { sampleModel } from "./schema.js";

/**
 * A request to an operation.
 * @param {object} operation with its path and method
 * @param {function(object): *} sampleOf makes a value that fits a schema
 */
export function curlOf({ path, method, requestBody, security }, sampleOf) {
  const url = at(path.replace(/\{(\w+)\}/g, (_, name) =>
    (["model", "name"].includes(name) && sampleModel()) || samples[`in_path_${name}`] || name));
  const [media, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const body = media?.endsWith("json") ? JSON.stringify(sampleOf(content.schema)) : null;
  return snippets.curl(method.toUpperCase(), url, { secured: Boolean(security), media, body });
}

const snippets = {
  curl: (method, url, { secured, media, body }) => [
    `curl -s${method === "GET" ? "" : ` -X ${method}`} '${url}'`,
    secured ? `-H "Authorization: Bearer $QUICKSTUDY_KEY"` : "",
    media ? `-H 'Content-Type: ${media}'` : "",
    body ? `-d '${body.replaceAll("'", "'\\''")}'` : media ? "--data-binary @file" : "",
  ].filter(Boolean).join(" \\\n  "),
};

/** Values by the name of what they are for. */
export const samples = {
  string: "string",
  smiles: "CCO",
  label: "cat",
  other: "dog",
  from: "cat",
  to: "tiger",
  display_name: "Pets",
  b64: "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==",
  text: "Will it rain tomorrow?",
  ttl: "3600s",
  columns: ["length", "width"],
  in_path_task: "my-task",
  in_path_example: "e1",
  in_path_revision: "1",
  in_path_version: "1",
};
