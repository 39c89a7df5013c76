import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.jsmpp.InvalidResponseException;
import org.jsmpp.PDUException;
import org.jsmpp.SMPPConstant;
import org.jsmpp.bean.AlertNotification;
import org.jsmpp.bean.Alphabet;
import org.jsmpp.bean.BindType;
import org.jsmpp.bean.DataCoding;
import org.jsmpp.bean.DataSm;
import org.jsmpp.bean.DeliverSm;
import org.jsmpp.bean.DeliveryReceipt;
import org.jsmpp.bean.ESMClass;
import org.jsmpp.bean.GeneralDataCoding;
import org.jsmpp.bean.NumberingPlanIndicator;
import org.jsmpp.bean.RegisteredDelivery;
import org.jsmpp.bean.TypeOfNumber;
import org.jsmpp.extra.NegativeResponseException;
import org.jsmpp.extra.ProcessRequestException;
import org.jsmpp.extra.ResponseTimeoutException;
import org.jsmpp.session.BindParameter;
import org.jsmpp.session.DataSmResult;
import org.jsmpp.session.MessageReceiverListener;
import org.jsmpp.session.SMPPSession;
import org.jsmpp.session.Session;
import org.jsmpp.util.InvalidDeliveryReceiptException;

/**
 * {@code Connector BOOTSTRAP_SERVERS SMSC_PORT OUTBOUND RESPONSES RECEIPTS}: a connector between
 * Kafka and an SMSC, as one writes it with jSMPP and Kafka's own client. Records of OUTBOUND are
 * submitted, each at least once; the answers go to RESPONSES, and receipts, matched to their message by
 * an id kept in memory, to RECEIPTS. An offset is committed when Kafka has the results of all records
 * before it.
 *
 * <p>jSMPP waits for the answer in the thread that submits, so a window is so many threads.
 */
public class Connector {
    /** Of one account. {@code -Dbinds=} and so on try other numbers. */
    private static final int BINDS = Integer.getInteger("binds", 4);
    /** Requests under way on each bind: so many threads. */
    private static final int WINDOW = Integer.getInteger("window", 50);
    /** Threads of each bind that take in answers and receipts. */
    private static final int READERS = Integer.getInteger("readers", 3);
    /** Records that wait for a thread; above it partitions are paused. */
    private static final int MOST_WAITING = 10_000;
    private static final int COMMIT_MILLIS = 1000;
    private static final int DRAIN_MILLIS = 5000;
    private static final int RETRY_MILLIS = 1000;
    /** How often, and in which steps, a receipt that comes before its response is looked up again. */
    private static final int LOOKUPS = 50;
    private static final int LOOKUP_MILLIS = 100;

    private static final ObjectMapper JSON = new ObjectMapper()
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
            .setDefaultPropertyInclusion(JsonInclude.Include.NON_NULL);
    private static final ObjectReader READER = JSON.readerFor(SubmitSm.class);
    private static final ObjectWriter WRITER = JSON.writer();

    private static final ESMClass NO_CLASS = new ESMClass();
    private static final DataCoding LATIN_1 = new GeneralDataCoding(Alphabet.ALPHA_LATIN1);

    /** A record of the outbound topic. */
    record SubmitSm(@JsonProperty(required = true) String source,
            @JsonProperty(required = true) String destination,
            @JsonProperty(required = true) String short_message, int registered_delivery, JsonNode extra_data) {
    }

    /** A record of the topic of responses. */
    record Response(String type, String message_id, int command_status, String submitted_at, String error,
            JsonNode extra_data) {
    }

    /** A record of the topic of receipts. */
    record Receipt(String type, String message_id, boolean correlated, String stat, String err,
            JsonNode extra_data) {
    }

    /** What is kept of a message until its receipt. */
    record Sent(byte[] key, JsonNode extraData) {
    }

    /** A record on its way. */
    static final class Outgoing {
        final ConsumerRecord<byte[], byte[]> record;
        /** Kafka has its result. */
        volatile boolean finished;
        /** Its partition went before a thread took it. */
        volatile boolean dropped;

        Outgoing(ConsumerRecord<byte[], byte[]> record) {
            this.record = record;
        }
    }

    private final int port;
    private final String outbound;
    private final String responses;
    private final String receipts;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final KafkaProducer<byte[], byte[]> producer;
    private final BlockingQueue<Outgoing> waiting = new LinkedBlockingQueue<>();
    /** By message_id. */
    private final Map<String, Sent> sent = new ConcurrentHashMap<>();
    /** Of each partition what is not committed, by offset; only the thread that polls uses it. */
    private final Map<TopicPartition, ArrayDeque<Outgoing>> open = new HashMap<>();
    private final ScheduledExecutorService later = Executors.newSingleThreadScheduledExecutor();
    private volatile boolean stopping;

    Connector(String bootstrap, int port, String outbound, String responses, String receipts) {
        this.port = port;
        this.outbound = outbound;
        this.responses = responses;
        this.receipts = receipts;
        Properties in = new Properties();
        in.put("bootstrap.servers", bootstrap);
        in.put("group.id", "connector-of-" + outbound);
        in.put("key.deserializer", ByteArrayDeserializer.class.getName());
        in.put("value.deserializer", ByteArrayDeserializer.class.getName());
        in.put("enable.auto.commit", "false");
        in.put("auto.offset.reset", "earliest");
        in.put("max.poll.records", "2000");
        consumer = new KafkaConsumer<>(in);
        Properties out = new Properties();
        out.put("bootstrap.servers", bootstrap);
        out.put("key.serializer", ByteArraySerializer.class.getName());
        out.put("value.serializer", ByteArraySerializer.class.getName());
        out.put("acks", "all");
        out.put("linger.ms", "10");
        out.put("batch.size", "131072");
        out.put("buffer.memory", "67108864");
        producer = new KafkaProducer<>(out);
    }

    public static void main(String[] args) throws Exception {
        Connector connector = new Connector(args[0], Integer.parseInt(args[1]), args[2], args[3], args[4]);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            connector.stopping = true;
            connector.consumer.wakeup();
            try {
                main.join(2 * DRAIN_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        connector.run();
    }

    private void run() throws InterruptedException {
        for (int i = 0; i < BINDS; i++) {
            Bind bind = new Bind();
            for (int j = 0; j < WINDOW; j++) {
                Thread thread = new Thread(bind, "bind-" + i + "-" + j);
                thread.setDaemon(true);
                thread.start();
            }
        }
        try (consumer) {
            consumer.subscribe(List.of(outbound), new Assignment());
            long due = 0;
            boolean paused = false;
            while (!stopping) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                    Outgoing outgoing = new Outgoing(record);
                    TopicPartition of = new TopicPartition(record.topic(), record.partition());
                    open.computeIfAbsent(of, p -> new ArrayDeque<>()).add(outgoing);
                    waiting.add(outgoing);
                }
                int held = waiting.size();
                if (held > MOST_WAITING && !paused) {
                    paused = true;
                    consumer.pause(consumer.assignment());
                } else if (held < MOST_WAITING / 2 && paused) {
                    paused = false;
                    consumer.resume(consumer.paused());
                }
                if (System.currentTimeMillis() > due) {
                    due = System.currentTimeMillis() + COMMIT_MILLIS;
                    consumer.commitAsync(finished(open.keySet()), null);
                }
            }
        } catch (WakeupException e) {
            // It is to stop: closing the consumer gave the partitions back.
        }
        producer.close();
    }

    /** Up to where all records of these partitions are finished; those are forgotten. */
    private Map<TopicPartition, OffsetAndMetadata> finished(Collection<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition partition : partitions) {
            ArrayDeque<Outgoing> records = open.get(partition);
            long next = -1;
            while (records != null && !records.isEmpty() && records.peek().finished) {
                next = records.poll().record.offset() + 1;
            }
            if (next >= 0) {
                offsets.put(partition, new OffsetAndMetadata(next));
            }
        }
        return offsets;
    }

    /** What is under way ends before its partition goes. */
    private final class Assignment implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            drop(partitions);
            long end = System.currentTimeMillis() + DRAIN_MILLIS;
            while (underWay(partitions) && System.currentTimeMillis() < end) {
                pause(10);
            }
            consumer.commitSync(finished(partitions));
            open.keySet().removeAll(partitions);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            drop(partitions);
            open.keySet().removeAll(partitions);
        }

        private void drop(Collection<TopicPartition> partitions) {
            waiting.removeIf(it -> it.dropped = partitions
                    .contains(new TopicPartition(it.record.topic(), it.record.partition())));
        }

        /** Whether a record that a thread took is not finished. */
        private boolean underWay(Collection<TopicPartition> partitions) {
            return partitions.stream()
                    .map(open::get)
                    .filter(Objects::nonNull)
                    .anyMatch(records -> records.stream().anyMatch(it -> !it.finished && !it.dropped));
        }
    }

    /** One session at a time, bound again when it is lost, and its part of the threads that submit. */
    private final class Bind implements Runnable, MessageReceiverListener {
        private volatile SMPPSession session;

        /** Each thread of the window. */
        @Override
        public void run() {
            while (!stopping) {
                try {
                    submit(waiting.take());
                } catch (InterruptedException e) {
                    return;
                } catch (RuntimeException e) {
                    fail(e);
                }
            }
        }

        private SMPPSession bound() throws IOException {
            SMPPSession now = session;
            if (now != null && now.getSessionState().isTransmittable()) {
                return now;
            }
            synchronized (this) {
                if (session == null || !session.getSessionState().isTransmittable()) {
                    SMPPSession fresh = new SMPPSession();
                    fresh.setTransactionTimer(10_000);
                    fresh.setPduProcessorDegree(READERS);
                    // Above it jSMPP refuses receipts and drops answers.
                    fresh.setQueueCapacity(10_000);
                    fresh.setMessageReceiverListener(this);
                    fresh.connectAndBind("127.0.0.1", port, new BindParameter(BindType.BIND_TRX, "bench",
                            "secret", "", TypeOfNumber.UNKNOWN, NumberingPlanIndicator.UNKNOWN, null));
                    session = fresh;
                }
                return session;
            }
        }

        private void submit(Outgoing outgoing) {
            SubmitSm message;
            try {
                message = READER.readValue(outgoing.record.value());
            } catch (IOException e) {
                respond(outgoing, null, 0, null, e.getMessage(), null);
                return;
            }
            while (!stopping) {
                String submittedAt = Instant.now().toString();
                try {
                    String id = bound().submitShortMessage("", TypeOfNumber.UNKNOWN,
                            NumberingPlanIndicator.UNKNOWN, message.source, ton(message.destination),
                            NumberingPlanIndicator.ISDN, digits(message.destination), NO_CLASS, (byte) 0, (byte) 0,
                            null, null, new RegisteredDelivery(message.registered_delivery), (byte) 0, LATIN_1,
                            (byte) 0, message.short_message.getBytes(StandardCharsets.ISO_8859_1)).getMessageId();
                    sent.put(id, new Sent(outgoing.record.key(), message.extra_data));
                    respond(outgoing, id, SMPPConstant.STAT_ESME_ROK, submittedAt, null, message.extra_data);
                    return;
                } catch (NegativeResponseException e) {
                    int status = e.getCommandStatus();
                    if (status != SMPPConstant.STAT_ESME_RTHROTTLED && status != SMPPConstant.STAT_ESME_RMSGQFUL) {
                        respond(outgoing, null, status, submittedAt, null, message.extra_data);
                        return;
                    }
                    pause(RETRY_MILLIS);
                } catch (PDUException e) {
                    respond(outgoing, null, 0, null, e.getMessage(), message.extra_data);
                    return;
                } catch (ResponseTimeoutException | InvalidResponseException | IOException e) {
                    // It may have been sent: at least once.
                    pause(RETRY_MILLIS);
                }
            }
        }

        @Override
        public void onAcceptDeliverSm(DeliverSm deliverSm) throws ProcessRequestException {
            if (!deliverSm.isSmscDeliveryReceipt()) {
                return; // Messages from phones are no part of this.
            }
            try {
                received(deliverSm.getShortMessageAsDeliveryReceipt(), LOOKUPS);
            } catch (InvalidDeliveryReceiptException e) {
                throw new ProcessRequestException(e.getMessage(), SMPPConstant.STAT_ESME_RX_R_APPN);
            }
        }

        @Override
        public void onAcceptAlertNotification(AlertNotification alertNotification) {
        }

        @Override
        public DataSmResult onAcceptDataSm(DataSm dataSm, Session source) throws ProcessRequestException {
            throw new ProcessRequestException("not expected", SMPPConstant.STAT_ESME_RX_R_APPN);
        }
    }

    private void respond(Outgoing outgoing, String id, int status, String submittedAt, String error,
            JsonNode extraData) {
        Response response = new Response("SubmitSmResp", id, status, submittedAt, error, extraData);
        producer.send(new ProducerRecord<>(responses, outgoing.record.key(), json(response)), (metadata, e) -> {
            if (e != null) {
                fail(e);
            }
            outgoing.finished = true;
        });
    }

    private void received(DeliveryReceipt receipt, int lookups) {
        Sent message = sent.get(receipt.getId());
        if (message == null && lookups > 0) {
            later.schedule(() -> received(receipt, lookups - 1), LOOKUP_MILLIS, TimeUnit.MILLISECONDS);
            return;
        }
        String stat = String.valueOf(receipt.getFinalStatus());
        if (!stat.equals("ENROUTE") && !stat.equals("ACCEPTD")) {
            sent.remove(receipt.getId());
        }
        Receipt event = new Receipt("DeliveryReceipt", receipt.getId(), message != null, stat, receipt.getError(),
                message == null ? null : message.extraData);
        byte[] key = message == null ? null : message.key;
        producer.send(new ProducerRecord<>(receipts, key, json(event)), (metadata, e) -> {
            if (e != null) {
                fail(e);
            }
        });
    }

    private static byte[] json(Object value) {
        try {
            return WRITER.writeValueAsBytes(value);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static TypeOfNumber ton(String number) {
        return number.startsWith("+") ? TypeOfNumber.INTERNATIONAL : TypeOfNumber.UNKNOWN;
    }

    private static String digits(String number) {
        return number.startsWith("+") ? number.substring(1) : number;
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Kafka gave a record up: whoever starts this again begins where nothing is lost. */
    private static void fail(Exception e) {
        e.printStackTrace();
        Runtime.getRuntime().halt(1);
    }
}
