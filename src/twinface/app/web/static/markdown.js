// As much of Markdown as model cards use, as nodes: headings, lists, tables, paragraphs, code, bold, links.

import { el } from "./dom.js";

/** A text as nodes; whatever is not understood stays text. */
export function markdown(text) {
  const nodes = [];
  for (const block of text.replace(/\r/g, "").split(/\n\s*\n|\n(?=#{1,4} )|(?<=^#{1,4} [^\n]*)\n/m)) {
    const lines = block.split("\n").filter((line) => line.trim());
    if (lines.length) nodes.push(...blocks(lines));
  }
  return nodes;
}

function blocks(lines) {
  const heading = lines[0].match(/^(#{1,4}) (.*)/);
  if (heading) return [el("h3", {}, ...inline(heading[2])), ...(lines.length > 1 ? blocks(lines.slice(1)) : [])];
  const from = lines.findIndex((line) => /^(\||[-*] )/.test(line));
  if (from > 0) return [el("p", {}, ...inline(lines.slice(0, from).join(" "))), ...blocks(lines.slice(from))];
  if (lines[0].startsWith("|")) return [table(lines.filter((line) => line.startsWith("|")))];
  if (/^[-*] /.test(lines[0])) {
    const items = [];
    for (const line of lines) /^[-*] /.test(line) ? items.push(line.slice(2)) : items[items.length - 1] += ` ${line.trim()}`;
    return [el("ul", {}, items.map((item) => el("li", {}, ...inline(item))))];
  }
  return [el("p", {}, ...inline(lines.join(" ")))];
}

function table(lines) {
  const cells = (line) => line.replace(/^\||\|\s*$/g, "").split("|").map((cell) => cell.trim());
  const [head, , ...rows] = lines;
  return el("div", { className: "scroll" }, el("table", { className: "small" },
    el("thead", {}, el("tr", {}, cells(head).map((cell) => el("th", { scope: "col" }, ...inline(cell))))),
    el("tbody", {}, rows.map((row) => el("tr", {}, cells(row).map((cell) => el("td", {}, ...inline(cell))))))));
}

function inline(text) {
  return text.replace(/!\[([^\]]*)\]\([^)]*\)/g, "").split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))/).filter(Boolean).map((part) => {
    if (/^`[^`]+`$/.test(part)) return el("code", {}, part.slice(1, -1));
    if (/^\*\*[^*]+\*\*$/.test(part)) return el("strong", {}, part.slice(2, -2));
    const link = part.match(/^\[([^\]]+)\]\((https:\/\/[^)]+)\)$/);
    if (link) return el("a", { href: link[2], rel: "noreferrer" }, link[1]);
    return part.replace(/^\[([^\]]+)\]\([^)]+\)$/, "$1");
  });
}
