// Mistakes that the types refuse: each line with one says so, and the compiler complains where there is none.

import { connect } from 'eventcast';

const client = connect({ gateway: '/rt/v1' });
// @ts-expect-error an option that there is not
connect({ gateway: '/rt/v1', retries: 3 });
// @ts-expect-error a token, where a function that gives one is asked for
connect({ gateway: '/rt/v1', token: 'eyJ' });
// @ts-expect-error a transport that there is not
connect({ gateway: '/rt/v1', transport: 'websocket' });
// @ts-expect-error an event's detail has no such member
client.addEventListener('state', ({ detail }) => detail.status);
// @ts-expect-error the state cannot be set
client.state = 'live';
// @ts-expect-error a channel is a text
client.subscribe(17);
// @ts-expect-error a snapshot is loaded asynchronously
client.subscribe('order:17', { snapshot: () => 17 });
// @ts-expect-error a payload of unknown form
client.subscribe('order:17', ({ payload }) => payload.status);
