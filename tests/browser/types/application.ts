// An application that uses the browser module: the compiler reads it, nothing runs it.

import { EventcastError, connect, filterOf, matches, type Message, type Reason, type State } from 'eventcast';

interface Order {
  readonly status: string;
  readonly version: number;
}

const client = connect({
  url: 'wss://realtime.example.com/mqtt',
  gateway: 'https://realtime.example.com/rt/v1',
  token: async () => (await fetch('/realtime-token')).text(),
  clientId: (claims) => `${claims.sub}-web`,
  transport: 'stream',
  backoffMs: [500, 30_000],
  share: 'user-17',
});

const order = client.subscribe<Order>('order:17', {
  message: ({ payload, id, time }: Message<Order>) => console.log(payload.status, id, time),
  snapshot: async ({ channel, position, reason }) => {
    const state: Order = await (await fetch(`/orders/17?of=${channel}&since=${position.time ?? ''}&why=${reason}`)).json();
    return (message) => message.payload.version <= state.version;
  },
});

order.established.then(
  (subscription) => console.log(subscription.state, subscription.channel),
  (error: unknown) => {
    if (error instanceof EventcastError) retryLater(error.reason);
  },
);

function retryLater(reason: Reason): boolean {
  switch (reason) {
    case 'authorization':
    case 'limit':
    case 'closed':
      return false;
    case 'quota':
    case 'network':
      return true;
  }
}

client.addEventListener('state', ({ detail }) => {
  const state: State = detail.state;
  document.title = state === 'stale' ? 'old' : `${state} ${detail.transport ?? ''}`;
});
client.addEventListener('resync', ({ detail: { channel, reason } }) => console.log(channel, reason));
client.addEventListener('refused', ({ detail }) => console.log(detail.reason, detail.code, detail.status));
client.addEventListener('failure', ({ detail }) => console.log(detail.message));
client.addEventListener('message', ({ detail }) => console.log(detail.topic, detail.bytes?.length));
for (const { channel, state, error } of client.subscriptions) console.log(channel, state, error?.reason);
console.log(client.leader, client.clientId, client.transport, matches(filterOf('order:17'), 'order/17'));
order.unsubscribe();
client.reconnect();
client.close();
