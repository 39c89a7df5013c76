// Prints what became of messages, one event a line: results, errors, receipts.
//
//   mvn -q dependency:copy-dependencies -DoutputDirectory=libs
//   java -cp 'libs/*' Consume.java localhost:9092 sms.responses,sms.errors,sms.receipts json example

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Consume {
    public static void main(String[] args) throws Exception {
        String format = args[2];
        Map<String, Object> config = Map.of(
            "bootstrap.servers", args[0],
            "group.id", args[3],
            "auto.offset.reset", "earliest",
            // Without it, results of transactions that were aborted are seen too.
            "isolation.level", "read_committed");
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(args[1].split(",")));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.println(format.equals("json")
                        ? new String(record.value(), StandardCharsets.UTF_8)
                        : avro(record.topic(), record.value()));
                }
            }
        }
    }

    /** Its topic says what an event is; what stands before it, that it is written with this schema. */
    static GenericRecord avro(String topic, byte[] value) throws Exception {
        String name = topic.endsWith("receipts") ? "DeliveryReceipt"
            : topic.endsWith("errors") ? "SendError"
            : topic.endsWith("inbound") ? "InboundSms" : "SubmitSmResp";
        Schema schema = new Schema.Parser().parse(new File("../../schemas/" + name + ".avsc"));
        return new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema).decode(value);
    }
}
