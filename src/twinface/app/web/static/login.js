// Sign in: a key for a session; the key itself is not kept by the browser.

import { post, rememberToken } from "./api.js";
import { one, trouble } from "./dom.js";

one("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const session = await post("/session", { json: { key: one("#key").value.trim() } });
    rememberToken(session.csrf);
    location.assign(next());
  } catch (problem) {
    one("#place").replaceChildren(trouble(problem));
    one("#key").select();
  }
});

/** Where the reader came from, if that is a page of ours. */
function next() {
  const wanted = new URLSearchParams(location.search).get("next") || "/";
  return /^\/[a-z]*$/.test(wanted) ? wanted : "/";
}
