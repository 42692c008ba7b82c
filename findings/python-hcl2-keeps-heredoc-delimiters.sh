#!/usr/bin/env bash
# python-hcl2 8.1.4 (PyPI): the value of a heredoc is its source text, quotes and delimiters included:
# `"<<JSON\n{…}\nJSON"`. A policy written as a heredoc, as most Terraform examples have it, can no longer
# be read by json.loads before both are taken off again.
#
# Seen: '"<<JSON\n{"Version": "2012-10-17", "Statement": []}\nJSON"'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check python-hcl2==8.1.4
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import io

import hcl2

TEMPLATE = """resource "aws_iot_policy" "devices" {
  policy = <<JSON
{"Version": "2012-10-17", "Statement": []}
JSON
}
"""
resource = hcl2.load(io.StringIO(TEMPLATE))["resource"][0]
policies = next(iter(resource.values()))
print(repr(next(iter(policies.values()))["policy"]))
PYTHON
)
echo "$seen"
[ "$seen" = $'\'"<<JSON\\n{"Version": "2012-10-17", "Statement": []}\\nJSON"\'' ] || { echo "changed" >&2; exit 1; }
