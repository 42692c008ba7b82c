// Reads a document from standard input with the official parser; prints what it says, and fails on errors.
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const { Parser } = createRequire(process.argv[2] + "/")("@asyncapi/parser");

new Parser().parse(readFileSync(0, "utf8")).then(({ document, diagnostics }) => {
  for (const { severity, code, message, path } of diagnostics) {
    console.log(`${severity} ${code} ${path.join(".")}: ${message}`);
  }
  const failed = !document || diagnostics.some(({ severity }) => severity === 0);
  if (!failed) {
    console.log(`channels: ${document.channels().all().map((channel) => channel.id()).sort().join(", ")}`);
    console.log(`operations: ${document.operations().all().map((operation) => operation.id()).sort().join(", ")}`);
  }
  process.exitCode = failed ? 1 : 0;
});
