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
  const MOST_SEATS = 200;
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  /** Hold a seat as long as the page lives, if nobody holds it. */
  const hold = (number) =>
    new Promise((done) => {
      const held = (lock) => {
        done(Boolean(lock));
        return lock ? new Promise(() => {}) : undefined;
      };
      navigator.locks.request(`${SEAT}-${number}`, { ifAvailable: true }, held).catch(() => done(false));
    });
  const lockSeat = async () => {
    seat = remembered();
    /* After a reload the page before it lets go within a moment; a duplicated tab never does. */
    for (let tries = 0; seat && tries < 5; tries += 1) {
      if (await hold(seat)) return;
      await rest(200);
    }
    for (seat = 1; seat < MOST_SEATS && !(await hold(seat)); ) seat += 1;
  };
  /** Ask the other tabs, where the browser has no locks: outside of localhost and https. */
  const askForSeat = async () => {
    const tried = new Set();
    seat = remembered() || 1;
    while (seats) {
      refused = false;
      tried.add(seat);
      seats.postMessage({ ask: seat, from: me });
      /* A tab in the background of a busy machine answers in a tenth of a second, seldom more. */
      await rest(500);
      if (!refused) break;
      seat = 1;
      while (tried.has(seat)) seat += 1;
    }
  };
  const takeSeat = async () => {
    await (navigator.locks ? lockSeat() : askForSeat());
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

  /** Bring a place into view, and let it light up: it may have been there already. */
  const lead = (name) => {
    const place = find(name);
    if (!place) return;
    place.scrollIntoView({ block: "start", behavior: "smooth" });
    place.classList.remove("facepick-lit");
    void place.offsetWidth;
    place.classList.add("facepick-lit");
    setTimeout(() => place.classList.remove("facepick-lit"), 1600);
  };
  /* What a click opens, by the verb of its action. */
  const LEADS = { review: "review" };
  const LEAD_TRIES = 100;
  const leadOnceThere = (name) => {
    let left = LEAD_TRIES;
    const watch = setInterval(() => {
      const place = find(name);
      left -= 1;
      if (place && place.offsetHeight > 0) {
        clearInterval(watch);
        lead(name);
      } else if (left <= 0) clearInterval(watch);
    }, 100);
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
      if (node.dataset && node.dataset.facepickGoto) {
        lead(node.dataset.facepickGoto);
        return;
      }
      if (node.dataset && node.dataset.facepickAct) {
        event.preventDefault();
        act(node.dataset.facepickAct);
        const after = node.closest(".facepick-notices") ? "looking" : LEADS[node.dataset.facepickAct.split(":")[0]];
        if (after) leadOnceThere(after);
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

  /* Gradio 3 and 4 tell of a click on a picture only when another one was clicked in between: whoever
   * was picked last could not be let go.  A click on what gradio holds selected is told by the page. */
  const GALLERIES = ["people", "unsure_people", "bystanders", "tracks", "source_faces"];
  const clickedAgain = (event) => {
    const item = event.target instanceof Element && event.target.closest(".thumbnail-item.selected");
    const name = item && GALLERIES.find((gallery) => item.closest(`#facepick_${gallery}`));
    if (!name) return;
    event.stopPropagation();
    event.preventDefault();
    act(`${name}:${Array.from(find(name).querySelectorAll(".thumbnail-item")).indexOf(item)}`);
  };
  document.addEventListener("click", clickedAgain, true);

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
  const apart = ([under, over]) => under.currentTime - over.currentTime;
  /* Both at the middle of one frame: an edge would show the one or the other. */
  const showFrame = (box, by) => {
    const pair = sides(box);
    const rate = Number(box.dataset.facepickRate);
    const frame = Math.max(0, Math.floor(pair[0].currentTime * rate + 1e-4) + by);
    for (const video of pair) {
      video.pause();
      video.currentTime = (frame + 0.5) / rate;
    }
  };
  const split = (box) => {
    const share = Number(box.querySelector("input[type=range]").value);
    const changed = box.querySelector("[data-facepick-changed]").checked;
    const [, over] = sides(box);
    over.style.clipPath = changed ? "none" : `inset(0 0 0 ${share}%)`;
    over.style.mixBlendMode = changed ? "difference" : "normal";
    box.querySelector(".facepick-stage").classList.toggle("facepick-changed", changed);
    box.querySelector(".facepick-stage i").style.left = `${share}%`;
    const canvas = box.querySelector("canvas");
    canvas.hidden = !box.querySelector("[data-facepick-mark]").checked;
    if (!canvas.hidden && !canvas.dataset.facepickRuns) {
      if (sides(box)[0].paused) showFrame(box, 0);
      mark(box, canvas);
    }
  };
  /* Where the two differ more than another encoding explains: 8 levels a channel of the reduced
   * pictures, in which its noise is averaged, and at least 4 of the 9 pixels around. */
  const MARK_WIDTH = 320;
  const MARK_LEVELS = 24;
  /** Those pixels of which so many of the 9 around are set. */
  const withSoMany = (set, width, height, least) => {
    const found = new Uint8Array(set.length);
    for (let y = 1; y < height - 1; y += 1) {
      for (let x = 1; x < width - 1; x += 1) {
        let around = 0;
        for (const row of [-width, 0, width]) for (const column of [-1, 0, 1]) around += set[y * width + x + row + column];
        if (around >= least) found[y * width + x] = 1;
      }
    }
    return found;
  };
  /** Close gaps of at most 2 * MARK_REACH pixels, and fill what is enclosed: a face whose colours
   * happen to be those of a block there was changed as well. */
  const MARK_REACH = 4;
  const filled = (set, width, height) => {
    let closed = set;
    for (let i = 0; i < MARK_REACH; i += 1) closed = withSoMany(closed, width, height, 1);
    /* What the edge of the picture is connected with is outside. */
    const outside = new Uint8Array(set.length);
    const open = [0];
    outside[0] = 1;
    while (open.length) {
      const at = open.pop();
      const x = at % width;
      for (const next of [x > 0 ? at - 1 : -1, x < width - 1 ? at + 1 : -1, at - width, at + width]) {
        if (next >= 0 && next < set.length && !outside[next] && !closed[next]) {
          outside[next] = 1;
          open.push(next);
        }
      }
    }
    closed = outside.map((is) => 1 - is);
    for (let i = 0; i < MARK_REACH; i += 1) closed = withSoMany(closed, width, height, 9);
    return closed.map((is, i) => (is || set[i] ? 1 : 0));
  };
  /** How far the colour of each pixel of `b` is from what `a` has there; where `a` is a small copy, and
   * so less sharp, from all that it has within one pixel. */
  const apartBy = (a, b, width, small) => {
    const around = small ? [-width, 0, width].flatMap((row) => [-1, 0, 1].map((column) => 4 * (row + column))) : [0];
    return Uint16Array.from({ length: a.length / 4 }, (_, i) => {
      let far = 0;
      for (let at = 4 * i; at < 4 * i + 3; at += 1) {
        let least = 255;
        let most = 0;
        for (const by of around) {
          if (a[at + by] < least) least = a[at + by];
          if (a[at + by] > most) most = a[at + by];
        }
        far += Math.max(0, least - b[at], b[at] - most);
      }
      return far;
    });
  };
  const mark = (box, canvas) => {
    const pair = sides(box);
    const [width, height] = [MARK_WIDTH, Math.round((MARK_WIDTH * pair[0].videoHeight) / pair[0].videoWidth) || 180];
    canvas.width = width;
    canvas.height = height;
    const shown = canvas.getContext("2d");
    const looks = pair.map(() => Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true }));
    let last = "";
    canvas.dataset.facepickRuns = "1";
    const look = () => {
      if (canvas.hidden || !canvas.isConnected) {
        delete canvas.dataset.facepickRuns;
        return;
      }
      requestAnimationFrame(look);
      const now = pair.map((video) => `${video.currentTime}:${video.readyState}:${video.seeking}`).join();
      if (now === last || pair.some((video) => video.seeking || video.readyState < 2)) return;
      last = now;
      if (Math.abs(apart(pair)) * Number(box.dataset.facepickRate) >= 0.5) {
        shown.clearRect(0, 0, width, height);
        return;
      }
      const [a, b] = looks.map((picture, i) => {
        picture.drawImage(pair[i], 0, 0, width, height);
        return picture.getImageData(0, 0, width, height).data;
      });
      const far = apartBy(a, b, width, pair[0].videoWidth < pair[1].videoWidth);
      const differs = filled(withSoMany(far.map((levels) => (levels > MARK_LEVELS ? 1 : 0)), width, height, 4), width, height);
      const marks = shown.createImageData(width, height);
      differs.forEach((differ, i) => differ && marks.data.set([228, 30, 120, 130], 4 * i));
      shown.putImageData(marks, 0, 0);
    };
    look();
  };
  const told = (box) => {
    const rate = Number(box.dataset.facepickRate);
    const [under, over] = sides(box);
    /* What plays behind catches up within half a second: a seek would stall it again. */
    over.playbackRate = Math.min(1.5, Math.max(0.5, 1 + 2 * apart([under, over])));
    const seconds = box.dataset.facepickSeconds.replace("{s}", under.currentTime.toFixed(2));
    box.querySelector("output").textContent = `${seconds} · ${Math.floor(under.currentTime * rate + 1e-4)}`;
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
        return;
      }
    }
    showFrame(box, by);
  };
  document.addEventListener("toggle", ({ target }) => {
    if (target instanceof HTMLElement && target.classList.contains("facepick-compare") && target.open) openCompare(target);
  }, true);
  /* A player was given another video, maybe only after the fold was opened. */
  document.addEventListener("loadeddata", ({ target }) => {
    if (!(target instanceof Element) || !target.closest("#facepick_original, #facepick_result")) return;
    for (const box of root().querySelectorAll(".facepick-compare")) if (box.open) openCompare(box);
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

  /* The desk of the lines.  Arrows lead to the next line in time, space opens and plays it. */
  const deskLines = () =>
    Array.from(root().querySelectorAll(".facepick-said")).sort((a, b) => parseFloat(a.style.left) - parseFloat(b.style.left));
  const markRow = (key) => {
    for (const row of root().querySelectorAll("[data-facepick-row]")) {
      row.classList.toggle("facepick-marked", row.dataset.facepickRow === key);
    }
  };
  document.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element && target.matches(".facepick-said")) markRow(target.dataset.facepickLine);
  });
  document.addEventListener("keydown", (event) => {
    const line = event.target;
    if (!(line instanceof HTMLElement) || !line.matches(".facepick-said")) return;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (by) {
      const all = deskLines();
      const next = all[all.indexOf(line) + by];
      if (next) next.focus();
    } else if (event.key === " ") {
      act(`hear:${line.dataset.facepickLine}`);
    } else {
      return;
    }
    event.preventDefault();
  });
  /* A button that is pressed by its space bar clicks when the key goes up. */
  document.addEventListener("keyup", (event) => {
    if (event.key === " " && event.target instanceof Element && event.target.matches(".facepick-said")) event.preventDefault();
  });

  /* One line: play, trim, record. */
  const stripOf = (node) => node.closest(".facepick-strip");
  const edges = (strip) => Array.from(strip.querySelectorAll("input[type=range]"), (edge) => Number(edge.value));
  const showEdges = (strip) => {
    const [from, to] = edges(strip);
    const wave = strip.querySelector(".facepick-wave");
    wave.style.setProperty("--a", from);
    wave.style.setProperty("--b", to);
    strip.querySelector("output").textContent = `${(to - from).toFixed(2)} s`;
  };
  const playPart = (strip) => {
    const audio = strip.querySelector("audio");
    const mark = strip.querySelector(".facepick-playing");
    if (!audio.paused) {
      audio.pause();
      return;
    }
    [audio.currentTime] = edges(strip);
    const show = () => {
      /* Until it is where it begins it may still say where it ended. */
      if (audio.seeking) return;
      /* An edge may be dragged while it plays. */
      const [, to] = edges(strip);
      const over = audio.currentTime >= to;
      if (over) audio.pause();
      mark.style.setProperty("--at", over ? -1 : audio.currentTime);
    };
    const follow = () => {
      show();
      if (!audio.paused) requestAnimationFrame(follow);
    };
    /* A window in the background draws no frames, but its sound goes on. */
    audio.ontimeupdate = show;
    audio.play().then(follow, () => {});
  };
  const LONGEST_RECORDING_MS = 60000;
  /** A WAV file, 16 bit, of the first channel, as data URI. */
  const wavOf = async (blob) => {
    const context = new AudioContext();
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    context.close();
    const samples = sound.getChannelData(0);
    const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
    const words = (at, text) => Array.from(text).forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
    words(0, "RIFF");
    view.setUint32(4, 36 + samples.length * 2, true);
    words(8, "WAVEfmt ");
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true);
    view.setUint16(22, 1, true);
    view.setUint32(24, sound.sampleRate, true);
    view.setUint32(28, sound.sampleRate * 2, true);
    view.setUint16(32, 2, true);
    view.setUint16(34, 16, true);
    words(36, "data");
    view.setUint32(40, samples.length * 2, true);
    samples.forEach((value, i) => view.setInt16(44 + i * 2, Math.max(-1, Math.min(1, value)) * 32767, true));
    return new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result.replace(/^data:[^,]*,/, "data:audio/wav;base64,"));
      reader.readAsDataURL(new Blob([view.buffer]));
    });
  };
  let recorder = null;
  const record = async (strip, button) => {
    if (recorder) {
      recorder.stop();
      return;
    }
    const key = strip.dataset.facepickStrip;
    const output = strip.querySelector("output");
    let stream = null;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      output.textContent = strip.dataset.facepickRefused;
      return;
    }
    const words = button.textContent;
    const parts = [];
    const began = Date.now();
    const clock = setInterval(() => {
      output.textContent = `● ${((Date.now() - began) / 1000).toFixed(1)} s`;
    }, 100);
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = async () => {
      const taken = new Blob(parts, { type: recorder.mimeType });
      recorder = null;
      clearInterval(clock);
      for (const track of stream.getTracks()) track.stop();
      button.textContent = words;
      button.classList.remove("facepick-recording");
      try {
        act(`take:${key}=${await wavOf(taken)}`);
      } catch {
        output.textContent = "";
      }
    };
    recorder.start();
    button.textContent = button.dataset.facepickStop;
    button.classList.add("facepick-recording");
    setTimeout(() => recorder && recorder.state === "recording" && recorder.stop(), LONGEST_RECORDING_MS);
  };
  document.addEventListener("click", ({ target }) => {
    const button = target instanceof Element && target.closest("[data-facepick-strip-do]");
    const strip = button && stripOf(button);
    if (!strip) return;
    const what = button.dataset.facepickStripDo;
    if (what === "play") playPart(strip);
    if (what === "record") record(strip, button);
    if (what === "trim") {
      const begin = Number(strip.dataset.facepickBegin);
      const [from, to] = edges(strip);
      act(`trim:${strip.dataset.facepickStrip}=${(begin + from).toFixed(3)}:${(begin + to).toFixed(3)}`);
    }
  });
  document.addEventListener("input", ({ target }) => {
    const strip = target instanceof HTMLInputElement && stripOf(target);
    if (!strip) return;
    const [first, second] = strip.querySelectorAll("input[type=range]");
    /* Neither edge passes the other one. */
    if (target === first && Number(first.value) > Number(second.value) - 0.05) first.value = Number(second.value) - 0.05;
    if (target === second && Number(second.value) < Number(first.value) + 0.05) second.value = Number(first.value) + 0.05;
    showEdges(strip);
  });
  /** A strip that has just come: its line is marked in the table, and played if that was asked. */
  const greetStrip = () => {
    const strip = root().querySelector(".facepick-strip:not([data-facepick-met])");
    if (!strip) return;
    strip.dataset.facepickMet = "1";
    showEdges(strip);
    markRow(strip.dataset.facepickStrip);
    if (strip.dataset.facepickPlays === "1") playPart(strip);
    const button = strip.querySelector("[data-facepick-strip-do]");
    if (button && root().activeElement !== button) button.focus({ preventScroll: true });
    strip.scrollIntoView({ block: "nearest" });
    uncover(strip);
  };
  /** The strip stays at the window's lower edge, where what was clicked may be: that moves above it. */
  const uncover = (strip) => {
    const key = CSS.escape(strip.dataset.facepickStrip);
    const places = root().querySelectorAll(`tr[data-facepick-row="${key}"], .facepick-said[data-facepick-line="${key}"]`);
    const seen = Array.from(places, (place) => place.getBoundingClientRect()).filter(({ top, bottom }) => bottom > 0 && top < innerHeight);
    const below = Math.max(0, ...seen.map(({ bottom }) => bottom)) + 8 - strip.getBoundingClientRect().top;
    if (below > 0) window.scrollBy({ top: below });
  };
  setInterval(greetStrip, 150);

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
  const gradioWords = () => {
    const config = root().querySelector("[data-facepick-words]");
    try {
      return config ? JSON.parse(config.dataset.facepickWords) : {};
    } catch {
      return {};
    }
  };
  const translate = () => {
    const words = gradioWords();
    for (const place of root().querySelectorAll("#facepick_root :is(.wrap, .or, .record-button, .stop-button, .mic-wrap button)")) {
      for (const node of place.childNodes) {
        if (node.nodeType !== Node.TEXT_NODE) continue;
        const said = node.nodeValue.trim();
        if (words[said] && words[said] !== said) node.nodeValue = node.nodeValue.replace(said, words[said]);
      }
    }
    /* Gradio's sizes of files, as the page and SI write them. */
    for (const place of root().querySelectorAll("#facepick_root .file-preview :is(a, .download)")) {
      for (const node of place.childNodes) {
        if (node.nodeType === Node.TEXT_NODE && node.nodeValue.includes("KB")) node.nodeValue = node.nodeValue.replace("KB", "kB");
      }
    }
  };

  /* Gradio's messages on files of the wrong kind, in the page's words. */
  const translateToasts = () => {
    const toasts = document.querySelectorAll('[class*="toast"]');
    const config = toasts.length && root().querySelector("[data-facepick-wrong-file]");
    if (!config) return;
    for (const place of toasts) {
      for (const node of place.childNodes) {
        const told = node.nodeType === Node.TEXT_NODE && node.nodeValue.trim().startsWith("Invalid file type");
        if (!told) continue;
        node.nodeValue = config.dataset.facepickWrongFile;
        const title = place.closest('[class*="toast-body"]')?.querySelector('[class*="toast-title"]');
        if (title) title.textContent = gradioWords()[title.textContent.trim()] || title.textContent;
      }
    }
  };

  /* What a click has brought up shall be seen: below the bar, or above the window, it would not. */
  const TOLD = ["facts", "people_note", "edit_note", "what_problem", "speech_note", "source_note", "consent_problem", "season_note", "project_note"];
  const AFTER_ACT_MS = 10000;
  let lastAct = 0;
  for (const name of ["click", "change", "drop", "keydown"]) {
    document.addEventListener(name, () => (lastAct = Date.now()), true);
  }
  const toldBefore = new Map();
  const surface = () => {
    const bar = find("render_bar");
    for (const name of TOLD) {
      const box = root().querySelector(`#facepick_${name} :is(.facepick-problem, .facepick-calm, .facepick-good)`);
      const said = box ? box.textContent : "";
      if (toldBefore.get(name) === said) continue;
      const first = !toldBefore.has(name);
      toldBefore.set(name, said);
      if (first || !said || !bar || Date.now() - lastAct > AFTER_ACT_MS) continue;
      const { top, bottom } = box.getBoundingClientRect();
      if (top < 0 || bottom > bar.getBoundingClientRect().top) box.scrollIntoView({ block: "center", behavior: "smooth" });
    }
  };

  /* Once its people are found the first card folds, and the window would stand below their faces. */
  let folded = null;
  const keepPeopleInView = () => {
    const now = Boolean(root().querySelector("#facepick_video_title .facepick-fold"));
    const card = find("people_card");
    if (folded === false && now && card && card.getBoundingClientRect().top < 0) {
      card.scrollIntoView({ block: "start" });
    }
    folded = now;
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

  /* While a page waits for what was done in it before, it says so and shows nothing else: its cards
   * would stand there empty, in another language maybe. */
  const LANGUAGE = "facepick-language";
  const LONGEST_OPENING_MS = 30000;
  const openingWords = (config) => {
    let words = window.facepickOpening || {};
    let last = null;
    try {
      words = config ? JSON.parse(config.dataset.facepickOpeningWords) : words;
      last = localStorage.getItem(LANGUAGE);
    } catch {
      /* A private window: nothing to restore. */
    }
    const asked = (navigator.language || "").split("-")[0];
    const pair = words[last] || words[asked] || Object.values(words)[0];
    return pair ? pair[last ? 1 : 0] : "";
  };
  let builtAt = 0;
  const sayOpening = (place, config) => {
    builtAt = builtAt || Date.now();
    if (Date.now() - builtAt > LONGEST_OPENING_MS) {
      delete place.dataset.facepickOpening;
    } else if (!place.dataset.facepickOpening && config.dataset.facepickOpeningWords) {
      place.dataset.facepickOpening = openingWords(config);
    }
  };
  /* The standalone page says it before gradio has built anything. */
  let early = null;
  const sayEarly = () => {
    if (early || find("root") || !window.facepickOpening || !document.body) return;
    early = document.createElement("p");
    early.textContent = openingWords(null);
    early.style.cssText = "position:fixed;inset:45% 0 auto;margin:0;text-align:center;font:15px system-ui,sans-serif;color:#888";
    document.body.append(early);
  };
  sayEarly();

  /* Greet every page that is built, also by Reload UI, until it is heard: gradio attaches its
   * listeners some time after the elements are there. */
  const GREETING_MS = 1000;
  let lastGreeting = 0;
  const greet = () => {
    const place = find("root");
    const config = root().querySelector("[data-facepick-tick]");
    if (!place || !config) return;
    if (early) early.remove();
    if ("facepickGreeted" in config.dataset) {
      if (!builtAt) return;
      builtAt = 0;
      delete place.dataset.facepickOpening;
    } else {
      sayOpening(place, config);
      if (seated && !("facepickHeard" in config.dataset) && Date.now() - lastGreeting > GREETING_MS) {
        lastGreeting = Date.now();
        press("hello");
      }
    }
    try {
      if (config.dataset.facepickLanguage) localStorage.setItem(LANGUAGE, config.dataset.facepickLanguage);
    } catch {
      /* A private window. */
    }
  };
  setInterval(() => {
    greet();
    translateToasts();
    if (find("root")) {
      surface();
      keepPeopleInView();
    }
  }, 100);

  const tend = () => {
    look();
    translate();
    const bar = find("render_bar");
    if (bar) find("root").style.setProperty("--facepick-bar", `${bar.offsetHeight}px`);
  };
  setInterval(tend, 500);
})();
