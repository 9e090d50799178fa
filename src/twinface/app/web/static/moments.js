// What was found in a video: a player, timelines that seek it, the moments with pictures.

import { el } from "./dom.js";
import { clock, counted, percent } from "./words.js";

/** Fills a place; `result` has `intervals` (one person) or `people`, each with times in seconds. */
export function showMoments(place, source, result) {
  const rows = result.intervals ? [["", result.intervals]] : result.people.map((person, index) => [`Person ${index + 1}`,
    person.intervals.map(([start, end], nth) => ({ start, end, best: person.best?.[nth] ?? start, thumbnail: person.thumbnails?.[nth] }))]);
  const seen = rows.flatMap(([, moments]) => moments);
  const title = result.intervals ? counted(seen.length, "moment") : counted(rows.length, "person", "people");
  place.replaceChildren(el("h2", { tabIndex: -1 }, seen.length ? `✓ ${title} in ${result.name}` : `Nobody found in ${result.name}`),
    ...(result.notes || []).map((note) => el("p", { className: "notice doubt" }, note)));
  if (seen.length === 0) {
    place.append(el("p", { className: "muted" }, "Another photo may help: from the front, sharp, of about the time of the video."));
    return;
  }
  const video = el("video", { className: "player", controls: true, preload: "metadata", src: `${source}#t=${seen[0].best}`, "aria-label": result.name });
  const length = result.duration || Math.max(...seen.map((moment) => moment.end));
  const play = (seconds) => {
    video.currentTime = seconds;
    video.play().catch(() => {});
  };
  place.append(video);
  for (const [who, moments] of rows) {
    if (who) place.append(el("h3", {}, who));
    place.append(timeline(video, length, moments, play, who), el("ul", { className: "moments" }, moments.map((moment) => card(moment, play, who))));
  }
  place.firstChild.focus({ preventScroll: true });
}

function words(moment, who) {
  const sure = moment.probability === undefined ? "" : `, ${percent(moment.probability)}`;
  return `${who ? `${who}: ` : ""}${clock(moment.start)} to ${clock(moment.end)}${sure}`;
}

function timeline(video, length, moments, play, who) {
  const now = el("span", { className: "now", "aria-hidden": "true" });
  video.addEventListener("timeupdate", () => { now.style.left = `${(100 * video.currentTime) / length}%`; });
  const line = el("div", { className: "timeline", role: "group", "aria-label": `Timeline${who ? ` of ${who}` : ""}` }, now);
  for (const moment of moments) {
    const bar = el("button", { type: "button", "data-start": moment.start, title: words(moment, who), "aria-label": `Play ${words(moment, who)}`, on: { click: () => play(moment.start) } });
    bar.style.left = `${(100 * moment.start) / length}%`;
    bar.style.width = `${(100 * (moment.end - moment.start)) / length}%`;
    line.append(bar);
  }
  return el("div", {}, line, el("div", { className: "row spread muted small number" }, el("span", {}, "0:00"), el("span", {}, clock(length))));
}

function card(moment, play, who) {
  const picture = moment.thumbnail ? el("img", { alt: "", src: `data:image/jpeg;base64,${moment.thumbnail}` }) : "";
  return el("li", {}, el("button", { type: "button", on: { click: () => play(moment.best) } }, picture,
    el("span", { className: "number" }, `${clock(moment.start)} to ${clock(moment.end)}`),
    moment.probability === undefined ? el("span", { className: "visually-hidden" }, who) : el("span", { className: "muted small number" }, el("span", { className: "visually-hidden" }, "probability "), percent(moment.probability))));
}
