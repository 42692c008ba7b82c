import { Live } from './lib';

export function open(host: string) {
  return new Live(`wss://${host}/orders`);
}
