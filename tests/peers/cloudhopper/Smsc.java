import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

import com.cloudhopper.smpp.PduAsyncResponse;
import com.cloudhopper.smpp.SmppConstants;
import com.cloudhopper.smpp.SmppServerConfiguration;
import com.cloudhopper.smpp.SmppServerHandler;
import com.cloudhopper.smpp.SmppServerSession;
import com.cloudhopper.smpp.SmppSessionConfiguration;
import com.cloudhopper.smpp.impl.DefaultSmppServer;
import com.cloudhopper.smpp.impl.DefaultSmppSessionHandler;
import com.cloudhopper.smpp.pdu.BaseBind;
import com.cloudhopper.smpp.pdu.BaseBindResp;
import com.cloudhopper.smpp.pdu.CancelSm;
import com.cloudhopper.smpp.pdu.DeliverSm;
import com.cloudhopper.smpp.pdu.PduRequest;
import com.cloudhopper.smpp.pdu.PduResponse;
import com.cloudhopper.smpp.pdu.QuerySm;
import com.cloudhopper.smpp.pdu.QuerySmResp;
import com.cloudhopper.smpp.pdu.ReplaceSm;
import com.cloudhopper.smpp.pdu.SubmitSm;
import com.cloudhopper.smpp.pdu.SubmitSmResp;
import com.cloudhopper.smpp.pdu.Unbind;
import com.cloudhopper.smpp.type.Address;
import com.cloudhopper.smpp.type.SmppProcessingException;

/**
 * An SMSC on Cloudhopper's server side, on a loopback port it prints first. Prints what happens as
 * lines of JSON. Account: esme / secret. Message ids have ten decimal digits in responses and no
 * leading zeros in receipts. Some destinations have a meaning: 1000 answers with an inbound
 * message, 2000 is throttled three times, 3000 is rejected, 5000 drops the connection instead of
 * answering, 6000 is out of reach: its messages wait until they are cancelled, and can be queried
 * and replaced like all others.
 *
 * Its environment makes it an operator's: WINDOW=20 answers ESME_RMSGQFUL to what comes while so many
 * wait for their response on a session, RESP_DELAY_MS=50 answers so much later, DIE_MS=200 closes so
 * long after each bind, DEAF=1 takes messages and answers none, THROTTLE=500/8000 answers
 * ESME_RTHROTTLED to all in the last 500 ms of every 8 s, BURST=5000 delivers so many messages at
 * once to the first that can receive, and offers none twice.
 */
public class Smsc implements SmppServerHandler {
    private static final byte ENROUTE = 1;
    private static final byte DELIVERED = 2;
    private static final byte DELETED = 4;

    private static final int WINDOW = setting("WINDOW");
    private static final int RESP_DELAY_MS = setting("RESP_DELAY_MS");
    private static final int DIE_MS = setting("DIE_MS");
    private static final boolean DEAF = setting("DEAF") > 0;
    private static final String[] THROTTLE = System.getenv().getOrDefault("THROTTLE", "0/1").split("/");
    private static final int BURST = setting("BURST");

    private final long begun = System.currentTimeMillis();
    private final AtomicInteger bursts = new AtomicInteger();
    private final ScheduledExecutorService later = Executors.newScheduledThreadPool(8);
    private final List<SmppServerSession> receivers = new CopyOnWriteArrayList<>();
    private final AtomicLong messageIds = new AtomicLong(System.nanoTime() % 0xFFFFFFL);
    private final AtomicInteger throttled = new AtomicInteger();
    private final Map<String, Byte> states = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        SmppServerConfiguration configuration = new SmppServerConfiguration();
        configuration.setHost(InetAddress.getLoopbackAddress().getHostAddress());
        configuration.setPort(freePort());
        configuration.setSystemId("cloudhopper");
        configuration.setDefaultWindowSize(Math.max(100, BURST));
        configuration.setDefaultRequestExpiryTimeout(5000);
        new DefaultSmppServer(configuration, new Smsc(), Executors.newCachedThreadPool()).start();
        say("listening", "port", configuration.getPort());
    }

    private static int setting(String name) {
        return Integer.parseInt(System.getenv().getOrDefault(name, "0"));
    }

    private boolean throttles() {
        long part = Long.parseLong(THROTTLE[0]);
        long of = Long.parseLong(THROTTLE[1]);
        return (System.currentTimeMillis() - begun) % of >= of - part;
    }

    /** It cannot be told to take a free port and say which. */
    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    @Override
    public void sessionBindRequested(Long id, SmppSessionConfiguration session, BaseBind request)
            throws SmppProcessingException {
        boolean known = request.getSystemId().equals("esme") && request.getPassword().equals("secret");
        say("bind", "session", id.toString(), "system_id", request.getSystemId(), "mode", request.getName(),
                "accepted", known);
        if (!known) {
            throw new SmppProcessingException(SmppConstants.STATUS_INVPASWD);
        }
    }

    @Override
    public void sessionCreated(Long id, SmppServerSession session, BaseBindResp response) {
        session.serverReady(new Requests(id, session));
        switch (session.getBindType()) {
            case TRANSMITTER -> { }
            default -> receivers.add(session);
        }
        if (DIE_MS > 0) {
            later.schedule(session::destroy, DIE_MS, TimeUnit.MILLISECONDS);
        }
        if (BURST > 0 && receivers.contains(session) && bursts.getAndIncrement() == 0) {
            later.schedule(() -> burst(session), 1, TimeUnit.SECONDS);
        }
    }

    /** All at once, none of them offered again. */
    private void burst(SmppServerSession session) {
        for (int n = 1; n <= BURST; n++) {
            try {
                DeliverSm deliver = new DeliverSm();
                deliver.setSourceAddress(new Address((byte) 1, (byte) 1, "447700900123"));
                deliver.setDestAddress(new Address((byte) 0, (byte) 0, "80800"));
                deliver.setShortMessage(("MO " + n).getBytes(StandardCharsets.US_ASCII));
                session.sendRequestPdu(deliver, 60_000, false);
            } catch (Exception e) {
                say("offered", "outcome", e.toString());
            }
        }
    }

    @Override
    public void sessionDestroyed(Long id, SmppServerSession session) {
        receivers.remove(session);
        session.destroy();
        say("closed", "session", id.toString());
    }

    /** What an ESME asks for on one session. */
    private class Requests extends DefaultSmppSessionHandler {
        private final Long id;
        private final SmppServerSession session;
        private final AtomicInteger waiting = new AtomicInteger();

        Requests(Long id, SmppServerSession session) {
            this.id = id;
            this.session = session;
        }

        @Override
        @SuppressWarnings("rawtypes")
        public PduResponse firePduRequestReceived(PduRequest request) {
            if (request instanceof SubmitSm sm) {
                return submit(sm);
            } else if (request instanceof QuerySm sm) {
                return query(sm);
            } else if (request instanceof ReplaceSm sm) {
                return replace(sm);
            } else if (request instanceof CancelSm sm) {
                return cancel(sm);
            } else if (request instanceof Unbind) {
                later.schedule(session::close, 50, TimeUnit.MILLISECONDS);
            }
            return request.createResponse();
        }

        /** Answers of a burst, which nobody waits for one by one. */
        @Override
        public void fireExpectedPduResponseReceived(PduAsyncResponse answer) {
            int status = answer.getResponse().getCommandStatus();
            say("offered", "outcome", status == 0 ? "acknowledged" : "status " + status);
        }

        @Override
        public void firePduRequestExpired(PduRequest request) {
            say("offered", "outcome", "not answered");
        }

        /** Answers later, as one of those that wait, if so many may. */
        private PduResponse answer(PduResponse response) {
            if (DEAF) {
                return null;
            }
            if (RESP_DELAY_MS == 0) {
                return response;
            }
            waiting.incrementAndGet();
            later.schedule(() -> {
                waiting.decrementAndGet();
                try {
                    session.sendResponsePdu(response);
                } catch (Exception e) {
                    say("failed", "why", e.toString());
                }
            }, RESP_DELAY_MS, TimeUnit.MILLISECONDS);
            return null;
        }

        private PduResponse submit(SubmitSm sm) {
            String to = sm.getDestAddress().getAddress();
            if (throttles() || WINDOW > 0 && waiting.get() >= WINDOW) {
                int status = throttles() ? SmppConstants.STATUS_THROTTLED : SmppConstants.STATUS_MSGQFUL;
                say("submit", "session", id.toString(), "status", status);
                SubmitSmResp response = sm.createResponse();
                response.setCommandStatus(status);
                return response;
            }
            int status = switch (to) {
                case "2000" -> throttled.getAndIncrement() < 3 ? SmppConstants.STATUS_THROTTLED : 0;
                case "3000" -> SmppConstants.STATUS_INVDSTADR;
                default -> 0;
            };
            String messageId = String.format("%010d", messageIds.incrementAndGet());
            say("submit", "session", id.toString(), "source", sm.getSourceAddress().getAddress(), "destination", to,
                    "octets", hex(sm.getShortMessage()), "esm_class", sm.getEsmClass(), "data_coding",
                    sm.getDataCoding(), "registered_delivery", sm.getRegisteredDelivery(), "status", status,
                    "message_id", messageId);
            if (to.equals("5000")) {
                session.close();
                return null;
            }
            SubmitSmResp response = sm.createResponse();
            response.setCommandStatus(status);
            if (status != 0) {
                return response;
            }
            response.setMessageId(messageId);
            boolean waits = to.equals("6000");
            states.put(messageId, waits ? ENROUTE : DELIVERED);
            if (!waits && (sm.getRegisteredDelivery() & 1) != 0) {
                later.schedule(() -> receipt(sm, session, messageId), 100, TimeUnit.MILLISECONDS);
            }
            if (to.equals("1000")) {
                later.schedule(() -> deliver("inbound", sm, session, sm.getEsmClass(), sm.getDataCoding(),
                        sm.getShortMessage(), ""), 50, TimeUnit.MILLISECONDS);
            }
            return answer(response);
        }

        private PduResponse query(QuerySm sm) {
            say("query", "message_id", sm.getMessageId(), "source", sm.getSourceAddress().getAddress());
            QuerySmResp response = sm.createResponse();
            Byte state = states.get(sm.getMessageId());
            if (state == null) {
                response.setCommandStatus(SmppConstants.STATUS_QUERYFAIL);
                return response;
            }
            response.setMessageId(sm.getMessageId());
            response.setMessageState(state);
            response.setFinalDate(state == ENROUTE ? "" : "260102030405000+");
            return response;
        }

        private PduResponse replace(ReplaceSm sm) {
            say("replace", "message_id", sm.getMessageId(), "source", sm.getSourceAddress().getAddress(), "octets",
                    hex(sm.getShortMessage()));
            PduResponse response = sm.createResponse();
            boolean waits = Byte.valueOf(ENROUTE).equals(states.get(sm.getMessageId()));
            response.setCommandStatus(waits ? 0 : SmppConstants.STATUS_REPLACEFAIL);
            return response;
        }

        private PduResponse cancel(CancelSm sm) {
            say("cancel", "message_id", sm.getMessageId(), "source", sm.getSourceAddress().getAddress());
            PduResponse response = sm.createResponse();
            boolean waits = states.replace(sm.getMessageId(), ENROUTE, DELETED);
            response.setCommandStatus(waits ? 0 : SmppConstants.STATUS_CANCELFAIL);
            return response;
        }
    }

    private void receipt(SubmitSm sm, SmppServerSession session, String messageId) {
        String text = "id:" + Long.parseLong(messageId) + " sub:001 dlvrd:001 submit date:2601020304"
                + " done date:2601020305 stat:DELIVRD err:000 text:";
        deliver("receipt", sm, session, SmppConstants.ESM_CLASS_MT_SMSC_DELIVERY_RECEIPT, (byte) 0,
                text.getBytes(StandardCharsets.US_ASCII), messageId);
    }

    /** Delivers, on another bind if need be and until it is acknowledged. */
    private void deliver(String what, SubmitSm sm, SmppServerSession from, byte esmClass, byte dataCoding,
            byte[] octets, String messageId) {
        SmppServerSession session = receivers.contains(from) ? from : receivers.stream().findFirst().orElse(null);
        String outcome = "no receiver is bound";
        if (session != null) {
            try {
                DeliverSm deliver = new DeliverSm();
                deliver.setSourceAddress(sm.getDestAddress());
                deliver.setDestAddress(sm.getSourceAddress());
                deliver.setEsmClass(esmClass);
                deliver.setDataCoding(dataCoding);
                deliver.setShortMessage(octets);
                var future = session.sendRequestPdu(deliver, 5000, true);
                future.await(5000);
                int status = future.isSuccess() ? future.getResponse().getCommandStatus() : -1;
                outcome = status == 0 ? "acknowledged" : "status " + status;
            } catch (Exception e) {
                outcome = e.toString();
            }
        }
        say(what, "message_id", messageId, "outcome", outcome);
        if (!outcome.equals("acknowledged")) {
            later.schedule(() -> deliver(what, sm, from, esmClass, dataCoding, octets, messageId), 500,
                    TimeUnit.MILLISECONDS);
        }
    }

    private static String hex(byte[] octets) {
        return octets == null ? "" : HexFormat.of().formatHex(octets);
    }

    private static synchronized void say(String event, Object... fields) {
        StringBuilder line = new StringBuilder("{\"event\":\"" + event + "\",\"at\":" + System.currentTimeMillis());
        for (int i = 0; i < fields.length; i += 2) {
            Object value = fields[i + 1];
            String text = value instanceof String s ? '"' + s.replace("\\", "\\\\").replace("\"", "\\\"") + '"' : value.toString();
            line.append(",\"").append(fields[i]).append("\":").append(text);
        }
        System.out.println(line.append('}'));
    }
}
