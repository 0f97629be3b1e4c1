// Asks for the key of a server that wants one.

import { credentials } from "./api.js";
import { el } from "./dom.js";
import { say } from "./words.js";

let asking = null;

/** Shows the dialog, once however many requests wait for it; `wrong` says why a key was refused. */
credentials.ask = (wrong) => (asking ??= new Promise((resolve) => {
  const field = el("input", { id: "key-field", type: "password", autocomplete: "off", required: true });
  const onsubmit = () => {
    credentials.set(field.value.trim());
    dialog.remove();
    asking = null;
    resolve();
  };
  const form = el("form", { method: "dialog", onsubmit },
    el("h2", { id: "key-title" }, say("key.title")),
    wrong ? el("p", { class: "alert", role: "alert" }, el("strong", {}, say("key.wrong")), ` ${wrong}`) : null,
    el("label", { for: "key-field" }, say("key.field")), field,
    el("div", { class: "actions" }, el("button", { class: "main" }, say("key.continue"))));
  const oncancel = (event) => event.preventDefault();
  const dialog = el("dialog", { id: "key", "aria-labelledby": "key-title", oncancel }, form);
  document.body.append(dialog);
  dialog.showModal();
}));
