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

  /* Each tab of a browser has a seat, 1, 2, ..., and a session of its own with it: the smallest that
   * no living tab holds.  A reload keeps the tab's seat; a tab that was duplicated takes another; the
   * first tab that is opened after all were closed sits where the work of the first one lies. */
  const SEAT = "facepick-seat";
  const me = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  const seats = typeof BroadcastChannel === "function" ? new BroadcastChannel(SEAT) : null;
  let seat = 0;
  let seated = false;
  let refused = false;
  if (seats) {
    seats.onmessage = ({ data }) => {
      if (data.ask === seat && data.from !== me && (seated || me < data.from)) {
        seats.postMessage({ taken: seat, to: data.from });
      }
      if (data.to === me && data.taken === seat && !seated) refused = true;
    };
  }
  const remembered = (value) => {
    try {
      if (value) sessionStorage.setItem(SEAT, String(value));
      return Number(sessionStorage.getItem(SEAT)) || 0;
    } catch {
      return 0;
    }
  };
  const takeSeat = async () => {
    const tried = new Set();
    seat = remembered() || 1;
    while (seats) {
      refused = false;
      tried.add(seat);
      seats.postMessage({ ask: seat, from: me });
      /* A tab in the background of a busy machine answers in a tenth of a second, seldom more. */
      await new Promise((done) => setTimeout(done, 500));
      if (!refused) break;
      seat = 1;
      while (tried.has(seat)) seat += 1;
    }
    seated = true;
    remembered(seat);
  };
  takeSeat();

  let action = "";
  window.facepickGreeting = () => {
    const own = secret();
    return `${own && seat > 1 ? `${own}-${seat}` : own}|${navigator.language || ""}`;
  };
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

  document.addEventListener("change", (event) => {
    const node = event.target;
    if (node instanceof HTMLSelectElement && node.dataset.facepickChoose) {
      act(node.dataset.facepickChoose + node.value);
    }
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

  /* Original and result play together; the one that follows is silent. */
  const follow = (event) => {
    const leader = event.target;
    if (!(leader instanceof HTMLVideoElement) || leader.dataset.facepickFollows) return;
    const pair = ["original", "result"].map((name) => root().querySelector(`#facepick_${name} video`));
    if (!pair[0] || !pair[1] || !pair.includes(leader)) return;
    const other = pair[0] === leader ? pair[1] : pair[0];
    other.dataset.facepickFollows = "1";
    clearTimeout(other.facepickWait);
    other.facepickWait = setTimeout(() => delete other.dataset.facepickFollows, 400);
    if (Math.abs(other.currentTime - leader.currentTime) > 0.04) other.currentTime = leader.currentTime;
    other.playbackRate = leader.playbackRate;
    if (leader.paused) {
      other.pause();
    } else {
      other.muted = true;
      other.play().catch(() => {});
    }
  };
  for (const name of ["play", "pause", "seeked", "ratechange"]) {
    document.addEventListener(name, follow, true);
  }

  /* Original and result on each other: a slider between them, frame by frame, what was changed. */
  const stageOf = (node) => node.closest(".facepick-compare");
  const sides = (box) => Array.from(box.querySelectorAll("video"));
  const split = (box) => {
    const share = Number(box.querySelector("input[type=range]").value);
    const changed = box.querySelector("input[type=checkbox]").checked;
    const [, over] = sides(box);
    over.style.clipPath = changed ? "none" : `inset(0 0 0 ${share}%)`;
    over.style.mixBlendMode = changed ? "difference" : "normal";
    box.querySelector(".facepick-stage").classList.toggle("facepick-changed", changed);
    box.querySelector(".facepick-stage i").style.left = `${share}%`;
  };
  const told = (box) => {
    const rate = Number(box.dataset.facepickRate);
    const [under] = sides(box);
    box.querySelector("output").textContent = `${under.currentTime.toFixed(2)} s · ${Math.floor(under.currentTime * rate + 1e-4)}`;
  };
  const openCompare = (box) => {
    const found = ["original", "result"].map((name) => root().querySelector(`#facepick_${name} video`));
    const playable = found.every((video) => video && video.currentSrc);
    box.querySelector("p").hidden = playable;
    for (const part of [".facepick-stage", ".facepick-tools"]) box.querySelector(part).hidden = !playable;
    if (!playable) return;
    sides(box).forEach((video, number) => {
      if (video.src !== found[number].currentSrc) video.src = found[number].currentSrc;
      video.muted = true;
      video.currentTime = found[0].currentTime;
      video.ontimeupdate = () => told(box);
    });
    split(box);
  };
  const step = (box, by) => {
    const [under, over] = sides(box);
    if (by === 0) {
      if (under.paused) {
        over.currentTime = under.currentTime;
        under.play().catch(() => {});
        over.play().catch(() => {});
      } else {
        under.pause();
        over.pause();
        over.currentTime = under.currentTime;
      }
      return;
    }
    under.pause();
    over.pause();
    /* The middle of a frame: an edge would show the one or the other. */
    const rate = Number(box.dataset.facepickRate);
    const frame = Math.max(0, Math.floor(under.currentTime * rate + 1e-4) + by);
    under.currentTime = over.currentTime = (frame + 0.5) / rate;
  };
  document.addEventListener("toggle", ({ target }) => {
    if (target instanceof HTMLElement && target.classList.contains("facepick-compare") && target.open) openCompare(target);
  }, true);
  document.addEventListener("input", ({ target }) => {
    if (!(target instanceof HTMLElement)) return;
    const box = stageOf(target);
    if (box) split(box);
  });
  document.addEventListener("click", ({ target }) => {
    const button = target instanceof Element && target.closest("[data-facepick-step]");
    if (button && stageOf(button)) step(stageOf(button), Number(button.dataset.facepickStep));
  });

  /* A setting has changed while its frame is looked at: show it again, once the hand rests. */
  let resting = 0;
  const again = ({ target }) => {
    if (!(target instanceof Element) || !target.closest('#facepick_what [id^="facepick_panel_"]')) return;
    const live = root().querySelector("#facepick_live_frame input");
    if (!live || !live.checked) return;
    clearTimeout(resting);
    resting = setTimeout(() => press("preview_frame"), 700);
  };
  document.addEventListener("input", again);
  document.addEventListener("change", again);

  /* Gradio's own words follow the browser; the page may speak another language. */
  const translate = () => {
    const config = root().querySelector("[data-facepick-words]");
    if (!config) return;
    let words = {};
    try {
      words = JSON.parse(config.dataset.facepickWords);
    } catch {
      return;
    }
    for (const place of root().querySelectorAll("#facepick_root :is(.wrap, .or, .record-button, .stop-button, .mic-wrap button)")) {
      for (const node of place.childNodes) {
        if (node.nodeType !== Node.TEXT_NODE) continue;
        const said = node.nodeValue.trim();
        if (words[said] && words[said] !== said) node.nodeValue = node.nodeValue.replace(said, words[said]);
      }
    }
  };

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
    const waiting = seated && find("hello") && !root().querySelector("[data-facepick-greeted]");
    if (waiting && Date.now() - lastGreeting > 5000) {
      lastGreeting = Date.now();
      setTimeout(() => press("hello"), 150);
    }
    look();
    translate();
  };
  setInterval(greet, 500);
})();
