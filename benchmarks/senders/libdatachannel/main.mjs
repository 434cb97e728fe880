// libdatachannel as a sender, in Node: a track a viewer, each with its packetizer, as the library wants it.
//
//   node main.mjs CLIP.h264 ADDRESS

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import rtc from "node-datachannel";

const PERIOD_MS = 1000 / 30;
const CLOCK = 90000;
const PAYLOAD_TYPE = 96;
const FRAGMENT = 1200;
const [clip, address] = process.argv.slice(2);

/** Annex B with one slice a picture: parameter sets go with the picture that follows. */
function pictures(data) {
  const all = [];
  const code = Buffer.from([0, 0, 1]);
  let begin = 0;
  for (let at = data.indexOf(code); at >= 0; ) {
    const kind = data[at + 3] & 0x1f;
    const next = data.indexOf(code, at + 3);
    // A four-byte start code's first zero belongs to the unit that it begins.
    const end = next < 0 ? data.length : data[next - 1] === 0 ? next - 1 : next;
    if (kind === 1 || kind === 5) {
      all.push(data.subarray(begin, end));
      begin = end;
    }
    at = next;
  }
  return all;
}

const viewers = new Map();
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function play(all) {
  const began = performance.now();
  let number = 0;
  const next = () => {
    const picture = all[number % all.length];
    for (const { track, config } of viewers.values()) {
      if (!track.isOpen()) continue;
      config.timestamp = (number * (CLOCK / 30)) % 2 ** 32;
      track.sendMessageBinary(picture);
    }
    number += 1;
    setTimeout(next, Math.max(0, began + number * PERIOD_MS - performance.now()));
  };
  next();
}

function answer(id, offer) {
  const peer = new rtc.PeerConnection(id, { iceServers: [], bindAddress: address, disableAutoNegotiation: true });
  const ssrc = Math.floor(Math.random() * 2 ** 31) + 1;
  const video = new rtc.Video(/a=mid:(\S+)/.exec(offer)[1], "SendOnly");
  video.addH264Codec(PAYLOAD_TYPE);
  video.addSSRC(ssrc, "camera", "camera", "video");
  const config = new rtc.RtpPacketizationConfig(ssrc, "camera", PAYLOAD_TYPE, CLOCK);
  const packetizer = new rtc.H264RtpPacketizer("StartSequence", config, FRAGMENT);
  packetizer.addToChain(new rtc.RtcpSrReporter(config));
  packetizer.addToChain(new rtc.RtcpNackResponder());
  const track = peer.addTrack(video);
  track.setMediaHandler(packetizer);
  viewers.set(id, { peer, track, config });
  peer.onGatheringStateChange((state) => {
    if (state === "complete") say({ id, answer: peer.localDescription().sdp });
  });
  peer.setRemoteDescription(offer, "offer");
  peer.setLocalDescription("answer");
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { op, id, sdp } = JSON.parse(line);
    if (op === "offer") return answer(id, sdp);
    const { peer, track } = viewers.get(id);
    viewers.delete(id);
    track.close();
    peer.close();
  })
  .on("close", () => process.exit(0));
play(pictures(readFileSync(clip)));
say({ ready: true });
