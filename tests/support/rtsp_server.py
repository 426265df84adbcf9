"""An RTSP camera, real: GStreamer's server. ``/usr/bin/python3 rtsp_server.py PORT [USER PASSWORD [PEM]]``.

Run by the system's Python, whose packages it needs: gir1.2-gst-rtsp-server-1.0 and GStreamer's plugins. It has
``/camera`` (H.264, 640x360, 15 frames/s), ``/large`` (1920x1080), ``/jpeg`` (Motion JPEG), ``/sound`` (no picture) and
``/changing``, which is 320x240 and 640x480 in turns of two seconds, in the middle of the stream. Prints «ready» when
it listens.
"""

import itertools
import sys

_PATHS = {
    "/camera": "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=15/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 config-interval=1",
    "/large": "videotestsrc is-live=true ! video/x-raw,width=1920,height=1080,framerate=5/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 ! rtph264pay name=pay0 pt=96 config-interval=1",
    "/jpeg": "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! jpegenc ! "
    "rtpjpegpay name=pay0 pt=26",
    "/changing": "videotestsrc is-live=true ! videoscale ! capsfilter name=size "
    "caps=video/x-raw,width=320,height=240,framerate=15/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 config-interval=1",
    "/sound": "audiotestsrc is-live=true ! audioconvert ! alawenc ! rtppcmapay name=pay0 pt=8",
}


def main(port: str, user: str = "", password: str = "", pem: str = "") -> None:
    """Serve for ever; with a file of certificate and key, over TLS alone."""
    import gi  # type: ignore[import-not-found]  # noqa: PLC0415  # the system's Python has it, ours has not

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import Gio, GLib, Gst, GstRtspServer  # type: ignore[import-not-found]  # noqa: PLC0415

    def change_size(_factory: object, media: "GstRtspServer.RTSPMedia") -> None:
        size = media.get_element().get_by_name("size")
        turns = itertools.cycle(("640,height=480", "320,height=240"))

        def change() -> bool:
            caps = Gst.Caps.from_string(f"video/x-raw,width={next(turns)},framerate=15/1")
            size.set_property("caps", caps)
            return True

        GLib.timeout_add(2000, change)

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    if user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        if pem:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(pem))
        server.set_auth(auth)
    mounts = server.get_mount_points()
    for path, pipeline in _PATHS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {pipeline} )")
        factory.set_shared(True)
        if user:
            roles = GstRtspServer.RTSPPermissions()
            roles.add_permission_for_role("viewer", "media.factory.access", True)
            roles.add_permission_for_role("viewer", "media.factory.construct", True)
            factory.set_permissions(roles)
        if path == "/changing":
            factory.connect("media-configure", change_size)
        mounts.add_factory(path, factory)
    server.attach(None)
    print("ready", flush=True)  # noqa: T201
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
