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
import com.cloudhopper.smpp.type.SmppProcessingException;

/**
 * An SMSC on Cloudhopper's server side, on a loopback port it prints first. Prints what happens as
 * lines of JSON. Account: esme / secret. Message ids have ten decimal digits in responses and no
 * leading zeros in receipts. Some destinations have a meaning: 1000 answers with an inbound
 * message, 2000 is throttled three times, 3000 is rejected, 5000 drops the connection instead of
 * answering, 6000 is out of reach: its messages wait until they are cancelled, and can be queried
 * and replaced like all others.
 */
public class Smsc implements SmppServerHandler {
    private static final byte ENROUTE = 1;
    private static final byte DELIVERED = 2;
    private static final byte DELETED = 4;

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
        configuration.setDefaultWindowSize(100);
        configuration.setDefaultRequestExpiryTimeout(5000);
        new DefaultSmppServer(configuration, new Smsc(), Executors.newCachedThreadPool()).start();
        say("listening", "port", configuration.getPort());
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

        private PduResponse submit(SubmitSm sm) {
            String to = sm.getDestAddress().getAddress();
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
            return response;
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
        StringBuilder line = new StringBuilder("{\"event\":\"" + event + "\"");
        for (int i = 0; i < fields.length; i += 2) {
            Object value = fields[i + 1];
            String text = value instanceof String s ? '"' + s.replace("\\", "\\\\").replace("\"", "\\\"") + '"' : value.toString();
            line.append(",\"").append(fields[i]).append("\":").append(text);
        }
        System.out.println(line.append('}'));
    }
}
