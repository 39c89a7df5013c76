import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;

import com.cloudhopper.smpp.PduAsyncResponse;
import com.cloudhopper.smpp.SmppBindType;
import com.cloudhopper.smpp.SmppSession;
import com.cloudhopper.smpp.SmppSessionConfiguration;
import com.cloudhopper.smpp.impl.DefaultSmppClient;
import com.cloudhopper.smpp.impl.DefaultSmppSessionHandler;
import com.cloudhopper.smpp.pdu.SubmitSm;
import com.cloudhopper.smpp.type.Address;

/**
 * {@code Cloudhopper PORT MESSAGES WINDOW}: submits messages of 160 characters through one
 * session, without waiting while the window has room, and prints how many a second were answered.
 */
public class Cloudhopper {
    private static volatile CountDownLatch answers;

    public static void main(String[] args) throws Exception {
        long messages = Long.parseLong(args[1]);
        SmppSessionConfiguration configuration = new SmppSessionConfiguration();
        configuration.setHost("127.0.0.1");
        configuration.setPort(Integer.parseInt(args[0]));
        configuration.setType(SmppBindType.TRANSCEIVER);
        configuration.setSystemId("bench");
        configuration.setPassword("secret");
        configuration.setWindowSize(Integer.parseInt(args[2]));
        configuration.getLoggingOptions().setLogPdu(false);
        DefaultSmppClient client = new DefaultSmppClient(Executors.newCachedThreadPool(), 1);
        SmppSession session = client.bind(configuration, new DefaultSmppSessionHandler() {
            @Override
            public void fireExpectedPduResponseReceived(PduAsyncResponse response) {
                answers.countDown();
            }
        });
        // Until it is compiled, then for the record.
        run(session, messages / 4);
        System.out.println(Math.round(run(session, messages)));
        session.unbind(1000);
        System.exit(0);
    }

    private static double run(SmppSession session, long messages) throws Exception {
        byte[] text = "0123456789abcdef".repeat(10).getBytes(StandardCharsets.US_ASCII);
        answers = new CountDownLatch((int) messages);
        long began = System.nanoTime();
        for (long i = 0; i < messages; i++) {
            SubmitSm message = new SubmitSm();
            message.setSourceAddress(new Address((byte) 0, (byte) 0, "12345"));
            message.setDestAddress(new Address((byte) 1, (byte) 1, "41791234567"));
            message.setShortMessage(text);
            session.sendRequestPdu(message, 10_000, false);
        }
        answers.await();
        return messages * 1e9 / (System.nanoTime() - began);
    }
}
