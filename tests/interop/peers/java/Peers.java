import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Reads one order a line from standard input: a peer and options (key=value, tabs between).
 *
 * A client answers with one line for each service: name, tab, "ok" or why not. A server answers
 * when it listens. "." ends an answer; the process ends with its input.
 */
public final class Peers {
    private Peers() {
    }

    /** What a client does with one service; anything that it throws is why not. */
    interface Step {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        java.io.PrintStream answers = System.out;
        System.setOut(System.err);
        for (String order = orders.readLine(); order != null; order = orders.readLine()) {
            String[] words = order.split("\t");
            Options options = new Options(Arrays.copyOfRange(words, 1, words.length));
            Report report = new Report();
            try {
                obey(words[0], options, report);
            } catch (Throwable error) {
                report.failed("associate", error);
            }
            answers.print(report);
            answers.println(".");
            answers.flush();
        }
        System.exit(0);
    }

    private static void obey(String peer, Options options, Report report) throws Exception {
        switch (peer) {
            case "jdlms-client" -> JdlmsClient.run(options, report);
            case "gurux-client" -> GuruxClient.run(options, report);
            case "jdlms-server" -> JdlmsServer.start(options);
            case "gurux-server" -> GuruxServer.start(options);
            default -> throw new IllegalArgumentException(peer);
        }
    }

    /** The options of one order. */
    static final class Options {
        private final Map<String, String> values = new HashMap<>();

        Options(String[] words) {
            for (String word : words) {
                int equals = word.indexOf('=');
                values.put(word.substring(0, equals), word.substring(equals + 1));
            }
        }

        String text(String name) {
            return values.getOrDefault(name, "");
        }

        int number(String name) {
            return Integer.parseInt(values.get(name));
        }

        byte[] octets(String name) {
            return java.util.HexFormat.of().parseHex(text(name));
        }
    }

    /** What happened, one line for each service. */
    static final class Report {
        private final StringBuilder lines = new StringBuilder();

        /** Runs a step and notes how it ended. */
        void step(String service, Step step) {
            try {
                step.run();
                lines.append(service).append("\tok\n");
            } catch (Throwable error) {
                failed(service, error);
            }
        }

        void failed(String service, Throwable error) {
            String why = error.getClass().getSimpleName() + ": " + error.getMessage();
            lines.append(service).append('\t').append(why.replaceAll("\\s+", " ")).append('\n');
        }

        @Override
        public String toString() {
            return lines.toString();
        }
    }

    static void check(boolean right, Object found) throws Exception {
        if (!right) {
            throw new Exception("another value came: " + found);
        }
    }
}
