/** Live figures of a picture, from the browser's own statistics (W3C webrtc-stats). */

/** Counts between two looks: `take(stats, nowMs)` once a second. */
export class Figures {
  #last = null;

  /** Give {width, height, fps, bitrateBps, roundTripMs, packetsLost, framesDecoded}; null for what is not known yet. */
  take(stats, nowMs) {
    const entries = [...stats.values()];
    const video = entries.find(({ type, kind }) => type === "inbound-rtp" && kind === "video") ?? {};
    const transport = entries.find(({ type }) => type === "transport");
    const isNominated = ({ type, nominated }) => type === "candidate-pair" && nominated;
    const pair = stats.get(transport?.selectedCandidatePairId) ?? entries.find(isNominated);
    const now = { nowMs, bytes: video.bytesReceived ?? 0, frames: video.framesDecoded ?? 0 };
    const seconds = this.#last ? (nowMs - this.#last.nowMs) / 1000 : 0;
    const rate = (name) => (seconds > 0 ? (now[name] - this.#last[name]) / seconds : null);
    const [bytesPerSecond, fps] = [rate("bytes"), rate("frames")];
    this.#last = now;
    return {
      width: video.frameWidth ?? null,
      height: video.frameHeight ?? null,
      fps: fps === null ? null : Math.round(fps),
      bitrateBps: bytesPerSecond === null ? null : Math.round(8 * bytesPerSecond),
      roundTripMs: pair?.currentRoundTripTime === undefined ? null : Math.round(10_000 * pair.currentRoundTripTime) / 10,
      packetsLost: video.packetsLost ?? null,
      framesDecoded: now.frames,
    };
  }
}
