// A gauge for a calibrated probability: log odds around a half circle, as evidence grows evenly along it.

import { draw } from "./dom.js";
import { percent } from "./words.js";

const ENDS = 7.8, TICKS = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999];
const CX = 150, CY = 142, RADIUS = 108;

/** The place of a probability on the half circle, in radians: pi at the left, 0 at the right. */
export function angle(probability) {
  const odds = Math.log(probability / (1 - probability));
  return Math.PI * (1 - (Math.max(-ENDS, Math.min(ENDS, odds)) + ENDS) / (2 * ENDS));
}

/** The curve of a decision rule at a distance; null for a kind that is not known here. */
export function probabilityAt(curve, distance) {
  if (!curve || typeof curve.slope !== "number") return null;
  const value = 1 / (1 + Math.exp(-(curve.slope * distance + curve.intercept)));
  return Math.min(1 - curve.floor, Math.max(curve.floor, value));
}

function at(turn, radius) {
  return [CX + radius * Math.cos(turn), CY - radius * Math.sin(turn)];
}

function arc(from, to, kind) {
  const [x1, y1] = at(from, RADIUS), [x2, y2] = at(to, RADIUS);
  return draw("path", { class: `track ${kind}`, d: `M${x1} ${y1}A${RADIUS} ${RADIUS} 0 0 1 ${x2} ${y2}` });
}

/** The gauge; `bounds` are the probabilities at the threshold, or at the ends of a band of doubt, nearest first. */
export function gauge(probability, bounds, verdictWords) {
  const turns = bounds.map(angle).sort((a, b) => b - a);
  const drawing = draw("svg", { viewBox: "0 0 300 172", role: "img", "aria-label":
    `${verdictWords}: probability ${percent(probability)} that both pictures show one person${
      bounds.length ? `; the threshold is at ${bounds.map(percent).join(" and ")}` : ""}` });
  if (turns.length === 0) drawing.append(arc(Math.PI, 0, "whole"));
  else {
    const gap = 0.012, last = turns[turns.length - 1];
    drawing.append(arc(Math.PI, Math.min(Math.PI, turns[0] + gap), "far"));
    if (turns.length > 1) drawing.append(arc(turns[0] - gap, last + gap, "between"));
    drawing.append(arc(Math.max(0, last - gap), 0, "near"));
  }
  for (const tick of TICKS) {
    const turn = angle(tick), [x1, y1] = at(turn, RADIUS - 10), [x2, y2] = at(turn, RADIUS - 15), [x, y] = at(turn, RADIUS - 20);
    drawing.append(draw("line", { class: "tick", x1, y1, x2, y2 }));
    const anchor = tick < 0.05 ? "start" : tick > 0.95 ? "end" : "middle";
    drawing.append(draw("text", { x, y: y + (anchor === "middle" ? 8 : 3), "text-anchor": anchor }, `${+(tick * 100).toPrecision(3)}%`));
  }
  turns.forEach((turn, index) => {
    const [x1, y1] = at(turn, RADIUS - 9), [x2, y2] = at(turn, RADIUS + 13), [x, y] = at(turn, RADIUS + 20);
    drawing.append(draw("line", { class: "mark", x1, y1, x2, y2 }));
    const anchor = turn > 2 ? "end" : turn < 1.2 ? "start" : "middle";
    if (index === 0) drawing.append(draw("text", { class: "mark-word", x, y: y + 2, "text-anchor": anchor }, turns.length > 1 ? "doubt" : "threshold"));
  });
  const turn = angle(probability), [x, y] = at(turn, RADIUS - 42), [bx, by] = at(turn, -12);
  drawing.append(draw("line", { class: "needle", x1: bx, y1: by, x2: x, y2: y }), draw("circle", { class: "hub", cx: CX, cy: CY, r: 6.5 }));
  return drawing;
}
