// Lists the calls of openapi.json. Text is only ever set as text.

const METHODS = ["get", "post", "put", "patch", "delete"];

function made(tag, text = "", name = "") {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (name) node.className = name;
  return node;
}

function resolved(schema, whole) {
  if (schema?.$ref) return resolved(schema.$ref.split("/").slice(1).reduce((at, key) => at[key], whole), whole);
  return schema ?? {};
}

function kind(schema, whole) {
  const found = resolved(schema, whole);
  if (found.anyOf) return found.anyOf.map((one) => kind(one, whole)).filter((one) => one !== "null").join(" or ");
  if (found.enum) return found.enum.join(", ");
  if (found.type === "array") return `list of ${kind(found.items, whole)}`;
  if (found.contentMediaType || found.format === "binary") return "file";
  return found.type ?? "any";
}

function table(rows) {
  const node = made("table");
  const head = node.createTHead().insertRow();
  for (const word of ["name", "where", "kind", "meaning"]) {
    const cell = made("th", word);
    cell.scope = "col";
    head.append(cell);
  }
  const body = node.createTBody();
  for (const cells of rows) {
    const row = body.insertRow();
    for (const words of cells) row.insertCell().textContent = words;
  }
  return node;
}

function inputs(call, whole) {
  const rows = (call.parameters ?? []).map((one) => [
    one.name + (one.required ? " *" : ""), one.in, kind(one.schema, whole), one.description ?? one.schema?.description ?? "",
  ]);
  for (const [type, content] of Object.entries(call.requestBody?.content ?? {})) {
    const schema = resolved(content.schema, whole);
    const fields = Object.entries(schema.properties ?? {});
    if (!fields.length) rows.push(["body", type, kind(schema, whole), "the whole body"]);
    for (const [name, field] of fields) {
      const needed = (schema.required ?? []).includes(name);
      rows.push([name + (needed ? " *" : ""), type, kind(field, whole), field.description ?? ""]);
    }
  }
  return rows;
}

function example(path, method, call, whole) {
  const words = [`curl -H 'x-api-key: KEY' ${location.origin}${path}`];
  if (method !== "get") words.push(`-X ${method.toUpperCase()}`);
  const form = call.requestBody?.content?.["multipart/form-data"];
  const schema = resolved(form?.schema, whole);
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const needed = (schema.required ?? []).includes(name) || Object.keys(schema.properties).length === 1;
    if (needed) words.push(`-F ${name}=${kind(field, whole).includes("file") ? `@${name}.jpg` : "..."}`);
  }
  return words.join(" \\\n  ");
}

function shown(path, method, call, whole) {
  const node = made("details");
  const title = made("summary");
  title.append(made("span", method.toUpperCase(), "method"), made("code", path), made("span", call.summary ?? "", "words"));
  const inside = made("div");
  if (call.description) inside.append(made("p", call.description));
  const rows = inputs(call, whole);
  if (rows.length) inside.append(made("h3", "What it takes"), table(rows));
  inside.append(made("h3", "Example"), made("pre", example(path, method, call, whole)));
  for (const [status, answer] of Object.entries(call.responses)) {
    const sample = answer.content?.["application/json"]?.example;
    if (sample) inside.append(made("h3", `Answer ${status}`), made("pre", JSON.stringify(sample, null, 2)));
  }
  node.append(title, inside);
  return node;
}

async function list() {
  const calls = document.getElementById("calls");
  const answer = await fetch("/openapi.json");
  if (!answer.ok) {
    const words = made("p", answer.status === 401 ? "Log in to see the calls: " : "The list could not be loaded. ");
    const link = made("a", answer.status === 401 ? "log in" : "try again");
    link.href = answer.status === 401 ? "/login" : "/docs";
    words.append(link);
    calls.replaceChildren(words);
    return;
  }
  const whole = await answer.json();
  const groups = new Map();
  for (const [path, methods] of Object.entries(whole.paths)) {
    for (const method of METHODS.filter((one) => one in methods)) {
      const group = methods[method].tags?.[0] ?? "other";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(shown(path, method, methods[method], whole));
    }
  }
  calls.replaceChildren(...[...groups].flatMap(([group, nodes]) => [made("h2", group), ...nodes]));
}

list();
