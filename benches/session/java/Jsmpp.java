import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

import org.jsmpp.bean.BindType;
import org.jsmpp.bean.DataCodings;
import org.jsmpp.bean.ESMClass;
import org.jsmpp.bean.NumberingPlanIndicator;
import org.jsmpp.bean.RegisteredDelivery;
import org.jsmpp.bean.TypeOfNumber;
import org.jsmpp.session.BindParameter;
import org.jsmpp.session.SMPPSession;

/**
 * {@code Jsmpp PORT MESSAGES WINDOW}: submits messages of 160 characters through one session, so
 * many at a time, and prints how many a second were answered. jSMPP blocks until the answer is
 * there, so each place in the window is a thread.
 */
public class Jsmpp {
    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        long messages = Long.parseLong(args[1]);
        int window = Integer.parseInt(args[2]);
        byte[] text = "0123456789abcdef".repeat(10).getBytes(StandardCharsets.US_ASCII);
        SMPPSession session = new SMPPSession();
        session.setTransactionTimer(10_000);
        session.connectAndBind("127.0.0.1", port, new BindParameter(BindType.BIND_TRX, "bench", "secret", "",
                TypeOfNumber.UNKNOWN, NumberingPlanIndicator.UNKNOWN, null));
        // Until it is compiled, then for the record.
        run(session, text, messages / 4, window);
        System.out.println(Math.round(run(session, text, messages, window)));
        session.unbindAndClose();
        System.exit(0);
    }

    private static double run(SMPPSession session, byte[] text, long messages, int window) throws Exception {
        AtomicLong left = new AtomicLong(messages);
        CountDownLatch done = new CountDownLatch(window);
        long began = System.nanoTime();
        for (int i = 0; i < window; i++) {
            new Thread(() -> {
                try {
                    while (left.getAndDecrement() > 0) {
                        session.submitShortMessage("", TypeOfNumber.UNKNOWN, NumberingPlanIndicator.UNKNOWN, "12345",
                                TypeOfNumber.INTERNATIONAL, NumberingPlanIndicator.ISDN, "41791234567", new ESMClass(),
                                (byte) 0, (byte) 0, null, null, new RegisteredDelivery(0), (byte) 0,
                                DataCodings.ZERO, (byte) 0, text);
                    }
                } catch (Exception e) {
                    e.printStackTrace();
                    System.exit(1);
                }
                done.countDown();
            }).start();
        }
        done.await();
        return messages * 1e9 / (System.nanoTime() - began);
    }
}
