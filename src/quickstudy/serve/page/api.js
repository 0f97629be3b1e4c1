// HTTP: problems as exceptions, and patience while the server is away.

import { say } from "./words.js";

/** What the server refused, as it explains it (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.title);
    const { title, detail, reason, errors } = body;
    Object.assign(this, { status, title, detail, reason, errors });
  }
}

const WAITS = [1, 2, 3, 5];  // seconds between attempts while the server is away; the last is repeated
const PATIENCE = 8;  // attempts at what the server is too busy for
const KEY = "quickstudy-key";
const watchers = [];
let away = 0;

/** The address of a path of the server, which a proxy may serve under a prefix. */
export function at(path) {
  return new URL(`..${path}`, import.meta.url).href;
}

/** Calls `watcher(online)` whenever the server goes away or comes back. */
export function watchConnection(watcher) {
  watchers.push(watcher);
}

/** The key that requests carry, where the server asks for one; kept until the tab is closed. */
export const credentials = {
  get: () => sessionStorage.getItem(KEY),
  set: (key) => sessionStorage.setItem(KEY, key),
  ask: null,
};

/**
 * One request, repeated until the server answers.
 *
 * A POST carries an Idempotency-Key, so that one whose answer was lost is not done twice.
 * @param {string} method
 * @param {string} path
 * @param {{json?: object, body?: BodyInit, type?: string, etag?: string}} [options]
 * @returns {Promise<Response>} of a status below 400
 * @throws {Problem}
 */
export async function request(method, path, { json, body, type, etag } = {}) {
  const headers = { Accept: "application/json" };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (type) headers["Content-Type"] = type;
  if (etag) headers["If-Match"] = etag;
  if (method === "POST") headers["Idempotency-Key"] = randomName();
  const content = json === undefined ? body : JSON.stringify(json);
  let missed = 0;
  for (let refused = 0; ;) {
    headers.Authorization = bearer();
    if (!headers.Authorization) delete headers.Authorization;
    let response = null;
    try {
      response = await fetch(at(path), { method, headers, body: content, cache: "no-store" });
    } catch {
      if (!missed++) went(+1);
    }
    if (response && missed) {
      missed = 0;
      went(-1);
    }
    if (response?.ok) return response;
    if (response?.status === 401) {
      const sent = headers.Authorization;
      const { detail } = await problemOf(response);
      // Where another request has asked for a new key meanwhile, that is tried first.
      if (sent === bearer()) await credentials.ask(sent && detail);
    } else if (response && (!response.headers.has("Retry-After") || ++refused > PATIENCE)) {
      throw await problemOf(response);
    } else {
      const asked = Number(response?.headers.get("Retry-After"));
      await pause(asked || WAITS[Math.min(missed, WAITS.length) - 1]);
    }
  }
}

/** What an Authorization header says of the key; nothing where there is none. */
function bearer() {
  return credentials.get() ? `Bearer ${credentials.get()}` : undefined;
}

/** A JSON answer, with its ETag. */
export async function ask(method, path, options) {
  const response = await request(method, path, options);
  const value = response.status === 204 ? null : await response.json();
  return { value, etag: response.headers.get("ETag") };
}

/** Letters that nobody else will choose. */
export function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  return Array.from(bytes, (byte) => (byte % 36).toString(36)).join("");
}

function went(change) {
  const before = away;
  away += change;
  if (!before !== !away) for (const watcher of watchers) watcher(!away);
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem(response.status, { title: say("banner.answered", { status: response.status }), ...body });
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}
