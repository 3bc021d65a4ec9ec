// java -cp 'jars/*' OrdersConsumer.java     jars: kafka-clients with what it needs, and jackson-databind
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.*;

public class OrdersConsumer {
    public static void main(String[] args) throws Exception {
        Map<String, Object> options = Map.of(
            "bootstrap.servers", System.getenv("BROKERS"), "group.id", System.getenv("GROUP"),
            "group.protocol", "consumer", // brokers from 4.0; assignors are the broker's then
            "auto.offset.reset", "earliest", "enable.auto.commit", "false");
        var json = new ObjectMapper(); // ignores nothing by itself: read a tree, or allow unknown fields in your class
        var had = new HashSet<String>(); // yours: a table, written in the transaction of what you do
        // Bytes, not JSON deserializers: one that throws would stop the consumer at a malformed message for ever.
        var consumer = new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        var main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try { main.join(); } catch (InterruptedException ignored) { }
        }));
        consumer.subscribe(List.of(System.getenv("TOPIC")));
        try (consumer) {
            while (true) {
                for (var message : consumer.poll(Duration.ofSeconds(1))) {
                    try {
                        var id = header(message, "ce_id");
                        var type = header(message, "ce_type");
                        var body = json.readTree(message.value());
                        if (had.add(id)) System.out.println(type + " " + body.required("order_id").asText() + " " + id);
                    } catch (Exception malformed) { // tell a person; never let one message stop all
                        System.err.println("skipped " + message.partition() + "/" + message.offset() + ": " + malformed);
                    }
                }
                consumer.commitSync(); // after the work: at least once
            }
        } catch (WakeupException stopped) { }
    }

    static String header(ConsumerRecord<?, ?> message, String name) {
        return new String(message.headers().lastHeader(name).value(), java.nio.charset.StandardCharsets.UTF_8);
    }
}
