// Live: the camera's frames to the server, names back, drawn over the picture.

import { startCamera } from "./camera.js";
import { el, one, trouble } from "./dom.js";
import { LiveLink } from "./livelink.js";
import { mark } from "./picture.js";

const video = one("#video"), over = one("#over"), names = one("#names"), toggle = one("#toggle"), remote = one("#remote"), place = one("#place");
let end = null, link = null, told = "";

toggle.addEventListener("click", () => (link ? stop() : start()));
remote.addEventListener("click", watch);
addEventListener("pagehide", stop);

async function start() {
  place.replaceChildren();
  toggle.disabled = true;
  try {
    end = await startCamera(video, { width: { ideal: 960 }, height: { ideal: 720 } });
    one("#curtain").hidden = true;
    toggle.textContent = "Stop the camera";
    remote.hidden = true;
    link = new LiveLink(video, { answer: show, pace, failed: fail });
  } catch (problem) {
    place.replaceChildren(trouble(problem));
  } finally {
    toggle.disabled = false;
  }
}

/** The server's own camera: its frames come with what is seen in them. */
function watch() {
  place.replaceChildren();
  toggle.textContent = "Stop watching";
  remote.hidden = true;
  link = new LiveLink(null, { answer: show, pace, failed: fail });
}

function pace(words) {
  one("#pace").textContent = words;
}

function fail(problem) {
  stop();
  place.replaceChildren(trouble(problem));
}

function stop() {
  link?.close();
  end?.();
  link = end = null;
  over.getContext("2d").clearRect(0, 0, over.width, over.height);
  one("#curtain").hidden = false;
  pace("");
  remote.hidden = false;
  toggle.textContent = "Start the camera";
  list([]);
}

function show(answer, width, height, picture) {
  if (!link) return;
  over.width = width;
  over.height = height;
  if (picture) {
    one("#curtain").hidden = true;
    over.getContext("2d").drawImage(picture, 0, 0, width, height);
  }
  const colour = (face) => ({ known: "#54cf8d", unknown: "#f2b45c" }[face.state] || "#c3cad8");
  mark(over, answer.faces, 1, { colour, label: nameOf });
  list(answer.faces.filter((face) => face.state !== "new"));
}

function nameOf(face) {
  return { known: face.name, unknown: "unknown" }[face.state] || "looking…";
}

/** The list changes only when somebody comes or goes, so that nobody is told the same all the time. */
function list(faces) {
  const now = faces.map(nameOf).sort().join("\n");
  one("#nobody").hidden = faces.length > 0;
  if (now === told) return;
  told = now;
  names.replaceChildren(...faces.map((face) => el("li", {}, el("span", {}, nameOf(face)),
    face.state === "known" ? el("span", { className: "chip good" }, "✓ known") : el("span", { className: "chip doubt" }, "? not known"))));
}

