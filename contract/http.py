"""What the load balancer, the service and the operator's probes must agree on about HTTP."""

from __future__ import annotations

from typing import Final

POD_PORT: Final = 8080  # of the service's container (app/Dockerfile)
READY_PATH: Final = "/readyz"
ALIVE_PATH: Final = "/healthz"
PROBE_HEADER: Final = "X-Teal-Probe"  # with a color's secret: that color answers, whatever its share
SESSION_COOKIE: Final = "teal_session"  # of the page; its value is a random token in base64url
BYPASS_HEADER: Final = "X-Teal-Bypass-Cache"  # with the above: the service neither reads nor fills its caches for this request
# After so long without a byte the load balancer closes a connection; a silent stream gets a comment before that (HEARTBEAT_SECONDS)
IDLE_SECONDS: Final = 60
# The server keeps an idle connection longer than the load balancer does. Were it the first to close, a request that is on its way at that
# moment would be lost, and the client would see a 502.
KEEP_ALIVE_SECONDS: Final = IDLE_SECONDS + 15
DEREGISTRATION_SECONDS: Final = 30  # how long the load balancer lets requests end at a pod that it no longer sends any to
HEARTBEAT_SECONDS: Final = IDLE_SECONDS // 4  # between the comments in a silent stream: three may be lost before it is cut
# A client that hears nothing for so long has lost its stream: three comments in a row did not come. The page
# (app/web/api.js) and the load tests (loadtests/options.py) can not import this and have the number too.
SILENCE_SECONDS: Final = 3 * HEARTBEAT_SECONDS
# What an address shows before its first release, and by which `teal` knows that nothing was released there yet.
NOT_RELEASED: Final = (
    "<!doctype html><title>Teal</title><p>Nothing is released here yet. Release engineers: run <code>teal release</code>."
)
