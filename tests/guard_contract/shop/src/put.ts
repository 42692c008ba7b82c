import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";

const client = new EventBridgeClient({});

export async function placed(order: object, kind: string): Promise<void> {
  const entry = { Source: "shop.orders", DetailType: "OrderPlaced", Detail: JSON.stringify(order) };
  await client.send(new PutEventsCommand({ Entries: [entry] }));
  await client.send(new PutEventsCommand({ Entries: [{ ...entry, DetailType: kind }] }));
}
