// Prints what became of messages, one event a line: results, errors, receipts.
//
//   mvn -q dependency:copy-dependencies -DoutputDirectory=libs
//   java -cp 'libs/*' Consume.java                                  # for ever
//   java -cp 'libs/*' Consume.java --until-final --log-id order-17  # until its receipt, or its error
//
// And --bootstrap, --topics, --group, --format json or avro. Avro needs the folder of the schemas:
// --schemas, ../../schemas if it is not said.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Consume {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] line) throws Exception {
        Map<String, String> args = new HashMap<>(Map.of(
            "--bootstrap", "localhost:9092", "--topics", "sms.responses,sms.errors,sms.receipts",
            "--group", "example", "--format", "json", "--schemas", "../../schemas"));
        for (int i = 0; i < line.length; i++) {
            args.put(line[i], line[i].equals("--until-final") ? "" : line[++i]);
        }
        var decoders = args.get("--format").equals("avro") ? decoders(args.get("--schemas")) : null;
        Map<String, Object> config = Map.of(
            "bootstrap.servers", args.get("--bootstrap"),
            "group.id", args.get("--group"),
            "auto.offset.reset", "earliest",
            // Without it, results of transactions that were aborted are seen too.
            "isolation.level", "read_committed");
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(args.get("--topics").split(",")));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    JsonNode event = decoders == null
                        ? JSON.readTree(record.value())
                        : JSON.readTree(decoded(decoders, record.value()).toString());
                    String logId = args.get("--log-id");
                    if (logId != null && !logId.equals(event.path("log_id").asText())) {
                        continue;
                    }
                    System.out.println(event);
                    if (args.containsKey("--until-final") && isLast(event)) {
                        return;
                    }
                }
            }
        }
    }

    /** Whether nothing follows: no receipt comes for what was not accepted. */
    static boolean isLast(JsonNode event) {
        if (event.path("type").asText().equals("DeliveryReceipt")) {
            return event.path("final").asBoolean();
        }
        return event.path("terminal").asBoolean() && !event.path("accepted").asBoolean();
    }

    /** A decoder for each schema, by the fingerprint that stands in what is written with it. */
    static Map<Long, BinaryMessageDecoder<GenericRecord>> decoders(String folder) throws Exception {
        Map<Long, BinaryMessageDecoder<GenericRecord>> decoders = new HashMap<>();
        for (File file : new File(folder).listFiles((in, name) -> name.endsWith(".avsc"))) {
            Schema schema = new Schema.Parser().parse(file);
            decoders.put(SchemaNormalization.parsingFingerprint64(schema),
                new BinaryMessageDecoder<>(GenericData.get(), schema));
        }
        return decoders;
    }

    /** Avro without a registry: two octets that mark it, the fingerprint, the record. */
    static GenericRecord decoded(Map<Long, BinaryMessageDecoder<GenericRecord>> decoders, byte[] value)
            throws Exception {
        long fingerprint = ByteBuffer.wrap(value).order(ByteOrder.LITTLE_ENDIAN).getLong(2);
        var decoder = decoders.get(fingerprint);
        if (decoder == null) {
            throw new IllegalArgumentException("written with a schema that is not in --schemas");
        }
        return decoder.decode(value);
    }
}
