/* What the page of facepick needs besides gradio: who this browser is, clicks on what is drawn as
 * HTML, and a look at a job that the page lost sight of.  The WebUI loads this file by itself, the
 * standalone app puts it into the page's head. */
(() => {
  "use strict";

  const root = () =>
    typeof gradioApp === "function" ? gradioApp() : document;
  const find = (id) => root().querySelector(`#facepick_${id}`);

  /** A random secret that names this browser's work; it never leaves this origin. */
  const secret = () => {
    const key = "facepick-browser";
    let value = null;
    try {
      value = localStorage.getItem(key);
    } catch {
      return "";
    }
    if (!value) {
      const bytes = crypto.getRandomValues(new Uint8Array(24));
      value = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
      try {
        localStorage.setItem(key, value);
      } catch {
        /* Private window: the work lasts as long as the page. */
      }
    }
    return value;
  };

  let action = "";
  window.facepickGreeting = () => `${secret()}|${navigator.language || ""}`;
  window.facepickAction = () => action;

  const press = (name) => {
    const place = find(name);
    const button = place && (place.matches("button") ? place : place.querySelector("button"));
    if (button) button.click();
    return Boolean(button);
  };

  const act = (what) => {
    action = what;
    press("act");
  };

  /** Put an element's words on the clipboard; where the browser refuses, they are marked at least. */
  const copy = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const chosen = getSelection();
    chosen.removeAllRanges();
    chosen.addRange(range);
    const done = () => {
      element.dataset.facepickCopied = "1";
      setTimeout(() => delete element.dataset.facepickCopied, 1500);
    };
    if (navigator.clipboard) {
      navigator.clipboard.writeText(element.textContent).then(done, () => {});
    } else if (document.execCommand("copy")) {
      done();
    }
  };

  document.addEventListener("keydown", (event) => {
    const node = event.target;
    if (event.key === "Enter" && node instanceof HTMLElement && node.dataset.facepickCopy) copy(node);
  });

  document.addEventListener("click", (event) => {
    const path = event.composedPath ? event.composedPath() : [event.target];
    for (const node of path) {
      if (!(node instanceof Element)) continue;
      if (node.dataset && node.dataset.facepickCopy) {
        copy(node);
        return;
      }
      if (node.dataset && node.dataset.facepickAct) {
        event.preventDefault();
        act(node.dataset.facepickAct);
        return;
      }
      if (node.dataset && node.dataset.facepickSeek) {
        const box = node.getBoundingClientRect();
        const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
        act(`seek:${(share * Number(node.dataset.facepickSeek)).toFixed(3)}`);
        return;
      }
    }
  });

  /* A bar that has not moved for a while has lost its stream (sleep, proxy, no queue): ask once. */
  let seen = "";
  let since = Date.now();
  const look = () => {
    const busy = root().querySelector("#facepick_root [data-facepick-busy]");
    const now = Date.now();
    if (!busy) {
      seen = "";
      since = now;
      return;
    }
    const text = busy.textContent;
    if (text !== seen) {
      seen = text;
      since = now;
    }
    const config = root().querySelector("[data-facepick-tick]");
    const limit = Number(config && config.dataset.facepickTick) || 4000;
    if (now - since >= limit && press("tick")) since = now;
  };

  /* Greet every page that is built, also by Reload UI, until it answers: gradio attaches its
   * listeners some time after the elements are there. */
  let lastGreeting = 0;
  const greet = () => {
    const waiting = find("hello") && !root().querySelector("[data-facepick-greeted]");
    if (waiting && Date.now() - lastGreeting > 5000) {
      lastGreeting = Date.now();
      setTimeout(() => press("hello"), 150);
    }
    look();
  };
  setInterval(greet, 500);
})();
