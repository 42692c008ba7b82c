//! RT013: code serves or reads an event stream by hand.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT013",
    "stream-reader",
    GuardSeverity::Error,
    "code serves or reads an event stream by hand",
    "A response that stays open is a connection that nobody manages: proxies buffer it, \
     load balancers cut it, and lost messages are not noticed. Functions are billed for \
     as long as it is open.",
    "put events, and let clients subscribe to a channel; the platform's gateway streams \
     where WebSockets are blocked",
    &[
        RuleSample::new(
            "src/feed.ts",
            r##"const response = await fetch('/feed');
const reader = response.body!.getReader();
const text = new TextDecoder();
for (;;) {
  const { value, done } = await reader.read();
  if (done) break;
  onMessage(text.decode(value));
}
"##,
        ),
        RuleSample::new(
            "src/server.js",
            r##"app.get('/feed', (request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
});
"##,
        ),
        RuleSample::new(
            "src/feed.py",
            r##"return StreamingResponse(feed(), media_type="text/event-stream")
"##,
        ),
    ],
    &[
        RuleSample::new(
            "src/download.ts",
            r##"const response = await fetch('/report.pdf');
const reader = response.body.getReader();
let bytes = 0;
for (;;) {
  const { value, done } = await reader.read();
  if (done) break;
  bytes += value.length;
}
"##,
        ),
        RuleSample::new(
            "src/types.ts",
            r##"const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
"##,
        ),
    ],
);
