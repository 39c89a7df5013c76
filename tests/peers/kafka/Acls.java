// Does what kafka-acls.sh does with the options that our documentation and our errors use: one
// command a line on standard input, "done" or what was wrong on standard output. The first argument
// is the broker; --bootstrap-server is what the documentation has there.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.Resource;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.utils.SecurityUtils;

public class Acls {
    record On(ResourceType type, String name) {}

    public static void main(String[] args) throws Exception {
        Map<String, Object> to = Map.of("bootstrap.servers", args[0]);
        try (Admin admin = Admin.create(to)) {
            System.out.println("ready");
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                try {
                    carryOut(admin, words(line));
                    System.out.println("done");
                } catch (Exception e) {
                    System.out.println(e + ": " + line);
                }
            }
        }
    }

    static void carryOut(Admin admin, List<String> words) throws Exception {
        if (!words.get(0).equals("kafka-acls.sh")) {
            throw new IllegalArgumentException("not kafka-acls.sh");
        }
        boolean add = true;
        String principal = null;
        PatternType pattern = PatternType.LITERAL;
        List<AclOperation> operations = new ArrayList<>();
        List<On> resources = new ArrayList<>();
        for (int i = 1; i < words.size(); i++) {
            switch (words.get(i)) {
                case "--bootstrap-server" -> i++;
                case "--add" -> add = true;
                case "--remove" -> add = false;
                case "--force" -> {}
                case "--allow-principal" -> principal = words.get(++i);
                case "--operation" -> operations.add(SecurityUtils.operation(words.get(++i)));
                case "--topic" -> resources.add(new On(ResourceType.TOPIC, words.get(++i)));
                case "--group" -> resources.add(new On(ResourceType.GROUP, words.get(++i)));
                case "--transactional-id" ->
                    resources.add(new On(ResourceType.TRANSACTIONAL_ID, words.get(++i)));
                case "--cluster" ->
                    resources.add(new On(ResourceType.CLUSTER, Resource.CLUSTER_NAME));
                case "--resource-pattern-type" ->
                    pattern = PatternType.fromString(words.get(++i).toUpperCase());
                default -> throw new IllegalArgumentException(words.get(i));
            }
        }
        SecurityUtils.parseKafkaPrincipal(principal);
        List<AclBinding> bindings = new ArrayList<>();
        for (On on : resources) {
            for (AclOperation operation : operations) {
                ResourcePattern where = new ResourcePattern(on.type, on.name, pattern);
                AccessControlEntry what =
                    new AccessControlEntry(principal, "*", operation, AclPermissionType.ALLOW);
                bindings.add(new AclBinding(where, what));
            }
        }
        if (bindings.isEmpty()) {
            throw new IllegalArgumentException("nothing is allowed");
        }
        List<AclBindingFilter> filters = bindings.stream().map(AclBinding::toFilter).toList();
        if (add) {
            admin.createAcls(bindings).all().get();
        } else if (admin.deleteAcls(filters).all().get().size() != filters.size()) {
            throw new IllegalStateException("was not allowed");
        }
        // The controller has done it; the broker goes by it a moment later, and answers for itself.
        for (AclBindingFilter filter : filters) {
            while (admin.describeAcls(filter).values().get().isEmpty() == add) {
                Thread.sleep(10);
            }
        }
    }

    /** Words as a shell sees them, with single quotes only. */
    static List<String> words(String line) {
        List<String> words = new ArrayList<>();
        StringBuilder word = null;
        boolean quoted = false;
        for (char c : line.toCharArray()) {
            if (c == '\'') {
                quoted = !quoted;
                word = word == null ? new StringBuilder() : word;
            } else if (c == ' ' && !quoted) {
                if (word != null) {
                    words.add(word.toString());
                    word = null;
                }
            } else {
                word = word == null ? new StringBuilder() : word;
                word.append(c);
            }
        }
        if (word != null) {
            words.add(word.toString());
        }
        return words;
    }
}
