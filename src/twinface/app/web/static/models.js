// Models: what each is, how it errs, and its card.

import { get } from "./api.js";
import { el, facts, one, openDialog, trouble } from "./dom.js";
import { markdown } from "./markdown.js";
import { ratesPlot } from "./plot.js";
import { bytes, percent, scientific } from "./words.js";

const place = one("#models");
const KINDS = { encoder: "encoder: a face becomes a template", detector: "detector: finds faces", landmarks: "landmarks" };

load();

async function load() {
  try {
    const answer = await get("/models");
    const all = Array.isArray(answer) ? answer : answer.models;
    const whole = await Promise.all(all.map((model) => get(`/models/${encodeURIComponent(model.name)}`)));
    whole.sort((a, b) => b.kind.localeCompare(a.kind) || rank(a) - rank(b));
    place.replaceChildren(...whole.map(card));
  } catch (problem) {
    place.replaceChildren(trouble(problem));
  }
}

/** The encoder that lets fewest pairs slip at FMR 1e-3 first. */
function rank(model) {
  return pointsOf(model).find((point) => point.fmr === 0.001)?.fnmr ?? 1;
}

function pointsOf(model) {
  return [...(model.rules?.[0]?.points || [])].sort((a, b) => b.fmr - a.fmr);
}

function card(model) {
  const points = pointsOf(model);
  const usual = points.find((point) => point.fmr === 0.001);
  return el("article", { className: "card", "aria-label": model.name },
    el("div", {}, el("h2", {}, model.name, model.in_use ? [" ", el("span", { className: "chip good" }, "✓ in use")] : ""), el("p", { className: "muted small" }, KINDS[model.kind] || model.kind)),
    usual ? el("p", {}, el("span", { className: "big number" }, percent(1 - usual.fnmr)), " of one person's pairs are recognised where 1 in 1,000 pairs of strangers passes") : "",
    points.length ? ratesPlot(points) : "",
    points.length ? table(points) : "",
    facts([["Size", bytes(model.bytes)], ["Licence", model.licence],
      ["Template", model.contract?.dimension ? `${model.contract.dimension} numbers` : ""],
      ["Looks at", model.contract?.size ? `${[model.contract.size].flat().join(" × ")} px` : ""],
      ["SHA-256", el("span", { className: "code small" }, `${model.sha256.slice(0, 16)}…`)]]),
    model.card ? el("div", { className: "row" }, el("button", { type: "button", on: { click: () => openCard(model) } }, "Read the card",
      el("span", { className: "visually-hidden" }, ` of ${model.name}`))) : "");
}

function table(points) {
  const head = ["FMR", "Threshold", "FNMR (95%)"];
  return el("div", { className: "scroll points" }, el("table", {},
    el("caption", { className: "visually-hidden" }, "Operating points"),
    el("thead", {}, el("tr", {}, head.map((word) => el("th", { scope: "col" }, word)))),
    el("tbody", {}, points.map((point) => el("tr", {}, el("td", {}, scientific(point.fmr)), el("td", {}, point.threshold.toFixed(3)),
      el("td", {}, `${(100 * point.fnmr).toFixed(1)}%${point.fnmr_low === undefined ? "" : ` (${(100 * point.fnmr_low).toFixed(1)} to ${(100 * point.fnmr_high).toFixed(1)})`}`))))),
    el("p", { className: "muted small" }, `Measured on ${points[0].dataset}`));
}

function openCard(model) {
  const close = el("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
  const text = el("div", { className: "cardtext", tabIndex: 0, role: "region", "aria-label": `Card of ${model.name}` }, markdown(model.card), plots(model));
  const dialog = openDialog(`The card of ${model.name}`, text, el("div", { className: "row" }, close));
}

function plots(model) {
  return el("div", { className: "plots" }, (model.plots || []).map((plot) => el("img", { loading: "lazy", alt: `${plot} of ${model.name}`,
    src: `/v1/models/${encodeURIComponent(model.name)}/plots/${encodeURIComponent(plot)}` })));
}
