"""Signs a WebSocket address as botocore does, for the comparison with ours: HOST PATH DATE, credentials from the environment."""

import os
import sys
from datetime import datetime, timezone

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

host, path, date = sys.argv[1:]
moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
botocore.auth.get_current_datetime = lambda *_, **__: moment
# The security token stays out: IoT Core does not sign it.
credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
request = AWSRequest("GET", f"https://{host}{path}", headers={"Host": host})
signer = botocore.auth.SigV4QueryAuth(credentials, "iotdevicegateway", os.environ["AWS_REGION"], expires=300)
signer.add_auth(request)
print(request.url.partition("?")[2])
