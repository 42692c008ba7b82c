// An application of the types that `eventcast routes types` makes: read.ts is theirs.
import type { ChannelMessages, ChannelTopics } from "./channels";

export function cents(message: ChannelMessages["user:{userId}"]): number {
  if (message["detail-type"] === "OrderPlaced") {
    const lines: string[] = message.detail.lines ?? [];
    return message.detail.total.cents + lines.length;
  }
  return 0;
}

export const topic: ChannelTopics["order:{orderId}"] = "prod/order/1";
