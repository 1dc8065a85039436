import java.util.Arrays;
import java.util.List;
import org.openmuc.jdlms.AccessResultCode;
import org.openmuc.jdlms.AttributeAddress;
import org.openmuc.jdlms.AuthenticationMechanism;
import org.openmuc.jdlms.DlmsConnection;
import org.openmuc.jdlms.GetResult;
import org.openmuc.jdlms.MethodParameter;
import org.openmuc.jdlms.MethodResultCode;
import org.openmuc.jdlms.SecuritySuite;
import org.openmuc.jdlms.SecuritySuite.EncryptionMechanism;
import org.openmuc.jdlms.SecuritySuite.SecurityPolicy;
import org.openmuc.jdlms.SelectiveAccessDescription;
import org.openmuc.jdlms.SetParameter;
import org.openmuc.jdlms.TcpConnectionBuilder;
import org.openmuc.jdlms.datatypes.DataObject;
import org.openmuc.jdlms.settings.client.ReferencingMethod;

/** The client of jDLMS: one association, every service once. */
final class JdlmsClient {
    private static final AttributeAddress ENERGY = new AttributeAddress(3, "1.0.1.8.0.255", 2);
    private static final AttributeAddress NAME = new AttributeAddress(1, "0.0.42.0.0.255", 2);
    private static final AttributeAddress LONG = new AttributeAddress(1, "0.0.96.50.0.255", 2);
    private static final AttributeAddress HUGE = new AttributeAddress(1, "0.0.96.51.0.255", 2);

    private JdlmsClient() {
    }

    static void run(Peers.Options options, Peers.Report report) throws Exception {
        try (DlmsConnection connection = connect(options)) {
            report.step("associate", () -> { });
            if (options.text("meter").equals("simulator")) {
                ofTheSimulator(connection, report);
                return;
            }
            report.step("get", () -> {
                long energy = ((Number) got(connection.get(ENERGY)).getValue()).longValue();
                Peers.check(energy == 1234567, energy);
            });
            report.step("get-block", () -> {
                byte[] value = got(connection.get(HUGE)).getValue();
                Peers.check(value.length == 100_000 && value[99_999] == (byte) 99_999, value.length);
            });
            if (options.text("referencing").equals("short")) {
                return;
            }
            report.step("get-with-list", () -> {
                List<GetResult> found = connection.get(Arrays.asList(ENERGY, NAME));
                Peers.check(found.size() == 2, found.size());
                got(found.get(0));
                byte[] name = got(found.get(1)).getValue();
                Peers.check(name.length == 16, name.length);
            });
            report.step("selective-access", () -> selective(connection));
            report.step("set", () -> set(connection, new byte[20]));
            report.step("set-block", () -> set(connection, new byte[3000]));
            report.step("action", () -> act(connection));
        }
        report.step("release", () -> { });
    }

    private static void ofTheSimulator(DlmsConnection connection, Peers.Report report) {
        report.step("get", () -> {
            long energy = ((Number) got(connection.get(ENERGY)).getValue()).longValue();
            Peers.check(energy > 0, energy);
        });
        report.step("get-block", () -> {
            AttributeAddress objects = new AttributeAddress(15, "0.0.40.0.0.255", 2);
            List<DataObject> listed = got(connection.get(objects)).getValue();
            Peers.check(listed.size() > 20, listed.size());
        });
        report.step("selective-access", () -> selective(connection));
        report.step("action", () -> act(connection));
    }

    private static DataObject got(GetResult result) throws Exception {
        Peers.check(result.getResultCode() == AccessResultCode.SUCCESS, result.getResultCode());
        return result.getResultData();
    }

    private static void selective(DlmsConnection connection) throws Exception {
        DataObject entry = DataObject.newStructureData(
                DataObject.newUInteger32Data(2), DataObject.newUInteger32Data(3),
                DataObject.newUInteger16Data(1), DataObject.newUInteger16Data(0));
        AttributeAddress buffer = new AttributeAddress(
                7, "1.0.99.1.0.255", 2, new SelectiveAccessDescription(2, entry));
        List<DataObject> rows = got(connection.get(buffer)).getValue();
        Peers.check(rows.size() == 2, rows.size());
    }

    private static void set(DlmsConnection connection, byte[] octets) throws Exception {
        DataObject value = DataObject.newOctetStringData(octets);
        AccessResultCode code = connection.set(new SetParameter(LONG, value));
        Peers.check(code == AccessResultCode.SUCCESS, code);
        byte[] read = got(connection.get(LONG)).getValue();
        Peers.check(read.length == octets.length, read.length);
    }

    private static void act(DlmsConnection connection) throws Exception {
        MethodResultCode code = connection.action(new MethodParameter(
                70, "0.0.96.3.10.255", 1, DataObject.newInteger8Data((byte) 0))).getResultCode();
        Peers.check(code == MethodResultCode.SUCCESS, code);
    }

    private static DlmsConnection connect(Peers.Options options) throws Exception {
        TcpConnectionBuilder builder = new TcpConnectionBuilder("127.0.0.1")
                .setPort(options.number("port"))
                .setClientId(options.number("client"))
                .setLogicalDeviceId(1)
                .setResponseTimeout(5000)
                .setChallengeLength(16)
                .setSystemTitle("PEE", 1)
                .setSecuritySuite(suite(options));
        if (options.text("referencing").equals("short")) {
            builder.setReferencingMethod(ReferencingMethod.SHORT);
        }
        if (options.text("link").equals("hdlc")) {
            builder.useHdlc().setPhysicalDeviceAddress(17);
        } else {
            builder.useWrapper();
        }
        return builder.build();
    }

    private static SecuritySuite suite(Peers.Options options) {
        SecuritySuite.SecuritySuiteBuilder builder = SecuritySuite.builder();
        switch (options.text("authentication")) {
            case "none" -> builder.setAuthenticationMechanism(AuthenticationMechanism.NONE);
            case "lls" -> builder.setAuthenticationMechanism(AuthenticationMechanism.LOW)
                    .setPassword(options.octets("password"));
            default -> builder.setAuthenticationMechanism(AuthenticationMechanism.HLS5_GMAC)
                    .setPassword(options.octets("password"))
                    .setAuthenticationKey(options.octets("authentication_key"))
                    .setGlobalUnicastEncryptionKey(options.octets("encryption_key"))
                    .setEncryptionMechanism(options.text("suite").equals("2")
                            ? EncryptionMechanism.AES_GCM_256 : EncryptionMechanism.AES_GCM_128)
                    .setSecurityPolicy(SecurityPolicy.AUTHENTICATED_AND_ENCRYPTED);
        }
        return builder.build();
    }
}
