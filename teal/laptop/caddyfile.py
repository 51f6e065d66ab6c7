"""Caddy's configuration: HTTPS on loopback in front of both colors' app processes, and the error pages for when none answers.

It never changes after the start, and the admin API is off, because every reload through it drops requests.
Files change the shares.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping

from contract.bodies import DOCUMENT_BYTES, DOCUMENTS_PATH, QUESTION_BYTES, QUESTION_PATHS, SMALL_BYTES, document_body_bytes
from contract.http import SESSION_COOKIE
from teal.client.entry import PROBE_HEADER
from teal.errors import BadInput
from teal.laptop.layout import Layout
from teal.laptop.state import LaptopState
from teal.record.model import Color

BODY_SECONDS = 120  # for a whole body: the largest by default, 20 MB as JSON, takes this long at 1.4 Mbit/s
# The time from a request's head to the end of its answer: a body and the longest generated answer (60 s) take a third of it
ANSWER_SECONDS = 600
REQUEST_ID = "{http.request.uuid}"

# Caddy itself keeps Authorization and Cookie out of its log. The probe's header is a secret too, and people put keys into URLs.
LOG_FORMAT = f"""\
format filter {{
			wrap json
			fields {{
				request>headers>{PROBE_HEADER} replace REDACTED
				request>headers>Referer delete
				request>uri regexp "teal_[0-9a-f]+_[A-Za-z0-9_-]+" REDACTED
			}}
		}}"""

# The beginnings of Go's errors for a body that does not come whole (net/http: transfer.go, internal/chunked.go, internal/http2).
BROKEN_BODY = (
    "readfrom ", "i/o timeout$", "unexpected EOF$", "client disconnected", "stream error: ",
    "request declared a Content-Length", "header line too long", "malformed MIME header", "malformed chunked encoding",
    "http chunk length too large", "invalid byte in chunk length", "empty hex number for chunk length",
    "chunked line ends with bare LF", "invalid CR in chunked line", "chunked encoding contains too much non-data",
    "http: unexpected EOF reading trailer", "http: suspiciously long trailer",
)  # fmt: skip

TOKEN_CHARACTERS = string.ascii_letters + string.digits + "-_"  # of base64url: as many as `SESSIONS` in teal/laptop/traffic.py

_TEMPLATE = """\
{{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system "{storage}"
	log {{
		output file "{logs}/caddy.log" {{
			mode 0600
			roll_size 5MiB
			roll_keep 2
		}}
		{log_format}
		level INFO
		# A line a second for each process of the idle color, which nobody expects to answer.
		exclude http.handlers.reverse_proxy.health_checker.active
	}}
	grace_period 20s
	servers {{
		protocols h1 h2
		timeouts {{
			read_header 10s
			read_body {body_seconds}s
			# Off: where it is on, as it is by default, an upload of more than 64 KiB that stands still is never ended, not even by read_body.
			read_body_idle -1s
			write {answer_seconds}s
			idle 2m
		}}
	}}
}}

(color) {{
	log_append color {{args[0]}}
	reverse_proxy {{args[1:]}} {{
		lb_policy least_conn
		# Requests that meet a process that just died wait, unseen by the client, until the check of each second takes it out.
		lb_try_duration 2s
		lb_try_interval 100ms
		# A request is sent again only if it may run twice. One whose connection was refused was never sent: that is always tried again.
		lb_retry_match {{
			method GET HEAD
		}}
		lb_retry_match {{
			method POST
			path /v1/search /v1/ask /v1/chat/completions
		}}
		# A question is held back whole, so that it can be sent again; a larger body passes on as it comes.
		request_buffers 64KiB
		health_uri /readyz
		health_interval 1s
		health_timeout 2s
		health_status 200
		# No passive checks (fail_duration): they count a body that is malformed, cut off or too slow as a failure of the process.
		flush_interval -1
		# X-Forwarded-For, -Host and -Proto are Caddy's own by default: what a client claims about itself is dropped.
		header_up X-Forwarded-Port {port}
		header_up -Forwarded
		header_down -Server
		transport http {{
			dial_timeout 1s
			keepalive 30s
			keepalive_idle_conns_per_host 64
		}}
	}}
}}

https://localhost:{port}, https://127.0.0.1:{port} {{
	bind {hosts}
	tls internal

	log {{
		output file "{logs}/access.log" {{
			mode 0600
			roll_size 10MiB
			roll_keep 3
			roll_uncompressed
		}}
		{log_format}
	}}

	# For people on the load balancer's own port only; the processes' own ports have them.
	@inner path /metrics /metrics/* /admin /admin/* /admin*
	handle @inner {{
		error 404
	}}

	# The table of contract/bodies.py. Caddy compares paths without regard to case; the service, which does, has the last word.
	@documents path {documents} {documents}/*
	request_body @documents {{
		max_size {max_body_bytes}
	}}
	@questions path {questions}
	request_body @questions {{
		max_size {question_bytes}
	}}
	@small not path {documents} {documents}/* {questions}
	request_body @small {{
		max_size {small_bytes}
	}}

	# A random bucket of 256 chooses the color: green where the folder of markers has a file of that name (`teal/laptop/traffic.py`).
	# A probe names its color with that color's secret.
	map {{http.request.uuid}} {{bucket}} {{
		~^(..) "${{1}}"
		default 00
	}}
	# Who is signed in keeps a lane: the first character of the session's random token.
	map {{http.request.cookie.{session_cookie}}} {{draw}} {{
{session_lanes}
		default {{bucket}}
	}}
	map {{http.request.header.{probe_header}}} {{lane}} {{
		{probe_blue} probe-blue
		{probe_green} probe-green
		default {{draw}}
	}}
	@green file {{
		root "{traffic}/current"
		try_files /{{lane}}
	}}
	handle @green {{
		import color green {green}
	}}
	handle {{
		import color blue {blue}
	}}

	handle_errors {{
		log_append request_id {request_id}
		# When a client's body is cut off, malformed or too slow, Caddy's request to the process fails too, and Caddy answers 502 or 504. That
		# would count as an error of the service, and so against a release. The error's text tells the two apart: in the first row the process
		# took no more, in the others the client sent nothing usable (a read of the public port is one of the client). The texts are those of Go's
		# net/http: look at them when Caddy is updated.
		map {{http.error.message}} {{broken_body}} {{
			"~^readfrom .*: write " no
			"~^read tcp [^ ]*:{port}->" yes
{broken_bodies}
			default no
		}}
		header {{
			X-Request-Id {request_id}
			Cache-Control no-store
			Content-Security-Policy "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
			Referrer-Policy no-referrer
			X-Content-Type-Options nosniff
			X-Frame-Options DENY
			-Server
		}}
		@broken expression `{{broken_body}} == "yes"`
		handle @broken {{
			header Content-Type application/problem+json
			respond `{broken}` 400
		}}
		@down_people {{
			header Accept *text/html*
			expression `{{http.error.status_code}} in [502, 503, 504]`
		}}
		handle @down_people {{
			header Retry-After 3
			root * "{pages}"
			method GET
			rewrite * /unavailable.html
			file_server
		}}
		@missing_people {{
			header Accept *text/html*
			expression `{{http.error.status_code}} == 404`
		}}
		handle @missing_people {{
			root * "{pages}"
			method GET
			rewrite * /not-found.html
			file_server
		}}
		@down expression `{{http.error.status_code}} in [502, 503, 504]`
		handle @down {{
			header Retry-After 3
			header Content-Type application/problem+json
			respond `{starting}`
		}}
		@large expression `{{http.error.status_code}} == 413`
		handle @large {{
			header Content-Type application/problem+json
			respond `{too_large}`
		}}
		@missing expression `{{http.error.status_code}} == 404`
		handle @missing {{
			header Content-Type application/problem+json
			respond `{not_found}`
		}}
		handle {{
			header Content-Type application/problem+json
			respond `{other}`
		}}
	}}
}}
"""


def problem_body(code: str, status: str, title: str, detail: str, action: str) -> str:
    """One RFC 9457 body in the form of `app/errors.py`."""
    body = json.dumps(
        {
            "type": f"/errors#{code}",
            "title": title,
            "status": 0,
            "detail": detail,
            "code": code,
            "action": action,
            "request_id": REQUEST_ID,
        }
    )
    return body.replace('"status": 0', f'"status": {status}').replace("`", "\\u0060")  # a backtick ends Caddy's quoting


def max_body_bytes(environ: Mapping[str, str]) -> int:
    """The largest body the service takes under these settings: JSON may escape each byte of a text. Raises BadInput."""
    given = environ.get("TEAL_MAX_DOCUMENT_BYTES") or str(DOCUMENT_BYTES)
    try:
        return document_body_bytes(int(given))
    except ValueError as error:
        raise BadInput("It must be a number of bytes", where=f"TEAL_MAX_DOCUMENT_BYTES={given}",
                       next=f"TEAL_MAX_DOCUMENT_BYTES={DOCUMENT_BYTES} teal up") from error  # fmt: skip


def upstreams(ports: tuple[int, ...]) -> str:
    return " ".join(f"127.0.0.1:{port}" for port in ports)


def render_caddyfile(
    layout: Layout, state: LaptopState, addresses: tuple[str, ...], *, body_bytes: int, probe_secrets: Mapping[Color, str]
) -> str:
    """The whole Caddyfile (it holds the probe secrets: write it with mode 0600). Paths are quoted; `layout.locate_layout` refuses those
    that quoting cannot hold."""
    status = "{http.error.status_code}"
    return _TEMPLATE.format(
        body_seconds=BODY_SECONDS,
        answer_seconds=ANSWER_SECONDS,
        log_format=LOG_FORMAT,
        storage=layout.caddy,
        logs=layout.logs,
        pages=layout.pages,
        port=state.ports.public,
        max_body_bytes=body_bytes,
        documents=DOCUMENTS_PATH,
        questions=" ".join(QUESTION_PATHS),
        question_bytes=QUESTION_BYTES,
        small_bytes=SMALL_BYTES,
        request_id=REQUEST_ID,
        hosts=" ".join(f"[{host}]" if ":" in host else host for host in addresses),
        blue=upstreams(state.ports.blue),
        green=upstreams(state.ports.green),
        traffic=layout.traffic,
        broken_bodies="\n".join(f'\t\t\t"~^{text}" yes' for text in BROKEN_BODY),
        session_cookie=SESSION_COOKIE,
        session_lanes="\n".join(f"\t\t~^{character} session-{lane:02}" for lane, character in enumerate(TOKEN_CHARACTERS)),
        probe_header=PROBE_HEADER,
        probe_blue=probe_secrets["blue"],
        probe_green=probe_secrets["green"],
        starting=problem_body("starting", status, "The service is starting or stopping", "No app process is ready to answer",
                         "Try again in a few seconds. Operators: `teal status`."),
        broken=problem_body("broken-body", "400", "The body of the request did not arrive whole", f"It was cut off or malformed, or it took longer than {BODY_SECONDS} s",
                            "Send it again."),
        too_large=problem_body("too-large", status, "The content is larger than the limit", f"The load balancer takes bodies up to {body_bytes} bytes for a document, {QUESTION_BYTES} for a question and {SMALL_BYTES} elsewhere",
                          "Split the document, or raise TEAL_MAX_DOCUMENT_BYTES."),
        not_found=problem_body("not-found", status, "There is nothing here", "This address is not served to clients",
                          "Check the address; /openapi.json lists what there is."),
        other=problem_body("internal", status, "The request could not be answered", "The load balancer could not pass it on",
                      "Send it again; operators: `teal logs caddy`."),
    )  # fmt: skip
