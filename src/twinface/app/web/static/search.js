// Search: a video and a person in, the moments she is seen out.

import { ask, form, get, post, upload } from "./api.js";
import { el, one, openDialog, say, trouble } from "./dom.js";
import { showMoments } from "./moments.js";
import { bytes, clock } from "./words.js";

const PAUSE = 400;
const video = one("#video"), known = one("#known"), photos = one("#photos"), subject = one("#subject");
const work = one("#work"), step = one("#step"), progress = one("#progress"), found = one("#found"), place = one("#trouble");
let running = null;

one("#ask").addEventListener("submit", (event) => {
  event.preventDefault();
  search(event.submitter?.value || "search");
});
one("#cancel").addEventListener("click", () => running && ask("DELETE", `/searches/${running}`).catch(tell));
video.addEventListener("change", () => { if (video.files.length) known.value = ""; });
known.addEventListener("change", () => { if (known.value) video.value = ""; });
listVideos();
listPeople();

async function search(what) {
  place.replaceChildren();
  found.hidden = true;
  const missing = !video.files[0] && !known.value ? ["There is no video yet", "Choose a video, or one that is here already."]
    : what === "search" && !photos.files.length && !subject.value ? ["Whom shall TwinFace seek?", "Choose photos of the person, or name somebody enrolled."] : null;
  if (missing) return tell({ title: missing[0], detail: missing[1] });
  setBusy(true);
  try {
    const id = known.value || (await send(video.files[0])).id;
    const job = what === "search"
      ? await post(`/videos/${id}/searches`, { form: form(photos.files.length ? { photo: [...photos.files] } : { subject: subject.value }) })
      : await post(`/videos/${id}/unknown`);
    running = job.id;
    const ended = await follow(job);
    if (ended.state === "done") show(id, ended);
    else if (ended.state === "failed") tell({ title: "The search failed", detail: ended.trouble });
    else say("The search was stopped");
  } catch (problem) {
    tell(problem);
  } finally {
    running = null;
    setBusy(false);
  }
}

async function send(file) {
  step.textContent = `Sending ${file.name}, ${bytes(file.size)}…`;
  const taken = await upload("/videos", form({ video: file }), (share) => { progress.value = share; });
  await listVideos();
  known.value = taken.id;
  video.value = "";
  return taken;
}

async function follow(job) {
  step.textContent = "Looking through the video…";
  progress.removeAttribute("value");
  while (!["done", "failed", "cancelled"].includes(job.state)) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    job = await get(`/searches/${job.id}`);
    if (job.state === "waiting") step.textContent = "Waiting for other searches…";
    else step.textContent = job.progress === null ? "Looking through the video…" : `Looking through the video: ${Math.round(100 * job.progress)}%`;
    if (job.progress === null) progress.removeAttribute("value");
    else progress.value = job.progress;
  }
  return job;
}

function show(id, job) {
  found.hidden = false;
  showMoments(found, `/v1/videos/${id}/content`, job);
  found.append(el("p", { className: "after" }, el("a", { href: `/v1/searches/${job.id}/report`, download: "report.html" }, "Keep this as a page (report.html)")));
  found.scrollIntoView({ block: "start" });
}

function setBusy(busy) {
  work.hidden = !busy;
  for (const button of one("#ask").querySelectorAll("button")) button.disabled = busy;
}

function tell(problem) {
  place.replaceChildren(trouble(problem));
}

async function listVideos() {
  const { videos } = await get("/videos").catch((problem) => { tell(problem); return { videos: [] }; });
  const kept = known.value;
  one("#known-field").hidden = one("#shelf").hidden = videos.length === 0;
  known.replaceChildren(el("option", { value: "" }, "none"), ...videos.map((one) => el("option", { value: one.id }, one.name)));
  known.value = kept;
  one("#videos").replaceChildren(...videos.map((one) => el("li", {},
    el("span", {}, one.name, el("span", { className: "muted small" }, `  ${one.duration === null ? "" : `${clock(one.duration)}, `}${bytes(one.size)}`)),
    el("button", { type: "button", className: "plain grave", "aria-label": `Remove ${one.name}`, on: { click: () => openRemoval(one) } }, "Remove"))));
}

function openRemoval(video) {
  const place = el("div", { role: "alert" });
  const remove = el("button", { type: "button", className: "grave first" }, "Remove it");
  const keep = el("button", { type: "button", on: { click: () => dialog.close() } }, "Keep it");
  const dialog = openDialog(`Remove ${video.name}?`, el("div", { className: "stack" },
    el("p", {}, "The video, the faces known of it and everything that was asked about it are overwritten and removed from this server."),
    place, el("div", { className: "row" }, remove, keep)));
  keep.focus();
  remove.addEventListener("click", async () => {
    try {
      await ask("DELETE", `/videos/${video.id}`);
      found.hidden = true;
      dialog.close();
      say(`${video.name} was removed`);
      await listVideos();
    } catch (problem) {
      place.replaceChildren(trouble(problem));
    }
  });
}

async function listPeople() {
  const answer = await get("/people?limit=200").catch(() => null);
  if (answer) one("#subjects").replaceChildren(...answer.people.map((person) => el("option", { value: person.name })));
}
