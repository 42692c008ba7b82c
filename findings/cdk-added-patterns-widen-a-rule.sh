#!/usr/bin/env bash
# aws-cdk-lib 2.276.0 (npm): `rule.addEventPattern` makes a rule wider where one expects it narrower.
# Fields that both patterns name become ONE list of alternatives, field by field. The rule below
# matches orders of tenant b and invoices of tenant a, which neither pattern matches.
#
# Seen: {"source":["shop.orders","shop.invoices"],"detail":{"tenant":["a","b"]}}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --no-audit --no-fund --silent aws-cdk-lib@2.276.0 constructs@10.8.1 >>npm.log
cat >run.mjs <<'JS'
import { createRequire } from 'node:module';
const { App, Stack, aws_events: events } = createRequire(import.meta.url)('aws-cdk-lib');
const app = new App();
const rule = new events.Rule(new Stack(app, 'Stack'), 'Rule', {
  eventPattern: { source: ['shop.orders'], detail: { tenant: ['a'] } },
});
rule.addEventPattern({ source: ['shop.invoices'], detail: { tenant: ['b'] } });
const { Resources } = app.synth().getStackByName('Stack').template;
const found = Object.values(Resources).find((resource) => resource.Type === 'AWS::Events::Rule');
console.log(JSON.stringify(found.Properties.EventPattern));
JS
seen=$(node run.mjs)
echo "$seen"
[ "$seen" = '{"source":["shop.orders","shop.invoices"],"detail":{"tenant":["a","b"]}}' ] || { echo "changed" >&2; exit 1; }
