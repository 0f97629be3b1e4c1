// Asks for the key of a server that wants one.

import { credentials } from "./api.js";

let asking = null;

/** Shows the dialog, once however many requests wait for it. */
credentials.ask = () => {
  asking ??= new Promise((resolve) => {
    const dialog = document.querySelector("#key");
    const form = dialog.querySelector("form");
    const stay = (event) => event.preventDefault();
    dialog.addEventListener("cancel", stay);
    form.addEventListener("submit", () => {
      credentials.set(form.elements.key.value.trim());
      form.reset();
      dialog.removeEventListener("cancel", stay);
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
};
