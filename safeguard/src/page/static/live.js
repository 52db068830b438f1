// Keeps a page up to date without reloading it. Without this script the page is the same, as of when it was loaded.
"use strict";
(() => {
  const mark = document.getElementById("live");
  if (!mark || !window.EventSource) return;
  const topics = new Set(mark.dataset.topics.split(" "));
  // Words like "3 min ago" grow old, and a fleet may change many times in a second.
  const AT_LEAST_MS = 1500, AT_MOST_MS = 60000;
  let waiting = false, running = false, again = false, last = Date.now();

  const say = (on, text) => { mark.classList.toggle("on", on); if (mark.textContent !== text) mark.textContent = text; };

  // Where the focus is inside a part, so that it is there again in the new one.
  const pathTo = (part, element) => {
    const path = [];
    for (let e = element; e && e !== part; e = e.parentElement) path.unshift([...e.parentElement.children].indexOf(e));
    return path;
  };
  const refocus = (part, focus) => {
    let element = focus.href && [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus.href);
    if (!element) element = focus.path.reduce((e, i) => e && e.children[i], part);
    if (element) element.focus({ preventScroll: true });
  };
  const replace = (part, fresh) => {
    // What the reader opened or scrolled stays so; only then is it seen whether anything is new.
    const open = [...part.querySelectorAll("details")].map((d) => d.open);
    [...fresh.querySelectorAll("details")].forEach((d, i) => { d.open = open[i] === true; });
    if (part.isEqualNode(fresh)) return;
    const left = [...part.querySelectorAll(".scroll")].map((s) => s.scrollLeft);
    const active = document.activeElement;
    const focus = part.contains(active) && active !== part ? { href: active.getAttribute("href"), path: pathTo(part, active) } : null;
    part.replaceWith(fresh);
    [...fresh.querySelectorAll(".scroll")].forEach((s, i) => { s.scrollLeft = left[i] || 0; });
    if (focus) refocus(fresh, focus);
  };

  const refresh = async () => {
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin", redirect: "manual" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-part]")) {
          const fresh = page.getElementById(part.id);
          if (fresh) replace(part, document.adoptNode(fresh));
        }
        last = Date.now();
        document.documentElement.dataset.refreshed = String(last);
      } else if (answer.type === "opaqueredirect") { location.reload(); }
    } catch { /* The stream below tells whether the safeguard is there. */ }
    running = false;
    if (again) { again = false; soon(); }
  };
  const soon = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; if (!document.hidden) refresh(); else again = true; }, Math.max(100, last + AT_LEAST_MS - Date.now()));
  };

  const stream = new EventSource("/v1/live");
  let broken = false;
  // What changed while the stream was away is not told again.
  stream.addEventListener("open", () => { say(true, "live"); if (broken) soon(); broken = false; });
  stream.addEventListener("error", () => { broken = true; say(false, "not live; trying again"); });
  stream.addEventListener("change", (event) => {
    let change = {};
    try { change = JSON.parse(event.data); } catch { return; }
    if ((change.topics || []).some((topic) => topics.has(topic))) soon();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { again = false; soon(); } });
  setInterval(() => { if (!document.hidden && Date.now() - last > AT_MOST_MS) refresh(); }, 5000);
  window.addEventListener("pagehide", () => stream.close());
})();
