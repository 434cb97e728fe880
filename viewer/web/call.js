/** The WebSocket to the fleet service, which relays signed messages and can read, drop or repeat them, but not make them. */

import { MAX_MESSAGE, peek, typOf } from "./jws.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const STEADY_MS = 5_000; // a socket that lived for this long starts the backoff anew
const YOUNG_MS = 1_000; // a socket made so short a time ago is from the present network
const ANEW_MS = 2_000;
const MOST_DEVICES = 1_000;

/**
 * One socket for all viewers of a page; comes back by itself until it is closed.
 *
 * Events: `open`, `closed`, `status` {device, message}, `message` {device, message}, `refused` {device, code};
 * a `message` has been taken apart by `peek` and is not to be believed yet.
 */
export class CallSocket extends EventTarget {
  #address;
  #socket = null;
  #timer = null;
  #waitMs = FIRST_WAIT_MS;
  #beganMs = 0; // when the present socket was made
  #statuses = new Map(); // the newest of each device on this connection; the service repeats them on the next

  constructor(origin) {
    super();
    this.#address = new URL("/v1/call", origin);
    this.#address.protocol = this.#address.protocol === "https:" ? "wss:" : "ws:";
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Connect now, also in the middle of a wait; harmless when connected. */
  open() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#socket) this.#connect();
  }

  /** Connect once more, from wherever the browser is now; resolves to whether that came about in time. */
  anew() {
    if (!this.#socket || performance.now() - this.#beganMs > YOUNG_MS) {
      clearTimeout(this.#timer);
      const before = this.#socket;
      this.#connect();
      before?.close();
    }
    if (this.connected) return Promise.resolve(true);
    return new Promise((resolve) => {
      const late = AbortSignal.timeout(ANEW_MS);
      late.addEventListener("abort", () => resolve(false));
      this.addEventListener("open", () => resolve(true), { once: true, signal: late });
    });
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    this.#statuses.clear();
    socket?.close();
  }

  /** The newest status of a device, not believed yet, or undefined. */
  status(device) {
    return this.#statuses.get(device);
  }

  /** Send a compact message to a device; false when there is no connection. */
  send(device, message) {
    if (!this.connected) return false;
    this.#socket.send(JSON.stringify({ device, message }));
    return true;
  }

  #connect() {
    const socket = new WebSocket(this.#address);
    let openedMs = Infinity;
    this.#socket = socket;
    this.#beganMs = performance.now();
    socket.onopen = () => {
      openedMs = performance.now();
      if (this.#socket !== socket) return;
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = ({ data }) => this.#socket === socket && this.#arrived(data);
    socket.onclose = () => {
      if (this.#socket !== socket) return; // closed by us
      this.#socket = null;
      this.#statuses.clear();
      if (performance.now() - openedMs > STEADY_MS) this.#waitMs = FIRST_WAIT_MS;
      this.#timer = setTimeout(() => this.open(), this.#waitMs * (0.5 + Math.random() / 2));
      this.#waitMs = Math.min(2 * this.#waitMs, LONGEST_WAIT_MS);
      this.dispatchEvent(new Event("closed"));
    };
  }

  #arrived(frame) {
    let device, message, code;
    try {
      if (frame.length > 2 * MAX_MESSAGE) return;
      ({ device, message, error: code } = JSON.parse(frame));
      if (typeof code === "string") return this.#tell("refused", { device, code });
      message = peek(message);
    } catch {
      return; // neither JSON nor a message: nothing that could be acted upon
    }
    if (message.typ !== typOf("status")) return this.#tell("message", { device, message });
    if (!this.#statuses.has(device) && this.#statuses.size >= MOST_DEVICES) return;
    this.#statuses.set(device, message);
    this.#tell("status", { device, message });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
