/** The page: sign in, choose a camera, see it. All that is about calls and trust is CamwardViewer's. */

import { CallSocket } from "./call.js";
import { Fleet } from "./fleet.js";
import { showChoice, showDevices, showFigures, showIdentity, showSource } from "./panels.js";
import { sentence } from "./sentences.js";
import { CamwardViewer, obstacle } from "./viewer.js";

const REFRESH_MS = 500; // however many statuses come, the list is asked for no more often
const STATES = { calling: "Calling…", connecting: "Connecting…", live: "Live", reconnecting: "Reconnecting…", ended: "Ended" };

const at = (id) => document.getElementById(id);
const player = at("player");
const video = player.querySelector("video");
const fleet = new Fleet(location.origin);
const calls = new CallSocket(location.origin);
const trusted = new Map(); // device id -> Device of its last grant: its statuses can be verified here
let devices = [];
let chosen = null;
let chosenCamera = ""; // of that device's, where it has several
let viewer = null;
let refreshing = null;

/** Show the sentence of a code, or none. */
function say(code = null) {
  at("message").textContent = code ? sentence(code) : "";
  at("message").dataset.code = code ?? "";
  at("message").hidden = !code;
}

async function refresh() {
  try {
    devices = await fleet.devices();
    showCameras();
    if (at("message").dataset.code === "unreachable") say();
  } catch ({ code }) {
    if (code !== "signed-out") return say(code);
    if (!at("sign-in").hidden) return; // it stands there already, with the sentence why
    const wasSignedIn = !at("cameras").hidden;
    showSignIn();
    if (wasSignedIn) say(code);
  }
}

function refreshSoon() {
  refreshing ??= setTimeout(() => {
    refreshing = null;
    refresh();
  }, REFRESH_MS);
}

function showSignIn() {
  close();
  calls.close();
  trusted.clear();
  for (const id of ["cameras", "sign-out", "relay"]) at(id).hidden = true;
  at("sign-in").hidden = false;
  say(obstacle());
  at("code").focus();
}

function showCameras() {
  at("sign-in").hidden = true;
  at("cameras").hidden = at("sign-out").hidden = false;
  at("none").hidden = devices.length > 0;
  showDevices(at("devices"), devices, chosen);
  calls.open();
}

async function signIn(code) {
  say();
  try {
    await fleet.signIn(code.trim());
    at("code").value = "";
    say(obstacle());
    await refresh();
  } catch (failure) {
    showSignIn();
    say(failure.code);
  }
}

/** A status counts once it is verified; for a camera without a grant so far, the fleet is asked. */
async function heard({ device, message }) {
  const entry = devices.find(({ id }) => id === device);
  try {
    const { payload } = await trusted.get(device).believe(message, "status");
    entry.presence = payload.presence;
    showDevices(at("devices"), devices, chosen);
    if (device === chosen && payload.cameras.length === 0) showSource(at("identity"), payload.camera); // a camera that slept says it once it is awake
  } catch {
    refreshSoon();
  }
}

function choose(id, camera = "") {
  close(id);
  chosen = id;
  chosenCamera = camera;
  say();
  at("title").textContent = devices.find((device) => device.id === id)?.label || id;
  at("close").hidden = false;
  showDevices(at("devices"), devices, chosen);
  viewer = new CamwardViewer({ video, device: id, camera, calls });
  const started = viewer;
  const on = (type, act) => viewer.addEventListener(type, ({ detail }) => viewer === started && act(detail));
  on("state", ({ state }) => showState(state));
  on("granted", (device) => trusted.set(id, device));
  on("cameras", ({ names, chosen: shown }) => showChoice(at("which"), names, shown));
  on("identity", (identity) => showIdentity(at("identity"), identity));
  on("figures", (figures) => {
    showFigures(at("figures"), figures);
    const still = viewer.state === "live" && figures.fps === 0;
    if (still || at("message").dataset.code === "still") say(still ? "still" : null);
  });
  on("blocked", ({ code }) => {
    say(code);
    at("play").hidden = false;
  });
  on("failed", ({ code, again }) => (again ? hidePanels() : failed(code)));
  viewer.start();
}

function failed(code) {
  hidePanels();
  if (code === "signed-out") showSignIn();
  say(code);
}

function showState(state) {
  player.dataset.state = state;
  at("state").textContent = STATES[state];
  at("hint").textContent = state === "ended" ? "There is no picture." : STATES[state];
  at("retry").hidden = state !== "ended";
  at("fullscreen").hidden = !["live", "reconnecting"].includes(state);
  if (state === "live" || state === "ended") at("play").hidden = true;
  if (state === "live") say();
}

/** Hide what was said of a call, and forget it: nothing of one camera is ever read as another's. */
function hidePanels() {
  at("identity").hidden = at("figures").hidden = at("play").hidden = true;
  for (const list of [at("figures"), at("identity").querySelector("dl")]) list.replaceChildren();
  at("verified").textContent = "";
}

/** Stop the chosen camera and show none, before `next` if there is one; what it has to choose from stays, with the focus. */
function close(next = null) {
  if (next !== chosen) showChoice(at("which"), [], "");
  const stopped = viewer;
  viewer = chosen = null;
  stopped?.stop();
  hidePanels();
  player.dataset.state = "ended";
  at("title").textContent = "No camera chosen";
  at("hint").textContent = "Choose a camera to see its picture.";
  at("state").textContent = "";
  for (const id of ["retry", "close", "fullscreen"]) at(id).hidden = true;
  showDevices(at("devices"), devices, chosen);
}

/** The code of a sign-in link leaves the address bar, and so the history, before anything else happens. */
function codeOfAddress() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code !== null) history.replaceState(null, "", location.pathname + location.search);
  return code;
}

function begin() {
  const code = codeOfAddress();
  if (code) signIn(code);
  else refresh();
}

at("origin").textContent = location.host;
at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(at("code").value);
});
at("sign-out").addEventListener("click", async () => {
  close();
  await fleet.signOut().catch(({ code }) => say(code));
  refresh();
});
at("camera").addEventListener("change", ({ target }) => choose(chosen, target.value));
at("devices").addEventListener("click", ({ target }) => {
  const item = target.closest("li[data-device]");
  if (item) choose(item.dataset.device);
});
at("close").addEventListener("click", () => {
  close();
  say();
});
at("retry").addEventListener("click", () => choose(chosen, chosenCamera));
at("play").addEventListener("click", () => {
  at("play").hidden = true;
  say();
  viewer.play();
});
at("fullscreen").addEventListener("click", () => video.requestFullscreen().catch(() => {}));
document.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || !chosen) return;
  close();
  say();
});
calls.addEventListener("status", ({ detail }) => heard(detail));
calls.addEventListener("refused", ({ detail }) => detail.code === "revoked" && refreshSoon());
calls.addEventListener("open", () => (at("relay").hidden = true));
calls.addEventListener("closed", () => {
  at("relay").hidden = false;
  refreshSoon(); // finds out whether the service is gone or the sign-in is
});
globalThis.addEventListener("hashchange", begin);
say(obstacle());
begin();
