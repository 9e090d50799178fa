// What the pages ask of /v1: one place for addresses, errors and the session.

/** An answer that is none: `title` and `detail` are words for people. */
export class Problem extends Error {
  constructor(status, title, detail, code = "") {
    super(detail || title);
    Object.assign(this, { status, title, detail, code });
  }
}

const TOKEN = "twinface-csrf";
let session = null;

/** Remembers what a session's changes have to bear. */
export function rememberToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
  session = null;
}

/** Asks; gives back what the JSON holds, null where there is nothing. */
export async function ask(method, path, options) {
  return (await askTagged(method, path, options)).content;
}

/** The same with the ETag, which changes of a person have to bear. */
export async function askTagged(method, path, options = {}) {
  try {
    return await once(method, path, options);
  } catch (problem) {
    if (problem.code !== "csrf") throw problem;
    rememberToken(""); // somebody signed in anew, in another tab
    return once(method, path, options);
  }
}

async function once(method, path, { json, form, headers = {}, signal }) {
  const wanted = { accept: "application/json", ...headers };
  if (method !== "GET") {
    const token = await csrf();
    if (token) wanted["x-csrf-token"] = token;
  }
  let body = form;
  if (json !== undefined) {
    wanted["content-type"] = "application/json";
    body = JSON.stringify(json);
  }
  let answer;
  try {
    answer = await fetch(`/v1${path}`, { method, headers: wanted, body, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The server does not answer", "See whether it still runs and the network is there, then try again.");
  }
  return { content: await read(answer), tag: answer.headers.get("etag") };
}

export const get = (path, options) => ask("GET", path, options);
export const post = (path, options) => ask("POST", path, options);

/** A form from names and values; files keep their names. */
export function form(fields) {
  const content = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) {
      if (one === undefined || one === null) continue;
      if (one instanceof Blob) content.append(name, one, one.name || "picture.jpg");
      else content.append(name, String(one));
    }
  }
  return content;
}

/** Sends a large form and tells how much is on its way, 0 to 1. */
export async function upload(path, content, onProgress) {
  const token = await csrf();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/v1${path}`);
    request.setRequestHeader("accept", "application/json");
    if (token) request.setRequestHeader("x-csrf-token", token);
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    request.addEventListener("error", () => reject(new Problem(0, "The upload broke off", "The server or the network went away; try again.")));
    request.addEventListener("load", () => {
      const headers = { "content-type": request.getResponseHeader("content-type") || "" };
      const empty = [204, 304].includes(request.status);
      read(new Response(empty ? null : request.responseText, { status: request.status, headers })).then(resolve, reject);
    });
    request.send(content);
  });
}

/** The address of the WebSocket for live frames. */
export function liveAddress() {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`;
}

async function csrf() {
  const known = sessionStorage.getItem(TOKEN);
  if (known) return known;
  session ??= fetch("/v1/session", { headers: { accept: "application/json" } }).then((answer) => (answer.ok ? answer.json() : {})).catch(() => ({}));
  const { csrf: token } = await session;
  if (token) rememberToken(token);
  return token || "";
}

async function read(answer) {
  if (answer.status === 204) return null;
  const kind = answer.headers.get("content-type") || "";
  const content = kind.includes("json") ? await answer.json().catch(() => null) : null;
  if (answer.ok) return content;
  if (answer.status === 401 && !location.pathname.startsWith("/login")) {
    rememberToken("");
    location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
  }
  throw problemOf(answer, content || {});
}

function problemOf(answer, content) {
  const { title, code } = content;
  let detail = typeof content.detail === "string" ? content.detail : "";
  const later = Number(answer.headers.get("retry-after"));
  if (later && !detail.includes("second")) detail = `${detail} Try again in ${later} s.`.trim();
  return new Problem(answer.status, title || `The server answered with status ${answer.status}`, detail, code);
}
