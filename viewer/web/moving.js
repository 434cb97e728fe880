/** Brings a session over to another connection when nothing comes any more: somebody's network has changed. */

import { Failure } from "./sentences.js";

const LOOK_MS = 250;
const SILENCE_MS = 1_600; // without a byte, and the session moves: reports come every 1.5 s, also without pictures
const LONGEST_SILENCE_MS = 8_000; // where moving brings nothing, each time twice as long is waited
const BACK_MS = 1_000; // a connection that brings something again for so long is no more silent: nothing moves
const STEADY_MS = 2_000; // a connection that was heard for so long has earned the shortest wait again
const ANSWER_MS = 2_000; // for the answer to a move; then another is made, from wherever the browser is by then
const TAKE_OVER_MS = 4_000; // from that answer to the connection
const GIVEN_UP_MS = 20_000; // a camera keeps the session of a viewer that vanished for a few seconds more
const MOST_UNANSWERED = 3; // moves that went out: then the camera has forgotten the session
const FRUITLESS = new Set(["ice-failed", "relay-closed", "relay-credential", "left"]); // of one try, and not of the session

/**
 * `make` gives a Peer that goes on in another one's session, `anew` a promise of the ICE servers to use once the way to
 * the cameras stands anew, or of null when it does not. `onSilent` hears when a session begins to move, `onBack` that it
 * need not any more, `onMoved` gets the Peer that has taken over, and `onLost` a Failure when none will.
 */
export class Mover {
  #make;
  #anew;
  #onSilent;
  #onBack;
  #onMoved;
  #onLost;
  #peer = null;
  #next = null;
  #timer = null;
  #bytes = -1;
  #heardMs = 0;
  #backMs = 0; // something came again, after the session had begun to move
  #sinceMs = 0; // the peer took over
  #silenceMs = SILENCE_MS;
  #movingMs = null; // when the session began to move
  #triedMs = 0;
  #unanswered = 0;

  constructor({ make, anew, onSilent, onBack, onMoved, onLost }) {
    this.#make = make;
    this.#anew = anew;
    this.#onSilent = onSilent;
    this.#onBack = onBack;
    this.#onMoved = onMoved;
    this.#onLost = onLost;
  }

  get moving() {
    return this.#movingMs !== null;
  }

  /** The Peer that speaks for the session while it moves, or null. */
  get speaker() {
    return this.#next;
  }

  /** Look after a connected Peer from now on. */
  follow(peer) {
    clearInterval(this.#timer);
    this.#peer = peer;
    this.#next = null;
    this.#bytes = -1;
    this.#movingMs = null;
    this.#heardMs = this.#sinceMs = performance.now();
    this.#timer = setInterval(() => this.#look(peer), LOOK_MS);
  }

  /** The network has changed: go over at once, whatever was tried before. */
  elsewhere() {
    if (!this.#peer) return;
    this.#begin(performance.now());
    this.#try(performance.now());
  }

  /** Look after none. Harmless twice. */
  stop() {
    clearInterval(this.#timer);
    this.#next?.close();
    this.#peer = this.#next = null;
  }

  async #look(peer) {
    const bytes = await peer.bytesReceived;
    const now = performance.now();
    if (peer !== this.#peer) return;
    if (bytes !== this.#bytes) this.#heard(bytes, now);
    if (this.moving ? now - this.#triedMs >= this.#limitMs() : now - this.#heardMs >= this.#silenceMs) {
      this.#begin(now);
      this.#try(now);
    }
  }

  #heard(bytes, now) {
    if (!this.moving && now - this.#sinceMs > STEADY_MS) this.#silenceMs = SILENCE_MS;
    if (this.#heardMs < this.#movingMs || now - this.#heardMs >= SILENCE_MS) this.#backMs = now;
    this.#bytes = bytes;
    this.#heardMs = now;
    // Where the camera has answered, it may have gone over already: then the other connection decides.
    if (this.moving && now - this.#backMs >= BACK_MS && !this.#next.verified && !this.#peer.over) this.#back(now);
  }

  #back(now) {
    this.#peer.takeBack(this.#next);
    this.#next = null;
    this.#movingMs = null;
    this.#sinceMs = now;
    this.#onBack();
  }

  #limitMs() {
    return this.#next?.verified ? ANSWER_MS + TAKE_OVER_MS : ANSWER_MS;
  }

  #begin(now) {
    if (this.moving) return;
    this.#movingMs = now;
    this.#unanswered = 0;
    this.#silenceMs = Math.min(2 * this.#silenceMs, LONGEST_SILENCE_MS);
    this.#onSilent();
  }

  async #try(now) {
    if (now - this.#movingMs > GIVEN_UP_MS || this.#unanswered >= MOST_UNANSWERED) {
      return this.#onLost(new Failure("ice-failed", "the session could not be moved"));
    }
    this.#triedMs = now;
    const before = this.#next;
    const next = this.#make(before ?? this.#peer); // before the other is closed, which else would say bye
    before?.close();
    this.#next = next;
    next.addEventListener("connected", () => next === this.#next && this.#onMoved(next));
    next.addEventListener("over", ({ detail }) => {
      if (next === this.#next && !FRUITLESS.has(detail.code)) this.#onLost(detail);
    });
    next.addEventListener("answered", () => (this.#unanswered = 0));
    const iceServers = await this.#anew();
    if (!iceServers || next !== this.#next) return;
    this.#triedMs = performance.now();
    this.#unanswered += 1;
    await next.move(iceServers);
  }
}
