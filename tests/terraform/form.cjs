// Checks that files have the form of HCL, and can be read, by HashiCorp's own formatter and parser
// (MPL-2.0, npm). They are compiled to WebAssembly, so that no terraform is needed:
// node form.cjs FILE...
// Prints the files that fail the check; exit status 1 for those, 2 where one cannot be read.

const { readFileSync } = require("node:fs");

const { format } = require("@cdktf/hcl-tools");
const { parse } = require("@cdktf/hcl2json");

async function main(files) {
  for (const file of files) {
    const text = readFileSync(file, "utf8");
    await parse(file, text);
    const formed = (await format(text)).split("\n");
    const at = text.split("\n").findIndex((line, at) => line !== formed[at]);
    if (at >= 0 || text.split("\n").length !== formed.length) {
      console.log(`${file}:${at + 1}: expected ${JSON.stringify(formed[Math.max(at, 0)])}`);
      process.exitCode = 1;
    }
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.log(String(error));
  process.exitCode = 2;
});
