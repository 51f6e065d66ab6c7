// All requests of the page to the service. Every failure is thrown as a `Problem`.

const REQUEST_TIMEOUT_MS = 30_000; // a request without a stream takes a few seconds at most when the service is healthy
const SILENCE_MS = 45_000; // the service sends a heartbeat every 15 s; after three missing ones the stream is lost

/** An error in words for the reader: title, detail, action, code, status, requestId. */
export class Problem extends Error {
  constructor(fields) {
    super(fields.title);
    Object.assign(this, { detail: "", action: "", code: "unknown", status: 0, requestId: "" }, fields);
  }
}

export const gone = (detail = "No answer came back: the service, or the network on the way to it, is down.") => new Problem({
  code: "gone", title: "The service cannot be reached", detail,
  action: "Try again in a moment. If it stays, check it where it runs: `teal status`.",
});

/** Make a Problem from an error response of the service (problem+json), or of a proxy that answered in its place. */
export function problemFrom(status, body, requestId) {
  let fields = {};
  try { fields = JSON.parse(body); } catch { /* a load balancer's page: the status says enough */ }
  const known = typeof fields.title === "string";
  return new Problem({
    title: known ? fields.title : `The service answered with error ${status}`,
    detail: fields.detail || fieldErrors(fields.errors).join("; "),
    action: fields.action || (status >= 500 ? "Try again in a moment. If it stays, check it where it runs: `teal status`." : ""),
    code: fields.code || "unknown", status, requestId: fields.request_id || requestId || "",
  });
}

function fieldErrors(errors) {
  if (!Array.isArray(errors)) return [];
  return errors.map(({ field, message }) => [field, message].filter(Boolean).join(": "));
}

/** Register a function to be called when the service has ended the session. */
export const session = new EventTarget();

function checked(problem) {
  if (problem.status === 401) session.dispatchEvent(new Event("ended"));
  return problem;
}

async function open(method, path, { body, signal, accept = "application/json", quiet401 = false } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method, signal, credentials: "same-origin", cache: "no-store",
      headers: body === undefined ? { Accept: accept } : { Accept: accept, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw error.name === "TimeoutError" ? gone("No answer came back within 30 seconds.") : gone();
  }
  if (response.ok) return response;
  const problem = problemFrom(response.status, await response.text().catch(() => ""), response.headers.get("X-Request-Id"));
  throw quiet401 ? problem : checked(problem);
}

/** Send one request; resolves to the parsed body, or null when there is none. */
export async function call(method, path, options = {}) {
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  const response = await open(method, path, { ...options, signal });
  try {
    const text = await response.text();
    return text ? JSON.parse(text) : null;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw gone("The answer broke off, or was not in the form this page knows.");
  }
}

/** Events {event, data} of a streamed answer to {question, filters, history}. Throws `Problem` when the stream breaks before `done` or `error`. */
export async function* streamAnswer(asked, signal) {
  const silence = new AbortController();
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  heard();
  try {
    const response = await open("POST", "/v1/ask", {
      body: { ...asked, stream: "words" }, accept: "text/event-stream", signal: AbortSignal.any([signal, silence.signal]),
    });
    for await (const event of events(response.body, heard)) {
      yield { event: event.event, data: JSON.parse(event.data) };
      if (event.event === "done" || event.event === "error") return;
    }
    throw gone("The connection closed before the answer was complete.");
  } catch (error) {
    if (error instanceof Problem || signal.aborted) throw error;
    throw gone(silence.signal.aborted ? "Nothing was heard for 45 seconds." : "The connection broke before the answer was complete.");
  } finally {
    clearTimeout(timer);
  }
}

/** The server-sent events of a byte stream. Comments (heartbeats) are not yielded, but show that the stream is alive. */
export async function* events(body, heard = () => {}) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  let name = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      buffer += value;
      for (let end = buffer.search(/\r\n|\n|\r(?=.)/s); end >= 0; end = buffer.search(/\r\n|\n|\r(?=.)/s)) {
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + (buffer.startsWith("\r\n", end) ? 2 : 1));
        if (line === "") {
          if (data.length) yield { event: name || "message", data: data.join("\n") };
          name = "";
          data = [];
          continue;
        }
        const [, field, content = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
        if (field === "event") name = content;
        else if (field === "data") data.push(content);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Send one file. `onprogress(share 0..1)`. Resolves to {id, status}; rejects with `Problem`. `abort()` on the returned object stops it. */
export function upload(file, collection, onprogress) {
  const request = new XMLHttpRequest();
  const sent = new Promise((resolve, reject) => {
    request.open("POST", "/v1/documents/upload");
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onprogress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) {
        try { resolve(JSON.parse(request.responseText)); } catch { reject(gone("The answer was not in the form this page knows.")); }
      } else reject(checked(problemFrom(request.status, request.responseText, request.getResponseHeader("X-Request-Id"))));
    });
    request.addEventListener("error", () => reject(gone("The connection closed during the upload: the service is down, or the file is larger than it takes.")));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    const form = new FormData();
    form.append("file", file, file.name);
    if (collection) form.append("collection", collection);
    request.send(form);
  });
  return { sent, abort: () => request.abort() };
}
