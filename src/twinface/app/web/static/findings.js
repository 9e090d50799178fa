// What should be mended in the gallery: doubles, look-alikes, poor or few pictures.

import { get } from "./api.js";
import { el } from "./dom.js";
import { capital } from "./words.js";

/** Fills a place with the findings, or empties it where there is nothing to say. */
export async function showFindings(place) {
  const answer = await get("/gallery/findings").catch(() => null);
  place.hidden = !answer;
  if (!answer) return;
  place.replaceChildren(el("h2", { id: "findings-title" }, "What should be mended"), answer.findings.length
    ? el("ul", { className: "names" }, answer.findings.map(finding))
    : el("p", { className: "muted" }, "✓ Nothing: nobody is enrolled twice, and everybody's pictures are fit."));
}

function finding(one) {
  return el("li", {}, el("div", {}, el("span", { className: "chip doubt" }, `! ${one.kind}`), " ", capital(one.words),
    one.advice ? el("div", { className: "muted small" }, el("code", {}, one.advice)) : ""));
}
