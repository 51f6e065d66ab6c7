"""What the load balancer, the service and the operator's probes must agree on about HTTP."""

from __future__ import annotations

from typing import Final

POD_PORT: Final = 8080  # of the service's container (app/Dockerfile)
READY_PATH: Final = "/readyz"
ALIVE_PATH: Final = "/healthz"
PROBE_HEADER: Final = "X-Teal-Probe"  # its value is a color's secret; that color then answers, whatever its share
SESSION_COOKIE: Final = "teal_session"  # the web page's cookie; its value is a random token in base64url
# Sent together with PROBE_HEADER: the service neither reads nor fills its caches for this request.
BYPASS_HEADER: Final = "X-Teal-Bypass-Cache"
# The load balancer closes a connection after this time without a byte; a silent stream gets a comment before that
# (HEARTBEAT_SECONDS).
IDLE_SECONDS: Final = 60
# The server keeps an idle connection longer than the load balancer does. If the server closed first, a request that is on its way
# at that moment would be lost, and the client would see a 502.
KEEP_ALIVE_SECONDS: Final = IDLE_SECONDS + 15
DEREGISTRATION_SECONDS: Final = 30  # how long open requests may finish at a pod that gets no new ones
HEARTBEAT_SECONDS: Final = IDLE_SECONDS // 4  # between the comments in a silent stream: three may be lost before it is cut
# A client that receives nothing for this time has lost its stream: three comments in a row did not arrive. The page
# (app/web/api.js) and the load tests (loadtests/options.py) cannot import this module and repeat the number.
SILENCE_SECONDS: Final = 3 * HEARTBEAT_SECONDS
# The page that an address shows before its first release. `teal` recognises it as "nothing was released here yet".
NOT_RELEASED: Final = (
    "<!doctype html><title>Teal</title><p>Nothing is released here yet. Release engineers: run <code>teal release</code>."
)
