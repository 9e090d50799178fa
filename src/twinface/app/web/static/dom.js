// Nodes by hand: text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element; properties by name, those with a dash as attributes, `on` handlers by their event. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name.includes("-") || name === "role" || !(name in node)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** A node of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** One of the icons. */
export function icon(name) {
  return draw("svg", { "aria-hidden": "true" }, draw("use", { href: `/static/icons.svg#${name}` }));
}

export const one = (selector, within = document) => within.querySelector(selector);

/** Tells those who listen what has changed. */
export function say(words) {
  const place = one("#say");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = words; });
}

/** What is wrong, in words, with a sign. */
export function trouble(problem) {
  const title = problem.title || "Something went wrong";
  const detail = problem.detail || problem.message || "";
  return el("div", { className: "notice bad", role: "alert" }, el("strong", {}, `✗ ${title}`), detail === title ? "" : detail);
}

/** A list of terms with what they are. */
export function facts(pairs) {
  return el("dl", { className: "facts" }, pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));
}

/** Opens a dialog of its own, and takes it out of the page when it is closed. */
export function openDialog(title, ...content) {
  const heading = el("h2", { id: `d${Math.random().toString(36).slice(2)}` }, title);
  const dialog = el("dialog", { "aria-labelledby": heading.id }, heading, ...content);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}
