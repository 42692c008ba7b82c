"""Peers side by side: the same events from the same kind of queue to the same broker, in one run.

Each round starts an empty `eventcast dev`, fills its queue, starts one peer, and looks on: how long from the first message handed
out to the last one deleted, what CPU time the peer took meanwhile, and how much memory at most.
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import boto3

HERE = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
TOPICS = 1000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connects(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def event(n):
    """An EventBridge envelope of about 1 KiB."""
    order = uuid.uuid5(uuid.NAMESPACE_OID, str(n % TOPICS))
    detail = {"orderId": str(order), "n": n, "total": 4200, "note": "x" * 700}
    return json.dumps({
        "version": "0", "id": str(uuid.UUID(int=n)), "detail-type": "OrderUpdated", "source": "shop.orders", "account": "000000000000",
        "time": "2026-11-24T10:00:00Z", "region": "us-east-1", "resources": [], "detail": detail,
    }, separators=(",", ":"))


class Process:
    """A process whose CPU time and memory are read from the system."""

    def __init__(self, command, **more):
        self.process = subprocess.Popen(command, **more)

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, name):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        return 0

    def end(self):
        self.process.kill()
        self.process.wait()


class Ground:
    """A queue that is full and a broker that listens."""

    def __init__(self, options, delay):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="eventcast-bench-"))
        self.dev = subprocess.Popen([options.eventcast, "dev", "--bare", "--port", "0", "--mqtt-port", "0", "--websocket-port", "0", "--format", "json"], stdout=subprocess.PIPE, text=True)
        self.endpoint = json.loads(self.dev.stdout.readline())["endpoint"]
        self.mqtt = free_port()
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"user root\nallow_anonymous true\npersistence false\nlog_type none\nset_tcp_nodelay true\n"
            f"max_inflight_messages 1000\nlistener {self.mqtt} 127.0.0.1\n"
        )
        self.broker = subprocess.Popen([options.mosquitto, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not connects(self.mqtt):
            time.sleep(0.02)
        self.sqs = boto3.client("sqs", endpoint_url=self.endpoint, aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")
        self.queue = self.sqs.create_queue(QueueName="events", Attributes={"VisibilityTimeout": "300"})["QueueUrl"]
        for start in range(0, options.events, 10):
            entries = [{"Id": str(n), "MessageBody": event(n)} for n in range(start, min(start + 10, options.events))]
            self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)
        if delay:
            fault = json.dumps({"fault": "delay", "milliseconds": delay, "except": "GetQueueAttributes"})
            subprocess.run(["curl", "-sf", "-d", fault, f"{self.endpoint}/_dev/faults"], check=True)
        self.environment = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": self.endpoint}

    def left(self):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return [int(found[name]) for name in names]

    def end(self):
        for process in (self.dev, self.broker):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)


def eventcast(options, ground):
    config = ground.folder / "eventcast.yaml"
    config.write_text(f"""
channels: {{ order: {{ id: uuid }} }}
routes:
  - name: orders
    match: {{ source: [shop.orders] }}
    to: ["order:{{detail.orderId}}"]
bridge:
  queue: {ground.queue}
  broker: mqtt://127.0.0.1:{ground.mqtt}
  pace: {{ publishes: 0, bytes: 0, unacknowledged: 1000 }}
  connections: {{ min: {options.connections}, max: {options.connections} }}
  pollers: {{ min: 1, max: {options.pollers} }}
  in_flight: {options.in_flight}
""")
    return [options.eventcast, "bridge", "--config", str(config)]


def mq_bridge(options, ground):
    program = """
import sys
from mq_bridge import Route
queue, endpoint, mqtt, concurrency = sys.argv[1:]
Route.from_config({
    "input": {"aws": {"queue_url": queue, "endpoint_url": endpoint, "region": "us-east-1", "access_key": "testing", "secret_key": "testing",
                      "max_messages": 10, "wait_time_seconds": 20}},
    "output": {"mqtt": {"url": f"tcp://127.0.0.1:{mqtt}", "topic": "orders", "qos": 1, "max_inflight": 1000}},
    "concurrency": int(concurrency),
}).run()
"""
    return [options.mq_bridge, "-c", program, ground.queue, ground.endpoint, str(ground.mqtt), str(options.concurrency)]


def bare_sdk(options, ground):
    return [options.bare, "sqs", ground.queue, str(options.events), str(options.pollers)]


PEERS = {"eventcast": eventcast, "mq-bridge": mq_bridge, "bare SDK": bare_sdk}


def round_of(peer, options, delay):
    ground = Ground(options, delay)
    try:
        log = open(ground.folder / "log", "w+")
        process = Process(PEERS[peer](options, ground), env=ground.environment, stdout=log, stderr=log)
        begin = first_cpu = None
        idle = 0
        deadline = time.monotonic() + options.patience
        while True:
            if process.process.poll() not in (None, 0) or time.monotonic() > deadline:
                log.seek(0)
                sys.exit(f"{peer} did not finish; its log:\n{log.read()[-2000:]}")
            visible, hidden = ground.left()
            now = time.monotonic()
            if begin is None and visible < options.events:
                begin, first_cpu, done_before = now, process.cpu(), options.events - visible - hidden
            if begin is not None and visible + hidden == 0:
                break
            time.sleep(0.02)
        seconds = now - begin
        memory = process.memory("VmHWM") if process.process.poll() is None else idle
        cpu = process.cpu() - first_cpu
        handled = options.events - done_before
        process.end()
        return {"rate": handled / seconds, "cpu": cpu / handled * 10_000, "memory": memory}
    finally:
        ground.end()


def bare_mqtt(options):
    ground = Ground(argparse.Namespace(**{**vars(options), "events": 0}), 0)
    try:
        told = subprocess.run([options.bare, "mqtt", str(ground.mqtt), str(options.events)], capture_output=True, text=True, check=True).stdout
        return json.loads(told)
    finally:
        ground.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eventcast", required=True)
    parser.add_argument("--bare", required=True)
    parser.add_argument("--mq-bridge", required=True, help="a Python with mq-bridge installed")
    parser.add_argument("--mosquitto", default="/usr/sbin/mosquitto")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=int, default=0, help="milliseconds that each queue call takes")
    parser.add_argument("--pollers", type=int, default=16)
    parser.add_argument("--connections", type=int, default=1, help="of eventcast; mq-bridge has one")
    parser.add_argument("--in-flight", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=1, help="of mq-bridge's route")
    parser.add_argument("--patience", type=int, default=300)
    parser.add_argument("--peers", default=",".join(PEERS))
    options = parser.parse_args()
    peers = options.peers.split(",")
    rounds = {peer: [] for peer in peers}
    # Rounds are interleaved, so that a busy machine is busy for all.
    for number in range(options.rounds):
        for peer in peers:
            result = round_of(peer, options, options.delay)
            rounds[peer].append(result)
            print(f"round {number + 1}: {peer:10} {result['rate']:9.0f}/s  {result['cpu']:.2f} CPU-s/10k  {result['memory']:.0f} MB", file=sys.stderr)
    median = {peer: {key: statistics.median(one[key] for one in all) for key in all[0]} for peer, all in rounds.items()}
    limit = bare_mqtt(options)
    print(f"{options.events} events, {options.delay} ms a queue call, {options.pollers} pollers, medians of {options.rounds} rounds")
    print(f"{'peer':12} {'msgs/s':>9} {'CPU-s/10k':>10} {'MB':>5}  ratio to eventcast's rate and CPU")
    ours = median.get("eventcast")
    for peer, one in median.items():
        ratio = f"{ours['rate'] / one['rate']:.2f}x rate, {ours['cpu'] / one['cpu']:.2f}x CPU" if ours and peer != "eventcast" else ""
        print(f"{peer:12} {one['rate']:9.0f} {one['cpu']:10.2f} {one['memory']:5.0f}  {ratio}")
    print(f"{'bare MQTT':12} {limit['rate']:9.0f} {limit['cpu']:10.2f}")


main()
