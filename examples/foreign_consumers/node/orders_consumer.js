// npm ci && BROKERS=… TOPIC=orders.events GROUP=warehouse node orders_consumer.js
import kafkajs from "kafkajs";
import lz4 from "lz4js";

// KafkaJS knows lz4 by number only, and throws at the first batch without this.
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});

const kafka = new kafkajs.Kafka({
  clientId: "warehouse",
  brokers: process.env.BROKERS.split(","),
  logLevel: kafkajs.logLevel.WARN,
});
const consumer = kafka.consumer({ groupId: process.env.GROUP }); // the classic protocol, round robin assignor
const had = new Set(); // yours: a table, written in the transaction of what you do

const read = (message) => ({
  id: message.headers.ce_id.toString(), // a header is a Buffer
  type: message.headers.ce_type.toString(),
  body: JSON.parse(message.value.toString()), // amounts are integers below 2^53
});

await consumer.connect();
await consumer.subscribe({ topic: process.env.TOPIC, fromBeginning: true });
await consumer.run({
  // KafkaJS commits what this returned for; what it throws for comes again, for ever.
  eachMessage: async ({ partition, message }) => {
    try {
      const { id, type, body } = read(message);
      if (typeof body.order_id !== "string") throw new Error("no order_id");
      if (!had.has(id)) console.log(`${type} ${body.order_id} ${id}`);
      had.add(id);
    } catch (malformed) {
      console.error(`skipped ${partition}/${message.offset}: ${malformed.message}`); // tell a person
    }
  },
});
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => consumer.disconnect());
