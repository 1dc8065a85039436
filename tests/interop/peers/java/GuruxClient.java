import gurux.dlms.GXByteBuffer;
import gurux.dlms.GXReplyData;
import gurux.dlms.GXSimpleEntry;
import gurux.dlms.enums.Authentication;
import gurux.dlms.enums.DataType;
import gurux.dlms.enums.InterfaceType;
import gurux.dlms.enums.Security;
import gurux.dlms.objects.GXDLMSData;
import gurux.dlms.objects.GXDLMSDisconnectControl;
import gurux.dlms.objects.GXDLMSObject;
import gurux.dlms.objects.GXDLMSProfileGeneric;
import gurux.dlms.objects.GXDLMSRegister;
import gurux.dlms.objects.enums.SecuritySuite;
import gurux.dlms.secure.GXDLMSSecureClient;
import java.io.InputStream;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.Map.Entry;

/** The client of Gurux for Java: one association, every service once. */
final class GuruxClient implements AutoCloseable {
    private final Socket socket;
    private final GXDLMSSecureClient client;

    private GuruxClient(Peers.Options options) throws Exception {
        boolean hdlc = options.text("link").equals("hdlc");
        socket = new Socket("127.0.0.1", options.number("port"));
        socket.setSoTimeout(5000);
        client = new GXDLMSSecureClient(!options.text("referencing").equals("short"),
                options.number("client"),
                hdlc ? GXDLMSSecureClient.getServerAddress(1, 17) : 1,
                authentication(options.text("authentication")), null,
                hdlc ? InterfaceType.HDLC : InterfaceType.WRAPPER);
        client.getCiphering().setSecuritySuite(SecuritySuite.forValue(options.number("suite")));
        client.setPassword(options.octets("password"));
        client.setMaxReceivePDUSize(options.number("max_pdu"));
        client.getCiphering().setSystemTitle(options.octets("system_title"));
        client.getCiphering().setBlockCipherKey(options.octets("encryption_key"));
        client.getCiphering().setAuthenticationKey(options.octets("authentication_key"));
        client.getCiphering().setInvocationCounter(10);
        if (options.text("ciphered").equals("true")) {
            client.getCiphering().setSecurity(Security.AUTHENTICATION_ENCRYPTION);
        }
    }

    static Authentication authentication(String name) {
        return switch (name) {
            case "none" -> Authentication.NONE;
            case "lls" -> Authentication.LOW;
            case "md5" -> Authentication.HIGH_MD5;
            case "sha1" -> Authentication.HIGH_SHA1;
            case "gmac" -> Authentication.HIGH_GMAC;
            case "sha256" -> Authentication.HIGH_SHA256;
            case "ecdsa" -> Authentication.HIGH_ECDSA;
            default -> throw new IllegalArgumentException(name);
        };
    }

    static void run(Peers.Options options, Peers.Report report) throws Exception {
        try (GuruxClient peer = new GuruxClient(options)) {
            peer.associate();
            report.step("associate", () -> { });
            if (options.text("referencing").equals("short")) {
                peer.byShortNames(report);
            } else if (options.text("meter").equals("simulator")) {
                peer.ofTheSimulator(report);
            } else {
                peer.byLogicalNames(report);
            }
            report.step("release", peer::release);
        }
    }

    private void byLogicalNames(Peers.Report report) {
        GXDLMSRegister energy = new GXDLMSRegister("1.0.1.8.0.255");
        GXDLMSData name = new GXDLMSData("0.0.42.0.0.255");
        report.step("get", () -> {
            long value = ((Number) read(energy, 2)).longValue();
            Peers.check(value == 1234567, value);
        });
        report.step("get-block", () -> {
            byte[] value = (byte[]) read(new GXDLMSData("0.0.96.51.0.255"), 2);
            Peers.check(value.length == 100_000, value.length);
        });
        report.step("get-with-list", () -> {
            List<Entry<GXDLMSObject, Integer>> wanted = new ArrayList<>();
            wanted.add(new GXSimpleEntry<>(energy, 2));
            wanted.add(new GXSimpleEntry<>(name, 2));
            List<?> found = (List<?>) askAll(client.readList(wanted)).getValue();
            Peers.check(found.size() == 2 && ((byte[]) found.get(1)).length == 16, found);
        });
        report.step("selective-access", this::selective);
        report.step("set", () -> write(new byte[20]));
        report.step("set-block", () -> write(new byte[3000]));
        report.step("action", () -> askAll(client.method(
                new GXDLMSDisconnectControl("0.0.96.3.10.255"), 1, 0, DataType.INT8)));
    }

    private void ofTheSimulator(Peers.Report report) {
        report.step("get", () -> {
            long value = ((Number) read(new GXDLMSRegister("1.0.1.8.0.255"), 2)).longValue();
            Peers.check(value > 0, value);
        });
        report.step("get-block", () -> {
            client.parseObjects(askAll(client.getObjectsRequest()).getData(), true);
            Peers.check(client.getObjects().size() > 20, client.getObjects().size());
        });
        report.step("selective-access", this::selective);
        report.step("action", () -> askAll(client.method(
                new GXDLMSDisconnectControl("0.0.96.3.10.255"), 1, 0, DataType.INT8)));
    }

    private void selective() throws Exception {
        GXDLMSProfileGeneric profile = new GXDLMSProfileGeneric("1.0.99.1.0.255");
        client.updateValue(profile, 3, read(profile, 3));
        List<?> rows = (List<?>) askAll(client.readRowsByEntry(profile, 2, 2)).getValue();
        Peers.check(rows.size() == 2, rows.size());
    }

    private void byShortNames(Peers.Report report) throws Exception {
        client.parseObjects(askAll(client.getObjectsRequest()).getData(), true);
        GXDLMSObject energy = client.getObjects().findByLN(
                gurux.dlms.enums.ObjectType.REGISTER, "1.0.1.8.0.255");
        report.step("get", () -> {
            long value = ((Number) read(energy, 2)).longValue();
            Peers.check(value == 1234567, value);
        });
    }

    private void write(byte[] octets) throws Exception {
        GXDLMSData item = new GXDLMSData("0.0.96.50.0.255");
        item.setDataType(2, DataType.OCTET_STRING);
        item.setValue(octets);
        askAll(client.write(item, 2));
        byte[] read = (byte[]) read(item, 2);
        Peers.check(read.length == octets.length, read.length);
    }

    private Object read(GXDLMSObject item, int attribute) throws Exception {
        return askAll(client.read(item, attribute)).getValue();
    }

    private void associate() throws Exception {
        byte[] snrm = client.snrmRequest();
        if (snrm != null && snrm.length != 0) {
            client.parseUAResponse(ask(snrm).getData());
        }
        client.parseAareResponse(askAll(client.aarqRequest()).getData());
        if (client.getIsAuthenticationRequired()) {
            GXReplyData reply = askAll(client.getApplicationAssociationRequest());
            client.parseApplicationAssociationResponse(reply.getData());
        }
    }

    private void release() throws Exception {
        byte[][] release = client.releaseRequest();
        if (release != null) {
            askAll(release);
        }
        byte[] disconnect = client.disconnectRequest();
        if (disconnect != null && disconnect.length != 0) {
            ask(disconnect);
        }
    }

    private GXReplyData askAll(byte[][] messages) throws Exception {
        GXReplyData reply = new GXReplyData();
        for (byte[] message : messages) {
            reply = ask(message);
        }
        return reply;
    }

    private GXReplyData ask(byte[] octets) throws Exception {
        GXReplyData reply = new GXReplyData();
        exchange(octets, reply);
        while (reply.isMoreData()) {
            exchange(client.receiverReady(reply), reply);
        }
        return reply;
    }

    private void exchange(byte[] octets, GXReplyData reply) throws Exception {
        socket.getOutputStream().write(octets);
        GXByteBuffer arrived = new GXByteBuffer();
        InputStream in = socket.getInputStream();
        byte[] chunk = new byte[65536];
        do {
            int count = in.read(chunk);
            if (count < 0) {
                throw new java.io.EOFException("the meter closed the connection");
            }
            arrived.set(chunk, 0, count);
        } while (!client.getData(arrived, reply));
        if (reply.getError() != 0) {
            throw new Exception("refused: " + reply.getErrorMessage());
        }
    }

    @Override
    public void close() throws Exception {
        socket.close();
    }
}
