#!/usr/bin/env bash
# cfn-flip 1.3.0 (PyPI): `clean_up` turns a constant Fn::Join into a plain string, and escapes the
# `${…}` in it as Fn::Sub wants it, although no Fn::Sub is left around the string.
#
# An IoT policy variable becomes text: CloudFormation passes `${!iot:ClientId}` on as it is, which
# names no variable, so the policy allows nothing. cfn-lint 1.58.0 has no word about the result.
#
# Seen: Resource: arn:aws:iot:eu-central-1:123456789012:client/${!iot:ClientId}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cfn-flip==1.3.0
cat >"$folder/template.json" <<'JSON'
{"Resources": {"Devices": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": {"Fn::Join": ["",
    ["arn:aws:iot:eu-central-1:123456789012:client/", "${iot:ClientId}"]]}}]}}}}}
JSON
"$folder/venv/bin/python" - "$folder/template.json" >"$folder/seen" <<'PYTHON'
import sys
from cfn_flip import to_yaml
print(to_yaml(open(sys.argv[1]).read(), clean_up=True))
PYTHON
grep Resource: "$folder/seen"
grep -qF 'Resource: arn:aws:iot:eu-central-1:123456789012:client/${!iot:ClientId}' "$folder/seen" ||
  { echo "changed: the variable is no longer escaped" >&2; exit 1; }
! grep -q '!Sub' "$folder/seen" || { echo "changed: the string is inside Fn::Sub" >&2; exit 1; }
