/** The fleet service's HTTP API: sign in, which cameras there are, a grant for one of them. */

import { Failure } from "./sentences.js";

/** One fleet service at `origin`. Every call rejects with a Failure: the service's own code, or `unreachable`. */
export class Fleet {
  #fetch;

  constructor(origin, fetch = (...request) => globalThis.fetch(...request)) {
    this.origin = new URL(origin).origin;
    this.#fetch = fetch;
  }

  /** Trade a one-time code for a cookie. */
  signIn(code) {
    return this.#ask("POST", "/v1/sign-in", { code });
  }

  signOut() {
    return this.#ask("POST", "/v1/sign-out");
  }

  /** Give [{id, label, presence}]. */
  async devices() {
    return (await this.#ask("GET", "/v1/devices")).devices;
  }

  /** Give {grant, caller, device: {id, label, keys}, ice_servers} for the viewer's public key. */
  grant(device, jwk) {
    return this.#ask("POST", "/v1/grants", { device, jwk, scope: "live" });
  }

  async #ask(method, path, content) {
    const request = { method, credentials: "same-origin", cache: "no-store" };
    if (content) Object.assign(request, { body: JSON.stringify(content), headers: { "Content-Type": "application/json" } });
    try {
      const response = await this.#fetch(new URL(path, this.origin), request);
      if (response.status === 204) return null;
      const body = await response.json();
      if (response.ok) return body;
      throw new Failure(typeof body.error === "string" ? body.error : "unreachable", `${path}: ${response.status}`);
    } catch (cause) {
      throw cause instanceof Failure ? cause : new Failure("unreachable", `${path} does not answer`, { cause });
    }
  }
}
