#!/usr/bin/env bash
# @asyncapi/diff 0.5.0 (npm): a new `info.version` alone is a breaking change, and a payload property
# that turns from text into a number is "unclassified". A gate that fails on breaking changes fails
# on every release, and lets pass what breaks consumers.
#
# Seen: version only: /info/version breaking
#       type of a property: /channels/orders/subscribe/message/payload/properties/id/type unclassified
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --no-audit --no-fund --silent @asyncapi/diff@0.5.0 >>npm.log
cat >run.mjs <<'JS'
import { diff } from '@asyncapi/diff';

const document = (version, type) => ({
  asyncapi: '2.6.0',
  info: { title: 'orders', version },
  channels: { orders: { subscribe: { message: { payload: { type: 'object', required: ['id'], properties: { id: { type } } } } } } },
});
const changes = (before, after) => diff(before, after, {}).getOutput().changes.map(({ path, type }) => `${path} ${type}`).join();
console.log('version only:', changes(document('1.0.0', 'string'), document('1.0.1', 'string')));
console.log('type of a property:', changes(document('1.0.0', 'string'), document('1.0.0', 'integer')));
JS
seen=$(node run.mjs)
echo "$seen"
[ "$seen" = "version only: /info/version breaking
type of a property: /channels/orders/subscribe/message/payload/properties/id/type unclassified" ] || { echo "changed" >&2; exit 1; }
