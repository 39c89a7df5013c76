// Puts a message onto an outbound topic.
//
//   mvn -q dependency:copy-dependencies -DoutputDirectory=libs
//   java -cp 'libs/*' Produce.java --to 491701234567 --text 'Your code is 1234'
//
// And --bootstrap, --topic, --format json or avro, --log-id. Avro needs the folder of the schemas:
// --schemas, ../../schemas if it is not said.

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.ByteBuffer;
import java.util.HashMap;
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
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] line) throws Exception {
        Map<String, String> args = new HashMap<>(Map.of(
            "--bootstrap", "localhost:9092", "--topic", "sms.outbound",
            "--format", "json", "--schemas", "../../schemas"));
        for (int i = 0; i + 1 < line.length; i += 2) {
            args.put(line[i], line[i + 1]);
        }
        byte[] value = args.get("--format").equals("avro") ? avro(args) : json(args);
        // Idempotent, which is the default: a retry does not put the message there twice.
        Map<String, Object> config = Map.of("bootstrap.servers", args.get("--bootstrap"));
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new ByteArraySerializer())) {
            // Messages to one recipient keep their order.
            var at = producer.send(new ProducerRecord<>(args.get("--topic"), args.get("--to"), value)).get();
            System.out.println(JSON.writeValueAsString(
                Map.of("topic", at.topic(), "partition", at.partition(), "offset", at.offset())));
        }
    }

    static byte[] json(Map<String, String> args) throws Exception {
        Map<String, String> message = new HashMap<>(
            Map.of("destination", args.get("--to"), "short_message", args.get("--text")));
        if (args.containsKey("--log-id")) {
            message.put("log_id", args.get("--log-id"));
        }
        return JSON.writeValueAsBytes(message);
    }

    /** Avro without a registry: the single-object encoding. */
    static byte[] avro(Map<String, String> args) throws Exception {
        Schema schema = new Schema.Parser().parse(new File(args.get("--schemas"), "SubmitSm.avsc"));
        Schema address = schema.getField("destination").schema();
        GenericRecord message = new GenericRecordBuilder(schema)
            .set("log_id", args.get("--log-id"))
            .set("destination", new GenericRecordBuilder(address).set("number", args.get("--to")).build())
            .set("short_message", args.get("--text"))
            .build();
        ByteBuffer octets = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(message);
        byte[] value = new byte[octets.remaining()];
        octets.get(value);
        return value;
    }
}
