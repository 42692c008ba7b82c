// A small MQTT 3.1.1 client over WebSocket: QoS 0 and 1, one clean session. (OASIS MQTT 3.1.1; section numbers are its.)

const CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x82, SUBACK = 0x90, PINGREQ = 0xc0, DISCONNECT = 0xe0;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Why a broker does not let a client in (3.2.2.3). */
const REFUSALS = ['', 'the broker does not speak this version', 'the broker does not take this client id', 'the broker is not available to it', 'bad user name or password', 'not authorized'];

/** Text or bytes with their length in front (1.5.3). */
function text(value) {
  const bytes = typeof value === 'string' ? encoder.encode(value) : value;
  return [bytes.length >> 8, bytes.length & 0xff, ...bytes];
}

/** A packet with its length (2.2.3). */
function packet(type, body) {
  const head = [type];
  let length = body.length;
  do {
    head.push((length % 128) | (length > 127 ? 0x80 : 0));
    length = Math.floor(length / 128);
  } while (length > 0);
  return new Uint8Array([...head, ...body]);
}

export class Mqtt {
  /** `on` has: message(topic, bytes, qos, retained), end(why). */
  constructor(url, clientId, on) {
    Object.assign(this, { clientId, on, rest: new Uint8Array(0), ids: 0, waiting: new Map(), ping: null, ended: false });
    this.socket = new WebSocket(url, ['mqtt']);
    this.socket.binaryType = 'arraybuffer';
    this.socket.onopen = () => this.socket.send(packet(CONNECT, [...text('MQTT'), 4, 0x02, 0, 60, ...text(clientId)]));
    this.socket.onmessage = ({ data }) => this.read(new Uint8Array(data));
    this.socket.onclose = () => this.end(this.connected ? 'the broker closed the connection' : 'the broker does not let it in');
    this.ready = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.ready.catch(() => {});
  }

  end(why) {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.ping);
    this.reject(new Error(why));
    for (const { reject } of this.waiting.values()) reject(new Error(why));
    this.waiting.clear();
    this.on.end(why);
    this.socket.close();
  }

  /** Packets may come in parts, or several at once. */
  read(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    let at = 0;
    while (at < all.length) {
      let [length, places, byte] = [0, 0, 0x80];
      while (byte & 0x80 && at + 1 + places < all.length && places < 4) {
        byte = all[at + 1 + places];
        length += (byte & 0x7f) * 128 ** places;
        places += 1;
      }
      const begin = at + 1 + places;
      if (byte & 0x80 || begin + length > all.length) break;
      this.take(all[at], all.subarray(begin, begin + length));
      at = begin + length;
    }
    this.rest = all.slice(at);
  }

  take(head, body) {
    const id = () => (body[0] << 8) | body[1];
    switch (head & 0xf0) {
      case CONNACK:
        if (body[1] !== 0) return this.end(REFUSALS[body[1]] ?? `refused with code ${body[1]}`);
        this.connected = true;
        this.ping = setInterval(() => this.socket.send(packet(PINGREQ, [])), 45000);
        return this.resolve();
      case PUBLISH:
        return this.published(head, body);
      case PUBACK:
      case SUBACK:
        this.waiting.get(id())?.resolve([...body.subarray(2)]);
        return this.waiting.delete(id());
      default:
        return undefined;
    }
  }

  published(head, body) {
    const qos = (head >> 1) & 3;
    const length = (body[0] << 8) | body[1];
    const begin = 2 + length + (qos > 0 ? 2 : 0);
    if (qos > 0) this.socket.send(packet(PUBACK, [body[begin - 2], body[begin - 1]]));
    this.on.message(decoder.decode(body.subarray(2, 2 + length)), body.slice(begin), qos, (head & 1) === 1);
  }

  /** Sends a packet with an id, and waits for the answer to it. */
  send(type, rest) {
    this.ids = (this.ids % 0xffff) + 1;
    const id = this.ids;
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(new Error('it is not connected'));
      this.waiting.set(id, { resolve, reject });
      this.socket.send(packet(type, rest([id >> 8, id & 0xff])));
    });
  }

  /** Subscribes to some filters at once; gives each one's QoS, 128 for those that were refused (3.9.3). */
  subscribe(filters, qos) {
    return this.send(SUBSCRIBE, (id) => [...id, ...filters.flatMap((filter) => [...text(filter), qos])]);
  }

  /** Publishes; with QoS 1 it waits for the acknowledgement. */
  async publish(topic, payload, qos = 0) {
    const bytes = encoder.encode(payload);
    if (qos === 0) this.socket.send(packet(PUBLISH, [...text(topic), ...bytes]));
    else await this.send(PUBLISH | 2, (id) => [...text(topic), ...id, ...bytes]);
  }

  /** Says goodbye. */
  leave() {
    if (this.connected && !this.ended) this.socket.send(packet(DISCONNECT, []));
    this.end('disconnected');
  }
}

export const readable = (bytes) => decoder.decode(bytes);
