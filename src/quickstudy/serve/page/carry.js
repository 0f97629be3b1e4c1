// The task elsewhere: as a file, as an ONNX model, as a line of curl or Python.

import { predictBody } from "./answers.js";
import { at, credentials, request } from "./api.js";
import { fail, notice } from "./banners.js";
import { isSeries } from "./forecast.js";
import { isItems, state, subscribe, taskPath } from "./state.js";
import { say } from "./words.js";

const code = document.querySelector("#code");
const panel = document.querySelector("#carry");
const tabs = [...document.querySelectorAll("[name=language]")];

export function setUpCarry() {
  for (const button of panel.querySelectorAll("[data-format]")) {
    button.addEventListener("click", () => save(button.dataset.format).catch(fail));
  }
  for (const tab of tabs) tab.addEventListener("change", show);
  document.querySelector("#copy").addEventListener("click", copy);
  subscribe(show);
}

async function save(format) {
  const response = await request("GET", `${taskPath()}:export?format=${format}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = `${state.task.id}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function show() {
  const ready = state.task?.state === "READY";
  for (const button of panel.querySelectorAll("[data-format], #copy")) button.disabled = !ready;
  const language = tabs.find((tab) => tab.checked).value;
  if (ready && isItems()) return void (code.textContent = snippets[language](at(`${taskPath()}:recommend`), JSON.stringify({ n: 10 })));
  if (!ready || !state.queries.length) return void (code.textContent = say("carry.none"));
  const body = JSON.stringify(predictBody([state.queries[0].input]));
  code.textContent = snippets[language](at(`${taskPath()}:predict`), body);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(code.textContent);
    notice(say("carry.copied"));
  } catch {  // no clipboard outside of secure origins
    getSelection().selectAllChildren(code);
    notice(say("carry.selected"));
  }
}

const snippets = {
  curl: (url, body) => {
    const key = credentials.get() ? ` \\\n  -H "Authorization: Bearer $QUICKSTUDY_KEY"` : "";
    return `curl -s '${url}' \\\n  -H 'Content-Type: application/json'${key} \\\n  -d @- <<'END'\n${body}\nEND\n`;
  },
  python: (url, body) => {
    const key = credentials.get() ? `, "Authorization": "Bearer " + os.environ["QUICKSTUDY_KEY"]` : "";
    return `import json${key ? ", os" : ""}
from urllib.request import Request, urlopen

question = json.loads(${JSON.stringify(body)})
request = Request(
    ${JSON.stringify(url)},
    json.dumps(question).encode(),
    {"Content-Type": "application/json"${key}},
)
${isItems() ? `for each in json.load(urlopen(request))["recommendations"]:
    print(each["title"], each["rating"])` : `answer = json.load(urlopen(request))["predictions"][0]
print(answer["label"], ${isSeries() ? `answer["low"], answer["high"]` : `answer["confidence"]`})`}
`;
  },
};
