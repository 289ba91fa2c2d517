/**
 * What the admin's pages gain by a script: an unfinished upload keeps itself up to date, and a click copies a code. All of
 * it works without.
 */

/** How often a running upload is looked at again, in milliseconds. */
const EVERY = 5_000;

/** Fetches the page anew and shows what has changed, unless somebody is just reading a table or choosing text. */
async function refresh() {
  const live = document.querySelector("#live[data-live]");
  if (!live || document.hidden || live.querySelector("details[open]") || !getSelection()?.isCollapsed) return;
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("#live");
  const heading = page.querySelector(".heading");
  if (!fresh || !heading) return;
  if (!fresh.hasAttribute("data-live")) {
    // It has ended, and with it what can be done.
    location.reload();
    return;
  }
  live.replaceWith(fresh);
  document.querySelector(".heading")?.replaceWith(heading);
}

if (document.querySelector("#live[data-live]")) {
  setInterval(() => refresh().catch(() => {}), EVERY);
}

document.addEventListener("click", async (event) => {
  const code = event.target instanceof Element ? event.target.closest(".heading .code") : null;
  if (!code || !navigator.clipboard) return;
  await navigator.clipboard.writeText(code.textContent ?? "");
  code.setAttribute("title", "Copied");
});

// "/" goes to the search, as on many sites with one.
document.addEventListener("keydown", (event) => {
  const search = document.querySelector("input[type=search]");
  const isTyping = event.target instanceof Element && event.target.closest("input, select, textarea");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (search instanceof HTMLInputElement) {
    event.preventDefault();
    search.select();
  }
});
