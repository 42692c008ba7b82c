"""ministack's server, which takes MQTT over WebSocket at any host name.

It looks for the host name of IoT Core (`iot.<region>.`, ministack 1.5.33, ministack/app.py), which on this machine would take a name
server. A WebSocket that asks for the sub-protocol of MQTT can be meant for nothing else here.
"""

import re
import sys

from ministack import app

app._IOT_DATA_WS_RE = re.compile("")
sys.exit(app.main())
