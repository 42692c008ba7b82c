// A page of an application with AWS Amplify: it listens to topics and publishes, by MQTT 3.1 over
// WebSocket.
import { Amplify } from 'aws-amplify';
import { Hub } from 'aws-amplify/utils';
import { PubSub as Signed } from '@aws-amplify/pubsub';
import { PubSub as Plain } from '@aws-amplify/pubsub/mqtt';

/** A client whose WebSocket is signed for IoT Core. */
function signed(endpoint, clientId) {
  const credentials = { accessKeyId: 'testing', secretAccessKey: 'testing', sessionToken: 'a session/of+somebody' };
  Amplify.configure({}, {
    Auth: {
      credentialsProvider: {
        getCredentialsAndIdentityId: async () => ({ credentials }),
        clearCredentialsAndIdentityId() {},
      },
    },
  });
  return new Signed({ region: 'us-east-1', endpoint, clientId });
}

/** Listens as `kind` says; what comes about is told in the page. */
globalThis.listen = ({ kind, endpoint, clientId, topics }) => {
  const tell = (text) => {
    const item = document.createElement('li');
    item.textContent = text;
    document.getElementById('messages').append(item);
  };
  Hub.listen('pubsub', ({ payload }) => tell(`state ${payload.data.connectionState}`));
  const client = kind === 'signed' ? signed(endpoint, clientId) : new Plain({ endpoint, clientId });
  client.subscribe({ topics }).subscribe({
    next: (message) => {
      const topic = message[Object.getOwnPropertySymbols(message)[0]];
      tell(`message ${topic} ${JSON.stringify(message)}`);
    },
    error: (error) => tell(`error ${error}`),
  });
  globalThis.say = (topic, message) => client.publish({ topics: topic, message });
};
