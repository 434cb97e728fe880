"""GStreamer as a sender: one file, parsed and payloaded once, then a queue and a webrtcbin a viewer.

main.py CLIP.mp4   (the system's Python, which has python3-gst-1.0)
"""

import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

CAPS = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,packetization-mode=(string)1"
SOURCE = (
    "filesrc location={path} ! qtdemux ! h264parse config-interval=-1 ! identity sync=true !"
    " rtph264pay aggregate-mode=zero-latency config-interval=-1 mtu=1200 ! {caps} ! tee name=tee allow-not-linked=true"
)


SAYING = threading.Lock()


def say(line: dict[str, object]) -> None:
    """Write one line to the driver, whole: webrtcbins call from threads of their own."""
    with SAYING:
        print(json.dumps(line), flush=True)


class Sender:
    """The pipeline, and the branch of each viewer."""

    def __init__(self, path: str) -> None:
        self.pipeline = Gst.parse_launch(SOURCE.format(path=path, caps=CAPS))
        self.tee = self.pipeline.get_by_name("tee")
        self.branches: dict[str, tuple[Gst.Pad, Gst.Element, Gst.Element]] = {}
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self._on_message)

    def play(self) -> None:
        """Start, in a segment that says when the file ends, so that it can begin again."""
        self.pipeline.set_state(Gst.State.PAUSED)
        self.pipeline.get_state(5 * Gst.SECOND)
        self._seek(Gst.SeekFlags.FLUSH)
        self.pipeline.set_state(Gst.State.PLAYING)

    def answer(self, name: str, offer: str) -> None:
        """Answer when the candidates are gathered."""
        queue = Gst.ElementFactory.make("queue")
        queue.set_property("leaky", 2)  # downstream: a connection that is being set up holds up no other
        webrtc = Gst.ElementFactory.make("webrtcbin")
        webrtc.set_property("bundle-policy", "max-bundle")
        for element in (queue, webrtc):
            self.pipeline.add(element)
        queue.link(webrtc)
        transceiver = webrtc.emit("get-transceiver", 0)
        transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        transceiver.set_property("do-nack", True)
        webrtc.connect("notify::ice-gathering-state", self._on_gathering, name)
        for element in (webrtc, queue):
            element.sync_state_with_parent()
        _, message = GstSdp.SDPMessage.new_from_text(offer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, message)
        webrtc.emit("set-remote-description", description, None)
        promise = Gst.Promise.new_with_change_func(self._on_answer, webrtc)
        webrtc.emit("create-answer", None, promise)
        pad = self.tee.request_pad_simple("src_%u")
        pad.link(queue.get_static_pad("sink"))
        self.branches[name] = (pad, queue, webrtc)

    def leave(self, name: str) -> None:
        """Take a viewer's branch off."""
        pad, queue, webrtc = self.branches.pop(name)

        def take_off(*_: object) -> Gst.PadProbeReturn:
            self.tee.release_request_pad(pad)
            GLib.idle_add(remove)
            return Gst.PadProbeReturn.REMOVE

        def remove() -> None:
            for element in (queue, webrtc):
                element.set_state(Gst.State.NULL)
                self.pipeline.remove(element)

        pad.add_probe(Gst.PadProbeType.IDLE, take_off)

    def _seek(self, flags: Gst.SeekFlags) -> None:
        self.pipeline.seek(
            1.0, Gst.Format.TIME, flags | Gst.SeekFlags.SEGMENT, Gst.SeekType.SET, 0, Gst.SeekType.NONE, 0
        )

    def _on_answer(self, promise: Gst.Promise, webrtc: Gst.Element) -> None:
        reply = promise.get_reply()  # the answer lives as long as this
        webrtc.emit("set-local-description", reply.get_value("answer"), None)

    def _on_gathering(self, webrtc: Gst.Element, _: object, name: str) -> None:
        if webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            say({"id": name, "answer": webrtc.get_property("local-description").sdp.as_text()})

    def _on_message(self, _: object, message: Gst.Message) -> None:
        if message.type == Gst.MessageType.SEGMENT_DONE:
            self._seek(Gst.SeekFlags.NONE)
        elif message.type == Gst.MessageType.ERROR:
            print(message.parse_error(), file=sys.stderr)


def main() -> None:
    """Play until the input ends."""
    Gst.init(None)
    loop = GLib.MainLoop()
    sender = Sender(sys.argv[1])

    def on_line(channel: GLib.IOChannel, _: GLib.IOCondition) -> bool:
        line = channel.readline()
        if not line:
            loop.quit()
            return False
        command = json.loads(line)
        if command["op"] == "leave":
            sender.leave(command["id"])
        else:
            sender.answer(command["id"], command["sdp"])
        return True

    GLib.io_add_watch(
        GLib.IOChannel.unix_new(0), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, on_line
    )
    sender.play()
    say({"ready": True})
    loop.run()


main()
