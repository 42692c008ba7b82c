// Near misses: a clock, a metric, a retry, a local class.
setInterval(() => draw(), 1_000);
setInterval(() => fetch('/metrics', { method: 'POST', body: stats() }), 10_000);
class WebSocket {}
export const fake = new WebSocket();
