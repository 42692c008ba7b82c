"""Asks parliament about policies: one JSON document a line on standard input, for each a line with the findings on standard output.

A finding is the name of the issue and the detail, as JSON.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

from parliament import analyze_policy_string  # noqa: E402

for line in sys.stdin:
    findings = analyze_policy_string(line).findings
    print(json.dumps([[finding.issue, str(finding.detail)] for finding in findings]), flush=True)
