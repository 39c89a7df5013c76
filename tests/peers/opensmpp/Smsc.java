import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;

import org.smpp.pdu.BindRequest;
import org.smpp.pdu.Request;
import org.smpp.pdu.Response;
import org.smpp.pdu.SubmitSM;
import org.smpp.smscsim.DeliveryInfoSender;
import org.smpp.smscsim.PDUProcessorGroup;
import org.smpp.smscsim.SMSCListenerImpl;
import org.smpp.smscsim.SMSCSession;
import org.smpp.smscsim.ShortMessageStore;
import org.smpp.smscsim.SimulatorPDUProcessor;
import org.smpp.smscsim.util.Attribute;
import org.smpp.smscsim.util.Record;
import org.smpp.smscsim.util.Table;

/**
 * OpenSMPP's own simulator, on a loopback port it prints first. Prints what happens as lines of
 * JSON. Account: esme / secret. It reads, handles and answers one PDU after the other, with some
 * three answers a second, and begins again with the same message ids at each start.
 */
public class Smsc {
    public static void main(String[] args) throws Exception {
        Table users = new Table();
        Record user = new Record();
        user.add(new Attribute("name", "esme"));
        user.add(new Attribute("password", "secret"));
        user.add(new Attribute("timeout", "unlimited"));
        users.add(user);
        PDUProcessorGroup all = new PDUProcessorGroup();
        ShortMessageStore store = new ShortMessageStore();
        DeliveryInfoSender receipts = new DeliveryInfoSender();
        receipts.start();
        int port = freePort();
        SMSCListenerImpl listener = new SMSCListenerImpl(port, true);
        listener.setPDUProcessorFactory(session -> {
            Watched processor = new Watched(session, store, users);
            processor.setDisplayInfo(false);
            processor.setGroup(all);
            processor.setDeliveryInfoSender(receipts);
            return processor;
        });
        listener.start();
        say("listening", "port", port);
    }

    /** It cannot be told to take a free port and say which. */
    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private static class Watched extends SimulatorPDUProcessor {
        Watched(SMSCSession session, ShortMessageStore store, Table users) {
            super(session, store, users);
        }

        @Override
        public void clientRequest(Request request) {
            if (request instanceof SubmitSM sm) {
                say("submit", "source", sm.getSourceAddr().getAddress(), "destination",
                        sm.getDestAddr().getAddress());
            } else if (request instanceof BindRequest bind) {
                say("bind", "system_id", bind.getSystemId());
            }
            super.clientRequest(request);
        }

        @Override
        public void clientResponse(Response response) {
            say("response", "status", response.getCommandStatus());
            super.clientResponse(response);
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
}
