// The lab: how a model was meta-trained and how good it is, every figure with its numbers.

import { at, request } from "./api.js";
import { complain } from "./dom.js";
import "./key.js";
import { say } from "./words.js";

const find = (selector) => document.querySelector(selector);
const model = decodeURIComponent(location.pathname.split("/").pop());
const title = say("lab.title_of", { model });

find("#title").textContent = title;
find("#teach").href = at(`/?model=${encodeURIComponent(model)}`);
document.title = say("page.title", { name: title });
try {
  const answer = await request("GET", `/v1/models/${encodeURIComponent(model)}/lab`);
  // The server escapes what comes from outside, and the page's policy runs no script but its own.
  const report = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const link of report.querySelectorAll("a[download]")) link.href = file(link.getAttribute("href"));
  find("#report").replaceChildren(...report.body.childNodes);
} catch (problem) {
  find("#report").replaceChildren();
  complain(find("#alerts"), problem);
}
find("main").removeAttribute("aria-busy");

/** The content of a data: address as a file of any length: browsers save only short addresses. */
function file(address) {
  const [, type, content] = address.match(/^data:(.*);base64,(.*)$/);
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type }));
}
