// The words of the page, which all stand in en.json.

const words = await (await fetch(new URL("en.json", import.meta.url))).json();
export const language = words.language;
const plurals = new Intl.PluralRules(language);

/** The words at `key`, with `values` in place of their `{names}`; those that count are chosen by `values.n`. */
export function say(key, values = {}) {
  const forms = words[key];
  const text = forms.other ? forms[plurals.select(values.n)] ?? forms.other : forms;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
