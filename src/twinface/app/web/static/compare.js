// Compare: two pictures in, how likely they show one person out.

import { form, get, post } from "./api.js";
import { el, facts, one, say, trouble } from "./dom.js";
import { gauge, probabilityAt } from "./gauge.js";
import { aligned } from "./picture.js";
import { Slot } from "./slot.js";
import { capital, caution, counted, oneIn, percent, scientific, SIGNS, VERDICTS } from "./words.js";

const answer = one("#answer"), fmr = one("#fmr"), anyQuality = one("#any-quality");
const slots = { a: new Slot(one("#slot-a"), "A", compare), b: new Slot(one("#slot-b"), "B", compare) };
const models = new Map();
let asked = null;

for (const control of [fmr, anyQuality]) control.addEventListener("change", compare);
document.addEventListener("paste", (event) => {
  const file = event.clipboardData?.files[0];
  if (file) (slots.a.file ? slots.b : slots.a).take(file);
});

async function compare() {
  if (!slots.a.file || !slots.b.file) return;
  asked?.abort();
  const mine = asked = new AbortController();
  answer.replaceChildren(el("p", { className: "card busy" }, "Finding and comparing the faces…"));
  const query = new URLSearchParams();
  if (fmr.value) query.set("fmr", fmr.value);
  if (anyQuality.checked) query.set("any_quality", "true");
  try {
    const found = await post(`/compare?${query}`, { form: form({ a: slots.a.file, b: slots.b.file }), signal: mine.signal });
    const model = await modelOf(found.model);
    if (asked !== mine) return;
    for (const side of ["a", "b"]) slots[side].markFaces([found[side]]);
    answer.replaceChildren(result(found, model));
    say(`${VERDICTS[found.verdict]}, probability ${percent(found.probability)}`);
  } catch (problem) {
    if (problem.name !== "AbortError" && asked === mine) answer.replaceChildren(trouble(problem));
  }
}

/** A model's contract and rules; null where they cannot be had: then the answer is shown without what needs them. */
async function modelOf(name) {
  if (!models.has(name)) models.set(name, await get(`/models/${encodeURIComponent(name)}`).catch(() => null));
  return models.get(name);
}

function result(found, model) {
  const [word, sign] = [VERDICTS[found.verdict], SIGNS[found.verdict]];
  const curve = curveOf(found, model);
  const limits = found.band ? [found.band.high, found.band.low] : [found.threshold];
  const bounds = limits.map((distance) => probabilityAt(curve, distance)).filter((value) => value !== null);
  const doubt = caution(found.verdict, found.probability, found.fmr);
  return el("section", { className: "card", "aria-label": "Answer" },
    el("div", { className: "verdict" },
      side("A", slots.a, found.a, model),
      el("div", { className: "gauge" },
        gauge(found.probability, bounds, word),
        el("p", { className: `answer ${found.verdict}` }, el("span", { className: "sign", "aria-hidden": "true" }, sign), word),
        el("p", { className: "number" }, `${percent(found.probability)} one person`),
        doubt ? el("p", { className: "inconclusive small" }, capital(doubt)) : ""),
      side("B", slots.b, found.b, model)),
    el("div", { className: "words stack" }, el("p", {}, explanation(found)), notes(found),
      el("details", {}, el("summary", {}, "Figures"), facts([
        ["Probability", `${percent(found.probability)} (calibrated, prior 1 in 2)`],
        ["Distance", `${found.distance.toFixed(3)} ${found.distance <= found.threshold ? "≤" : ">"} threshold ${found.threshold.toFixed(3)}`],
        ["False matches", `${oneIn(found.fmr)} (FMR ${scientific(found.fmr)})`],
        ["Model", found.model],
        ["Time", `${Math.round(found.seconds.total * 1000)} ms`],
      ]))));
}

function curveOf(found, model) {
  const fits = (point) => Math.abs(point.threshold - found.threshold) < 2e-6 && point.fmr === found.fmr;
  return (model?.rules || []).find((rule) => rule.points.some(fits))?.curve;
}

function side(name, slot, face, model) {
  const canvas = el("canvas", { role: "img", "aria-label": `The face of picture ${name}, turned upright, with its five landmarks` });
  if (slot.picture && model?.contract) aligned(canvas, slot.picture, face, model.contract);
  const which = face.faces > 1 ? `, ${face.face === 1 ? "largest" : `number ${face.face}`} of ${face.faces} faces` : "";
  return el("figure", {}, slot.picture ? canvas : "", el("figcaption", {}, `${name}: ${slot.file.name}${which}`));
}

function explanation(found) {
  const near = found.distance <= found.threshold;
  return `The templates of the two faces are ${found.distance.toFixed(3)} apart, ${near ? "within" : "beyond"} the threshold of ${
    found.threshold.toFixed(3)}. It was set so that ${oneIn(found.fmr)} pairs of different persons is taken for one person (FMR ${
    scientific(found.fmr)}). Where same and different pairs are equally common, ${
    percent(found.probability)} of pairs this far apart show one person.`;
}

function notes(found) {
  const words = [...found.notes];
  for (const name of ["a", "b"]) {
    const label = name.toUpperCase(), { faces, notes: own, quality } = found[name];
    if (faces > 1) words.push(`Picture ${label} shows ${counted(faces, "face")}; the largest was compared.`);
    if (quality.reasons.length) words.push(`Picture ${label}: ${quality.reasons.join(", ")}.`);
    words.push(...own.map((note) => `Picture ${label}: ${note}`));
  }
  return words.length ? el("div", { className: "notice doubt" }, words.map((line) => el("p", {}, line))) : "";
}
