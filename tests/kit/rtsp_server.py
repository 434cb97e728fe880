"""An IP camera: GStreamer's RTSP server with a file in real time, run by the system's Python, which has its bindings.

    /usr/bin/python3 rtsp_server.py PORT FILE [USERNAME PASSWORD basic|digest]

Says its port on a line of standard output; 0 takes one that is free. The stream is at /live.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402  # the versions come first

_DEMUXERS = {"mp4": "qtdemux", "mkv": "matroskademux"}


def main() -> None:
    """Serve until killed."""
    port, path, *login = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    parser, payloader = ("h265parse", "rtph265pay") if "h265" in path else ("h264parse", "rtph264pay")
    demuxer = _DEMUXERS[path.rpartition(".")[2]]
    factory.set_launch(f'( filesrc location="{path}" ! {demuxer} ! {parser} ! {payloader} name=pay0 pt=96 )')
    if login:
        username, password, kind = login
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if kind == "basic":
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(username, password), token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(username, password, token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)  # noqa: T201  # whoever started it reads it
    GLib.MainLoop().run()


main()
