/** What the page shows of a camera: its entry in the list, its identity, its figures. Text only ever goes in as text. */

const PRESENCE = { online: "Online", offline: "Offline", unknown: "Not known" };

const FIGURES = {
  resolution: ["Resolution", ({ width, height }) => width && `${width} × ${height}`],
  fps: ["Frames", ({ fps }) => fps !== null && `${fps} fps`],
  bitrate: ["Bitrate", ({ bitrateBps }) => bitrateBps !== null && `${(bitrateBps / 1e6).toFixed(2)} Mbit/s`],
  "round-trip": ["Round trip", ({ roundTripMs }) => roundTripMs !== null && `${roundTripMs} ms`],
  latency: ["Latency", ({ latencyMs }) => latencyMs !== null && `about ${latencyMs} ms`, explainLatency],
  lost: ["Packets lost", ({ packetsLost }) => packetsLost !== null && `${packetsLost}`],
  "first-picture": ["Click to picture", ({ firstPictureMs }) => firstPictureMs !== null && `${firstPictureMs} ms`],
};

/** Fill `list` with [{id, label, presence}]; a list that only changes its words keeps the focus. */
export function showDevices(list, devices, chosen) {
  const had = new Map([...list.children].map((item) => [item.dataset.device, item]));
  const items = devices.map((device) => {
    const item = had.get(device.id) ?? entry(device.id);
    const [button] = item.children;
    const [label, presence] = button.children;
    label.textContent = device.label || device.id;
    presence.textContent = PRESENCE[device.presence] ?? PRESENCE.unknown;
    item.dataset.presence = device.presence;
    button.setAttribute("aria-current", String(device.id === chosen));
    return item;
  });
  if (items.length !== had.size || items.some((item, place) => list.children[place] !== item)) list.replaceChildren(...items);
}

/** Show who the camera is; only ever called with what has been verified. */
export function showIdentity(panel, identity) {
  const { origin, label, device, camera, software, subject, notAfter, fingerprint, dtlsFingerprint } = identity;
  panel.querySelector("#verified").textContent = "Verified";
  const inDtls = dtlsFingerprint === fingerprint ? "equal to the one in DTLS" : "held to by DTLS in this browser";
  fill(panel.querySelector("dl"), [
    ["label", "Camera", label],
    ["id", "Id", device],
    ["origin", "Vouched for by", origin],
    ["camera", "Source", camera],
    ["software", "Software", software],
    ["subject", "Certificate made out to", subject],
    ["until", "Valid until", `${notAfter.toISOString().slice(0, 16).replace("T", " ")} UTC`],
    ["dtls", "Encrypted connection", `Fingerprint ${inDtls}`],
    ["fingerprint", "SHA-256 of the certificate", fingerprint],
  ]);
  panel.hidden = false;
}

/** Offer the choice between a device's cameras, where there is one; `shown` is the one that is called. */
export function showChoice(label, names, shown) {
  label.hidden = names.length < 2;
  label.querySelector("select").replaceChildren(...names.map((name) => new Option(name, name, name === shown, name === shown)));
}

/** Show where the picture comes from, as the camera's newest status says it; a panel that shows nothing stays so. */
export function showSource(panel, camera) {
  const value = panel.querySelector("[data-testid=camera]");
  if (value && camera) value.textContent = camera;
}

/** Show figures; a dash where one is not known yet. */
export function showFigures(list, figures) {
  const rows = Object.entries(FIGURES);
  fill(list, rows.map(([name, [title, say, explain]]) => [name, title, say(figures) || "–", explain?.(figures)]));
  list.hidden = false;
}

function explainLatency({ latencyMs, latencyWithinMs }) {
  if (latencyMs === null) return "Not known: camera and browser have not compared their clocks";
  return (
    "From the camera's capture to when this page has the picture, by the camera's clock as the browser measured it: " +
    `good to ±${latencyWithinMs} ms. What sensor, encoder and screen always take comes on top.`
  );
}

function entry(id) {
  const item = element("li");
  const button = element("button");
  item.dataset.device = id;
  button.type = "button";
  button.append(element("span", "label"), element("span", "presence"));
  item.append(button);
  return item;
}

/** Rows of [name, title, value, explanation or none]; the value's element carries the name as data-testid. */
function fill(list, rows) {
  const values = new Map([...list.querySelectorAll("dd")].map((value) => [value.dataset.testid, value]));
  if (values.size !== rows.length) {
    values.clear();
    list.replaceChildren(...rows.map(([name, title]) => {
      const row = element("div");
      const value = element("dd");
      value.dataset.testid = name;
      values.set(name, value);
      const term = element("dt");
      term.textContent = title;
      row.append(term, value);
      return row;
    }));
  }
  for (const [name, , text, explanation = ""] of rows) {
    const value = values.get(name);
    value.textContent = text;
    value.parentElement.title = explanation;
  }
}

function element(tag, className = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  return made;
}
