// Puts a message onto an outbound topic.
//
//   mvn -q dependency:copy-dependencies -DoutputDirectory=libs
//   java -cp 'libs/*' Produce.java localhost:9092 sms.outbound json 491701234567 'Your code is 1234' order-17

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Produce {
    public static void main(String[] args) throws Exception {
        String bootstrap = args[0], topic = args[1], format = args[2];
        String to = args[3], text = args[4], logId = args[5];
        byte[] value = format.equals("json") ? json(to, text, logId) : avro(to, text, logId);
        // Idempotent, which is the default: a retry does not put the message there twice.
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap);
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new ByteArraySerializer())) {
            // Messages to one recipient keep their order.
            var at = producer.send(new ProducerRecord<>(topic, to, value)).get();
            System.out.printf("{\"topic\":\"%s\",\"partition\":%d,\"offset\":%d}%n",
                at.topic(), at.partition(), at.offset());
        }
    }

    static byte[] json(String to, String text, String logId) {
        String message = "{\"log_id\":%s,\"destination\":%s,\"short_message\":%s}"
            .formatted(quoted(logId), quoted(to), quoted(text));
        return message.getBytes(StandardCharsets.UTF_8);
    }

    static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            out.append(c < ' ' || c == '"' || c == '\\' ? "\\u%04x".formatted((int) c) : String.valueOf(c));
        }
        return out.append('"').toString();
    }

    /** Avro without a registry: the single-object encoding. */
    static byte[] avro(String to, String text, String logId) throws Exception {
        Schema schema = new Schema.Parser().parse(new File("../../schemas/SubmitSm.avsc"));
        Schema address = schema.getField("destination").schema();
        GenericRecord message = new GenericRecordBuilder(schema)
            .set("log_id", logId)
            .set("destination", new GenericRecordBuilder(address).set("number", to).build())
            .set("short_message", text)
            .build();
        ByteBuffer octets = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(message);
        byte[] value = new byte[octets.remaining()];
        octets.get(value);
        return value;
    }
}
