"use strict";
// Everything shown is put in as text, never as markup. Rows and cards are kept and updated, so that nothing flickers
// and no running stream is opened anew.
(() => {
  const config = JSON.parse(document.body.dataset.config);
  const byId = (id) => document.getElementById(id);
  const PERIOD = 1500, TIMEOUT = 5000, RETRY = 2000;
  // A browser opens six connections to a host over HTTP/1.1: more live streams would starve everything else.
  const h2 = performance.getEntriesByType("navigation")[0]?.nextHopProtocol === "h2";
  const MAX_LIVE = h2 ? 64 : 4;

  const make = (tag, className = "", text = "") => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text) element.textContent = text;
    return element;
  };
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const shape = (element, className) => { if (element.className !== className) element.className = className; };

  const TONES = {
    Synced: "good", Healthy: "good", Online: "good", OutOfSync: "busy", Progressing: "busy", Starting: "busy",
    Degraded: "bad", Missing: "bad", Failed: "bad", Stalled: "bad",
  };
  const setPill = (element, word) => { shape(element, `pill ${TONES[word] || ""}`); put(element, word || "unknown"); };

  const size = (bytes) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let n = Number(bytes) || 0, i = 0;
    while (n >= 1024 && i < units.length - 1) { n /= 1024; i += 1; }
    return `${i && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
  };
  const length = (seconds) => {
    const s = Math.max(0, Math.round(seconds)), two = (n) => String(n).padStart(2, "0");
    return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
  };
  const safePath = (path) => String(path).split("/").map(encodeURIComponent).join("/");

  // One element a key, in the order of the items; what has no item any more is removed.
  const keep = (parent, known, items, keyOf, create, update) => {
    const wanted = new Set();
    let before = null;
    for (const item of items) {
      const key = keyOf(item);
      wanted.add(key);
      if (!known.has(key)) known.set(key, create(item));
      const entry = known.get(key);
      update(entry, item);
      const place = before ? before.nextSibling : parent.firstChild;
      // Moving an image in the document would restart it.
      if (entry.root !== place) parent.insertBefore(entry.root, place);
      before = entry.root;
    }
    for (const [key, entry] of known) {
      if (!wanted.has(key)) { entry.end?.(); entry.root.remove(); known.delete(key); }
    }
  };

  // -- cameras ------------------------------------------------------------------------------------------------
  const cards = new Map();
  const live = [];

  const cardOf = (camera) => {
    const root = make("figure", "camera"), screen = make("button", "screen"), image = make("img", "waiting");
    const said = make("span", "said"), mode = make("span", "mode"), caption = make("figcaption");
    const left = make("div"), pill = make("span", "pill");
    const name = make("div", "name", camera.name), about = make("div", "about");
    screen.type = "button";
    screen.title = "Show live";
    image.alt = `Live picture of ${camera.name}`;
    left.append(name, about);
    caption.append(left, pill);
    screen.append(image, said, mode);
    root.append(screen, caption);
    const card = { root, image, said, mode, about, pill, name: camera.name, timer: 0, state: "" };
    image.addEventListener("load", () => {
      image.classList.remove("waiting");
      put(said, "");
      if (!isLive(card)) again(card, RETRY);
    });
    image.addEventListener("error", () => {
      image.classList.add("waiting");
      put(said, card.state || "No picture yet");
      again(card, RETRY);
    });
    screen.addEventListener("click", () => { goLive(card); show(card); });
    card.end = () => { clearTimeout(card.timer); image.removeAttribute("src"); forget(card); };
    put(said, "Waiting for the first picture");
    if (live.length < MAX_LIVE) live.push(card);
    show(card);
    return card;
  };
  const isLive = (card) => live.includes(card);
  const forget = (card) => { if (isLive(card)) live.splice(live.indexOf(card), 1); };
  const goLive = (card) => {
    if (isLive(card)) return;
    if (live.length >= MAX_LIVE) show(live.shift());
    live.push(card);
  };
  const again = (card, delay) => { clearTimeout(card.timer); card.timer = setTimeout(() => show(card), delay); };
  const show = (card) => {
    clearTimeout(card.timer);
    put(card.mode, isLive(card) ? "LIVE" : "STILL");
    shape(card.mode, isLive(card) ? "mode" : "mode still");
    if (document.hidden) { card.image.removeAttribute("src"); return; }
    const base = isLive(card) ? config.stream : config.snapshot;
    // Another address each time: a browser does not ask again for one that it believes to have.
    card.image.src = `${base}/${encodeURIComponent(card.name)}?t=${Date.now()}`;
  };
  // A page that nobody sees holds no camera open.
  document.addEventListener("visibilitychange", () => { for (const card of cards.values()) show(card); });

  const showCameras = (devices) => {
    keep(byId("cameras"), cards, devices, (d) => d.name, cardOf, (card, d) => {
      setPill(card.pill, d.state);
      card.pill.title = [d.reason, d.message].filter(Boolean).join(": ");
      card.state = ["Failed", "Busy", "Missing", "Stalled"].includes(d.state) ? d.message || d.reason || d.state : "";
      const facts = [];
      if (d.width && d.height) facts.push(`${d.width}×${d.height}`);
      if (d.captured_fps) facts.push(`${Number(d.captured_fps).toFixed(1)} fps`);
      facts.push(`${d.viewers || 0} viewer${d.viewers === 1 ? "" : "s"}`);
      put(card.about, facts.join(" · "));
    });
    put(byId("cameras-count"), devices.length ? String(devices.length) : "");
    byId("cameras-empty").hidden = devices.length > 0;
  };

  // -- resources ----------------------------------------------------------------------------------------------
  const rows = new Map();
  const rowOf = () => {
    const root = make("tr"), cells = Array.from({ length: 6 }, () => make("td"));
    const kind = make("span", "kind"), name = make("span"), sync = make("span", "pill"), health = make("span", "pill");
    const reason = make("span"), message = make("span", "message");
    cells[0].append(kind, name); cells[1].append(sync); cells[2].append(health); cells[3].append(reason, message);
    cells[4].className = cells[5].className = "number";
    root.append(...cells);
    return { root, kind, name, sync, health, reason, message, pid: cells[4], restarts: cells[5] };
  };
  const showResources = (resources) => {
    keep(byId("resources").tBodies[0], rows, resources, (r) => `${r.kind}/${r.name}`, rowOf, (row, r) => {
      put(row.kind, `${r.kind}/`); put(row.name, r.name);
      setPill(row.sync, r.sync); setPill(row.health, r.health);
      put(row.reason, r.reason || ""); put(row.message, r.message || "");
      put(row.pid, r.pid ? String(r.pid) : "–"); put(row.restarts, String(r.restarts || 0));
    });
    put(byId("resources-count"), String(resources.length));
  };

  // -- recordings ---------------------------------------------------------------------------------------------
  const files = new Map();
  const fileOf = () => {
    const root = make("tr"), cells = ["path", "", "number", "number"].map((c) => make("td", c));
    const link = make("a"), growing = make("span", "growing", "recording");
    link.target = "_blank"; link.rel = "noopener";
    cells[0].append(link, growing);
    root.append(...cells);
    return { root, link, growing, camera: cells[1], length: cells[2], size: cells[3] };
  };
  const showRecordings = (recordings) => {
    keep(byId("recordings").tBodies[0], files, recordings, (r) => r.path, fileOf, (file, r) => {
      const parts = String(r.path).split("/");
      const name = r.finished ? String(r.path) : `${r.capture || parts[1] || ""}: ${new Date(r.start * 1000).toLocaleTimeString()}`;
      put(file.link, name);
      const address = `${config.recordings}/${safePath(r.path)}`;
      if (file.link.getAttribute("href") !== address) file.link.href = address;
      file.growing.hidden = Boolean(r.finished);
      put(file.camera, r.camera || ""); put(file.length, length(r.end - r.start)); put(file.size, size(r.bytes));
    });
    put(byId("recordings-count"), recordings.length ? String(recordings.length) : "");
    byId("recordings-empty").hidden = recordings.length > 0;
  };

  // -- the stack and its notices ------------------------------------------------------------------------------
  const notices = new Map();
  const noticeOf = (notice) => {
    const root = make("div", `notice ${notice.tone}`), title = make("h3"), text = make("p"), list = make("ul");
    root.append(title, text, list);
    return { root, title, text, list, said: "" };
  };
  const showNotices = (wanted) => keep(byId("notices"), notices, wanted, (n) => n.key, noticeOf, (entry, n) => {
    const said = JSON.stringify(n);
    if (entry.said === said) return;
    entry.said = said;
    put(entry.title, n.title); put(entry.text, n.text);
    entry.list.replaceChildren(...(n.problems || []).map((p) => {
      const item = make("li"), place = make("code", "", `${p.file}:${p.line}:${p.column}`);
      item.append(place, ` ${p.path ? `${p.path}: ` : ""}${p.message}`);
      if (p.hint) item.append(make("span", "hint", ` (${p.hint})`));
      return item;
    }));
  });

  const facts = { sync: make("span", "pill"), health: make("span", "pill"), revision: make("span", "pill bare") };
  byId("facts").append(facts.revision, facts.sync, facts.health);

  let seen = null, down = "", hubDown = false;
  const showStack = () => {
    const wanted = [];
    const status = seen?.status || {}, stack = status.stack || {};
    if (down) {
      const since = seen ? ` The states below are from ${seen.at.toLocaleTimeString()}.` : "";
      wanted.push({ key: "down", tone: "", title: "The control plane does not answer", text: `Video and recordings go on without it; changes to the stack file wait.${since} (${down})` });
    }
    if (hubDown) wanted.push({ key: "hub", tone: "bad", title: "The hub does not answer", text: "No pictures until it does; it is started again by itself." });
    if (!down && status.problems?.length) {
      wanted.push({ key: "problems", tone: "bad", title: "The stack file has errors", text: `Revision ${stack.revision ?? "–"} keeps running until they are corrected.`, problems: status.problems });
    }
    if (!down && status.rejected) wanted.push({ key: "rejected", tone: "bad", title: "The last change was undone", text: status.rejected });
    showNotices(wanted);
    put(byId("name"), stack.name || "vidops");
    document.title = stack.name ? `${stack.name} – vidops` : "vidops";
    put(byId("file"), stack.path || "");
    facts.revision.hidden = stack.revision === undefined;
    put(facts.revision, `revision ${stack.revision ?? "–"}`);
    setPill(facts.sync, down ? "" : status.sync); setPill(facts.health, down ? "" : status.health);
    byId("resources").parentElement.classList.toggle("stale", Boolean(down));
  };

  // -- asking -------------------------------------------------------------------------------------------------
  const ask = async (address) => {
    const response = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail || answer.title || `HTTP ${response.status}`);
    return answer;
  };
  const repeat = async (step) => {
    for (;;) {
      if (!document.hidden) await step();
      await new Promise((resolve) => setTimeout(resolve, PERIOD));
    }
  };
  repeat(async () => {
    try {
      const status = await ask(config.status);
      seen = { status, at: new Date() };
      down = "";
      showResources(status.resources || []);
    } catch (error) { down = String(error.message || error); }
    showStack();
  });
  repeat(async () => {
    try {
      const answer = await ask(config.devices);
      hubDown = answer.hub !== undefined && answer.hub !== "connected";
      showCameras(answer.devices || []);
    } catch { /* the gateway is away for a moment: what is shown stays, and the next turn asks again */ }
  });
  repeat(async () => {
    try { showRecordings((await ask(`${config.recordings}?limit=30`)).recordings || []); }
    catch { /* as above */ }
  });
})();
