import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.util.Date;
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

import org.jsmpp.bean.BindType;
import org.jsmpp.bean.BroadcastSm;
import org.jsmpp.bean.CancelBroadcastSm;
import org.jsmpp.bean.CancelSm;
import org.jsmpp.bean.DataCodings;
import org.jsmpp.bean.DataSm;
import org.jsmpp.bean.DeliveryReceipt;
import org.jsmpp.bean.ESMClass;
import org.jsmpp.bean.MessageState;
import org.jsmpp.bean.MessageType;
import org.jsmpp.bean.NumberingPlanIndicator;
import org.jsmpp.bean.OptionalParameter;
import org.jsmpp.bean.QueryBroadcastSm;
import org.jsmpp.bean.QuerySm;
import org.jsmpp.bean.RegisteredDelivery;
import org.jsmpp.bean.ReplaceSm;
import org.jsmpp.bean.SMSCDeliveryReceipt;
import org.jsmpp.bean.SubmitMulti;
import org.jsmpp.bean.SubmitSm;
import org.jsmpp.bean.TypeOfNumber;
import org.jsmpp.extra.ProcessRequestException;
import org.jsmpp.session.BindRequest;
import org.jsmpp.session.BroadcastSmResult;
import org.jsmpp.session.DataSmResult;
import org.jsmpp.session.QueryBroadcastSmResult;
import org.jsmpp.session.QuerySmResult;
import org.jsmpp.session.SMPPServerSession;
import org.jsmpp.session.SMPPServerSessionListener;
import org.jsmpp.session.ServerMessageReceiverListener;
import org.jsmpp.session.Session;
import org.jsmpp.session.SubmitMultiResult;
import org.jsmpp.session.SubmitSmResult;
import org.jsmpp.session.connection.Connection;
import org.jsmpp.session.connection.ServerConnection;
import org.jsmpp.session.connection.ServerConnectionFactory;
import org.jsmpp.session.connection.socket.ServerSocketConnection;
import org.jsmpp.util.DeliveryReceiptState;
import org.jsmpp.util.MessageId;

/**
 * An SMSC on jSMPP's server side, on a loopback port it prints first. Prints what happens as
 * lines of JSON. Account: esme / secret. Some destinations have a meaning: 1000 answers with
 * an inbound message, 2000 is throttled three times, 3000 is rejected, 5000 drops the
 * connection instead of answering, 6000 is out of reach: its messages wait until they are
 * cancelled, and can be queried and replaced like all others.
 *
 * Its environment makes it an operator's: RESP_DELAY_MS=300 takes so long for each message, one after
 * the other, DIE_MS=200 closes so long after each bind, DEAF=1 takes messages and answers none (the
 * link lives on), THROTTLE=500/8000 answers ESME_RTHROTTLED to all in the last 500 ms of every 8 s.
 */
public class Smsc implements ServerMessageReceiverListener, ServerConnectionFactory {
    private static final int ESME_RTHROTTLED = 0x58;
    private static final int ESME_RINVDSTADR = 0x0B;
    private static final int ESME_RINVPASWD = 0x0E;
    private static final int ESME_RINVCMDID = 0x03;
    private static final int ESME_RCANCELFAIL = 0x11;
    private static final int ESME_RREPLACEFAIL = 0x13;
    private static final int ESME_RQUERYFAIL = 0x67;

    private static final int RESP_DELAY_MS = setting("RESP_DELAY_MS");
    private static final int DIE_MS = setting("DIE_MS");
    private static final boolean DEAF = setting("DEAF") > 0;
    private static final String[] THROTTLE = System.getenv().getOrDefault("THROTTLE", "0/1").split("/");

    private final long begun = System.currentTimeMillis();
    private final ScheduledExecutorService later = Executors.newScheduledThreadPool(8);
    private final List<SMPPServerSession> receivers = new CopyOnWriteArrayList<>();
    private final AtomicLong messageIds = new AtomicLong(0xA0000000L + System.nanoTime() % 0xFFFFFFL);
    private final AtomicInteger throttled = new AtomicInteger();
    private final Map<String, MessageState> states = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        new Smsc().serve();
    }

    private void serve() throws IOException {
        SMPPServerSessionListener listener = new SMPPServerSessionListener(0, this);
        listener.setMessageReceiverListener(this);
        if (RESP_DELAY_MS > 0) {
            listener.setPduProcessorDegree(1);
            listener.setQueueCapacity(10_000);
        } else if (DEAF) {
            // Each message that is not answered keeps one busy, and enquire_link needs one too.
            listener.setPduProcessorDegree(300);
        }
        while (true) {
            SMPPServerSession session = listener.accept();
            Executors.newSingleThreadExecutor().execute(() -> bind(session));
        }
    }

    private static int setting(String name) {
        return Integer.parseInt(System.getenv().getOrDefault(name, "0"));
    }

    private boolean throttles() {
        long part = Long.parseLong(THROTTLE[0]);
        long of = Long.parseLong(THROTTLE[1]);
        return (System.currentTimeMillis() - begun) % of >= of - part;
    }

    private void bind(SMPPServerSession session) {
        try {
            BindRequest request = session.waitForBind(5000);
            boolean known = request.getSystemId().equals("esme") && request.getPassword().equals("secret");
            say("bind", "session", session.getSessionId(), "system_id", request.getSystemId(),
                    "mode", request.getBindType().name(), "accepted", known);
            if (!known) {
                request.reject(ESME_RINVPASWD);
                return;
            }
            session.addSessionStateListener((now, before, s) -> {
                if (!now.isBound()) {
                    receivers.remove(session);
                    say("closed", "session", session.getSessionId());
                }
            });
            request.accept("jsmpp");
            if (request.getBindType() != BindType.BIND_TX) {
                receivers.add(session);
            }
            if (DIE_MS > 0) {
                later.schedule(session::close, DIE_MS, TimeUnit.MILLISECONDS);
            }
        } catch (Exception e) {
            say("failed", "why", e.toString());
        }
    }

    @Override
    public SubmitSmResult onAcceptSubmitSm(SubmitSm sm, SMPPServerSession session) throws ProcessRequestException {
        String to = sm.getDestAddress();
        if (throttles()) {
            say("submit", "session", session.getSessionId(), "status", ESME_RTHROTTLED);
            throw new ProcessRequestException("for a while", ESME_RTHROTTLED);
        }
        pause(RESP_DELAY_MS);
        int status = switch (to) {
            case "2000" -> throttled.getAndIncrement() < 3 ? ESME_RTHROTTLED : 0;
            case "3000" -> ESME_RINVDSTADR;
            default -> 0;
        };
        String id = Long.toHexString(messageIds.incrementAndGet());
        say("submit", "session", session.getSessionId(), "source", sm.getSourceAddr(), "destination", to,
                "octets", HexFormat.of().formatHex(sm.getShortMessage()), "esm_class", sm.getEsmClass(),
                "data_coding", sm.getDataCoding(), "registered_delivery", sm.getRegisteredDelivery(),
                "status", status, "message_id", id);
        if (to.equals("5000")) {
            session.close();
        }
        if (DEAF) {
            pause(3_600_000);
        }
        if (status != 0) {
            throw new ProcessRequestException("as the destination says", status);
        }
        boolean waits = to.equals("6000");
        states.put(id, waits ? MessageState.ENROUTE : MessageState.DELIVERED);
        if (!waits && SMSCDeliveryReceipt.SUCCESS_FAILURE.containedIn(sm.getRegisteredDelivery())) {
            later.schedule(() -> receipt(sm, session, id), 100, TimeUnit.MILLISECONDS);
        }
        if (to.equals("1000")) {
            later.schedule(() -> inbound(sm, session), 50, TimeUnit.MILLISECONDS);
        }
        try {
            return new SubmitSmResult(new MessageId(id), new OptionalParameter[0]);
        } catch (Exception e) {
            throw new ProcessRequestException("message id", 8, e);
        }
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The receipt's id is the decimal of the hexadecimal message id, as many SMSCs have it. */
    private void receipt(SubmitSm sm, SMPPServerSession session, String id) {
        String decimal = Long.toString(Long.parseLong(id, 16));
        Date now = new Date();
        String text = new DeliveryReceipt(decimal, 1, 1, now, now, DeliveryReceiptState.DELIVRD, "000", "").toString();
        ESMClass esmClass = new ESMClass().setMessageType(MessageType.SMSC_DEL_RECEIPT);
        deliver("receipt", sm, session, esmClass, (byte) 0, text.getBytes(StandardCharsets.US_ASCII), id);
    }

    private void inbound(SubmitSm sm, SMPPServerSession session) {
        deliver("inbound", sm, session, new ESMClass(sm.getEsmClass()), sm.getDataCoding(), sm.getShortMessage(), "");
    }

    private void deliver(String what, SubmitSm sm, SMPPServerSession from, ESMClass esmClass, byte coding,
            byte[] octets, String id) {
        SMPPServerSession session = receivers.contains(from) ? from : receivers.stream().findFirst().orElse(null);
        String outcome = "no receiver is bound";
        if (session != null) {
            try {
                session.deliverShortMessage("", TypeOfNumber.valueOf(sm.getDestAddrTon()),
                        NumberingPlanIndicator.valueOf(sm.getDestAddrNpi()), sm.getDestAddress(),
                        TypeOfNumber.valueOf(sm.getSourceAddrTon()), NumberingPlanIndicator.valueOf(sm.getSourceAddrNpi()),
                        sm.getSourceAddr(), esmClass, (byte) 0, (byte) 0, new RegisteredDelivery(0),
                        DataCodings.newInstance(coding), octets);
                outcome = "acknowledged";
            } catch (Exception e) {
                outcome = e.toString();
            }
        }
        say(what, "message_id", id, "outcome", outcome);
        if (!outcome.equals("acknowledged")) {
            later.schedule(() -> deliver(what, sm, from, esmClass, coding, octets, id), 500, TimeUnit.MILLISECONDS);
        }
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

    @Override
    public ServerConnection listen(int port) throws IOException {
        ServerSocket socket = new ServerSocket(port, 100, InetAddress.getLoopbackAddress());
        say("listening", "port", socket.getLocalPort());
        return new ServerSocketConnection(socket);
    }

    @Override
    public ServerConnection listen(int port, int timeout) throws IOException {
        return listen(port);
    }

    @Override
    public ServerConnection listen(int port, int timeout, int backlog) throws IOException {
        return listen(port);
    }

    private static ProcessRequestException unsupported() {
        return new ProcessRequestException("not supported", ESME_RINVCMDID);
    }

    @Override
    public SubmitMultiResult onAcceptSubmitMulti(SubmitMulti sm, SMPPServerSession s) throws ProcessRequestException {
        throw unsupported();
    }

    @Override
    public QuerySmResult onAcceptQuerySm(QuerySm sm, SMPPServerSession s) throws ProcessRequestException {
        MessageState state = states.get(sm.getMessageId());
        say("query", "message_id", sm.getMessageId(), "source", sm.getSourceAddr());
        if (state == null) {
            throw new ProcessRequestException("no such message", ESME_RQUERYFAIL);
        }
        return new QuerySmResult(state == MessageState.ENROUTE ? "" : "260102030405000+", state, (byte) 0);
    }

    @Override
    public void onAcceptReplaceSm(ReplaceSm sm, SMPPServerSession s) throws ProcessRequestException {
        say("replace", "message_id", sm.getMessageId(), "source", sm.getSourceAddr(),
                "octets", HexFormat.of().formatHex(sm.getShortMessage()));
        if (states.get(sm.getMessageId()) != MessageState.ENROUTE) {
            throw new ProcessRequestException("nothing to replace", ESME_RREPLACEFAIL);
        }
    }

    @Override
    public void onAcceptCancelSm(CancelSm sm, SMPPServerSession s) throws ProcessRequestException {
        say("cancel", "message_id", sm.getMessageId(), "source", sm.getSourceAddr());
        if (!states.replace(sm.getMessageId(), MessageState.ENROUTE, MessageState.DELETED)) {
            throw new ProcessRequestException("nothing to cancel", ESME_RCANCELFAIL);
        }
    }

    @Override
    public BroadcastSmResult onAcceptBroadcastSm(BroadcastSm sm, SMPPServerSession s) throws ProcessRequestException {
        throw unsupported();
    }

    @Override
    public void onAcceptCancelBroadcastSm(CancelBroadcastSm sm, SMPPServerSession s) throws ProcessRequestException {
        throw unsupported();
    }

    @Override
    public QueryBroadcastSmResult onAcceptQueryBroadcastSm(QueryBroadcastSm sm, SMPPServerSession s)
            throws ProcessRequestException {
        throw unsupported();
    }

    @Override
    public DataSmResult onAcceptDataSm(DataSm sm, Session s) throws ProcessRequestException {
        throw unsupported();
    }
}
