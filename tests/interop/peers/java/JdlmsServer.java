import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.openmuc.jdlms.AttributeAccessMode;
import org.openmuc.jdlms.AuthenticationMechanism;
import org.openmuc.jdlms.CosemAttribute;
import org.openmuc.jdlms.CosemClass;
import org.openmuc.jdlms.CosemInterfaceObject;
import org.openmuc.jdlms.CosemMethod;
import org.openmuc.jdlms.DlmsServer;
import org.openmuc.jdlms.LogicalDevice;
import org.openmuc.jdlms.MethodAccessMode;
import org.openmuc.jdlms.SecuritySuite;
import org.openmuc.jdlms.SecuritySuite.EncryptionMechanism;
import org.openmuc.jdlms.SecuritySuite.SecurityPolicy;
import org.openmuc.jdlms.SelectiveAccessDescription;
import org.openmuc.jdlms.datatypes.DataObject;
import org.openmuc.jdlms.sessionlayer.server.ServerSessionLayerFactories;

/** A meter made with the server of jDLMS; clients 16 (none), 2 (LLS), 1 (HLS-GMAC). */
public final class JdlmsServer {
    private static final List<DlmsServer> RUNNING = new ArrayList<>();

    private JdlmsServer() {
    }

    static void start(Peers.Options options) throws Exception {
        LogicalDevice device = new LogicalDevice(1, "PEE0000000000001", "PEE", 2);
        device.setMasterKey(options.octets("master_key"));
        for (Map.Entry<Integer, SecuritySuite> role : roles(options).entrySet()) {
            device.addRestriction(role.getKey(), role.getValue());
        }
        device.registerCosemObject(
                new Register(), new Data("0.0.96.50.0.255", 5120), new Data("0.0.96.51.0.255", 100_000),
                new Profile(), new Relay());
        boolean hdlc = options.text("link").equals("hdlc");
        RUNNING.add(DlmsServer.tcpServerBuilder(options.number("port"))
                .setSessionLayerFactory(hdlc
                        ? ServerSessionLayerFactories.newHdlcSessionLayerFactory()
                        : ServerSessionLayerFactories.newWrapperSessionLayerFactory())
                .registerLogicalDevice(device)
                .build());
    }

    private static Map<Integer, SecuritySuite> roles(Peers.Options options) {
        Map<Integer, SecuritySuite> roles = new HashMap<>();
        roles.put(16, SecuritySuite.builder()
                .setAuthenticationMechanism(AuthenticationMechanism.NONE).build());
        roles.put(2, SecuritySuite.builder()
                .setAuthenticationMechanism(AuthenticationMechanism.LOW)
                .setPassword(options.octets("password")).build());
        roles.put(1, SecuritySuite.builder()
                .setAuthenticationMechanism(AuthenticationMechanism.HLS5_GMAC)
                .setAuthenticationKey(options.octets("authentication_key"))
                .setGlobalUnicastEncryptionKey(options.octets("encryption_key"))
                .setEncryptionMechanism(options.text("suite").equals("2")
                        ? EncryptionMechanism.AES_GCM_256 : EncryptionMechanism.AES_GCM_128)
                .setSecurityPolicy(SecurityPolicy.AUTHENTICATED_AND_ENCRYPTED).build());
        return roles;
    }

    /** Active energy import. */
    @CosemClass(id = 3)
    public static final class Register extends CosemInterfaceObject {
        @CosemAttribute(id = 2, type = DataObject.Type.DOUBLE_LONG_UNSIGNED,
                accessMode = AttributeAccessMode.READ_ONLY)
        public DataObject value = DataObject.newUInteger32Data(1234567);
        @CosemAttribute(id = 3, type = DataObject.Type.STRUCTURE,
                accessMode = AttributeAccessMode.READ_ONLY)
        public DataObject scalerUnit = DataObject.newStructureData(
                DataObject.newInteger8Data((byte) -3), DataObject.newEnumerateData(30));

        public Register() {
            super("1.0.1.8.0.255");
        }
    }

    /** A long octet-string that can be written. */
    @CosemClass(id = 1)
    public static final class Data extends CosemInterfaceObject {
        @CosemAttribute(id = 2, type = DataObject.Type.OCTET_STRING,
                accessMode = AttributeAccessMode.READ_AND_WRITE)
        public DataObject value;

        public Data(String name, int size) {
            super(name);
            byte[] octets = new byte[size];
            for (int place = 0; place < size; place++) {
                octets[place] = (byte) place;
            }
            value = DataObject.newOctetStringData(octets);
        }
    }

    /** A profile of one column and ten rows. */
    @CosemClass(id = 7, version = 1)
    public static final class Profile extends CosemInterfaceObject {
        @CosemAttribute(id = 2, type = DataObject.Type.ARRAY, selector = {1, 2},
                accessMode = AttributeAccessMode.READ_ONLY)
        private DataObject buffer;

        public Profile() {
            super("1.0.99.1.0.255");
        }

        public DataObject getBuffer(SelectiveAccessDescription selection) {
            int from = 1;
            int to = 10;
            if (selection != null && selection.getAccessSelector() == 2) {
                List<DataObject> bounds = selection.getAccessParameter().getValue();
                from = ((Number) bounds.get(0).getValue()).intValue();
                to = ((Number) bounds.get(1).getValue()).intValue();
            }
            List<DataObject> rows = new ArrayList<>();
            for (int row = from; row <= to; row++) {
                rows.add(DataObject.newStructureData(DataObject.newUInteger32Data(row)));
            }
            return DataObject.newArrayData(rows);
        }
    }

    /** A relay. */
    @CosemClass(id = 70)
    public static final class Relay extends CosemInterfaceObject {
        public Relay() {
            super("0.0.96.3.10.255");
        }

        @CosemMethod(id = 1, consumes = DataObject.Type.INTEGER, accessMode = MethodAccessMode.ACCESS)
        public void disconnect(DataObject parameter) {
        }
    }
}
