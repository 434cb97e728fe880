/** Live figures of a picture, from the browser's own statistics (W3C webrtc-stats) and its video (requestVideoFrameCallback). */

const LONGEST_LATENCY_MS = 10_000; // beyond that, and below 0, it is the clocks that are wrong
const MOST_PICTURES = 120;

/** Counts between two looks: `take(stats, nowMs)` once a second; `video` shows the picture. */
export class Figures {
  #last = null;
  #video;
  #watching = false;
  #latencies = [];

  constructor(video) {
    this.#video = video;
  }

  /**
   * Give {width, height, fps, bitrateBps, roundTripMs, latencyMs, latencyWithinMs, packetsLost, framesDecoded}; null for
   * what is not known yet. The latency is from capture to when the page has the picture, good to plus or minus `latencyWithinMs`.
   */
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
    // By RTCP where it is measured: a camera answers ICE's checks with its pictures, which says less about the network.
    const remote = stats.get(video.remoteId);
    const roundTripS = remote?.roundTripTime ?? pair?.currentRoundTripTime;
    this.#last = now;
    return {
      width: video.frameWidth ?? null,
      height: video.frameHeight ?? null,
      fps: fps === null ? null : Math.round(fps),
      bitrateBps: bytesPerSecond === null ? null : Math.round(8 * bytesPerSecond),
      roundTripMs: roundTripS === undefined ? null : Math.round(10_000 * roundTripS) / 10,
      ...this.#latency(remote),
      packetsLost: video.packetsLost ?? null,
      framesDecoded: now.frames,
    };
  }

  /**
   * The median since the last look. The browser brings the camera's clock to its own with the sender reports, and can only
   * do so if it has measured the round trip over RTCP: then `captureTime` is wrong by half of that at most, whatever the clocks say.
   */
  #latency(report) {
    this.#watch();
    const latencies = this.#latencies.splice(0).sort((one, other) => one - other);
    const median = latencies[latencies.length >> 1];
    const roundTripMs = (1000 * report?.totalRoundTripTime) / report?.roundTripTimeMeasurements; // NaN before the first one
    if (!(roundTripMs >= 0 && median >= 0 && median <= LONGEST_LATENCY_MS)) return { latencyMs: null, latencyWithinMs: null };
    return { latencyMs: Math.round(median), latencyWithinMs: Math.max(1, Math.ceil(roundTripMs / 2)) };
  }

  /** Follow the pictures until nobody looks any more: one callback waits at a time, and none asks again when the list is full. */
  #watch() {
    if (this.#watching || !this.#video.requestVideoFrameCallback) return;
    this.#watching = true;
    this.#video.requestVideoFrameCallback((_, { captureTime }) => {
      this.#watching = false;
      // Not presentationTime or expectedDisplayTime: without a playout delay Chromium's lie before the next refresh, or anywhere.
      if (captureTime !== undefined) this.#latencies.push(performance.now() - captureTime);
      if (this.#latencies.length < MOST_PICTURES) this.#watch();
    });
  }
}
