"""moto's server, with one of its faults mended: it lost messages that came while two others were being deleted.

Each deletion makes a new list of what is left and puts it in the place of the queue's list, without the lock under which messages are
added (moto 5.2.5, moto/sqs/models.py): the list of the second one does not have what was added to the list of the first. No queue of
AWS loses messages.
"""

import sys

from moto.server import main
from moto.sqs.models import Queue

delete = Queue.delete_message


def delete_alone(self, receipt_handle):
    with self._messages_lock:
        return delete(self, receipt_handle)


Queue.delete_message = delete_alone
sys.exit(main())
