import gurux.dlms.GXDLMSConnectionEventArgs;
import gurux.dlms.GXServerReply;
import gurux.dlms.ValueEventArgs;
import gurux.dlms.enums.AccessMode;
import gurux.dlms.enums.Authentication;
import gurux.dlms.enums.DataType;
import gurux.dlms.enums.InterfaceType;
import gurux.dlms.enums.MethodAccessMode;
import gurux.dlms.enums.ObjectType;
import gurux.dlms.enums.SourceDiagnostic;
import gurux.dlms.objects.GXDLMSAssociationLogicalName;
import gurux.dlms.objects.GXDLMSData;
import gurux.dlms.objects.GXDLMSDisconnectControl;
import gurux.dlms.objects.GXDLMSObject;
import gurux.dlms.objects.GXDLMSProfileGeneric;
import gurux.dlms.objects.GXDLMSRegister;
import gurux.dlms.objects.GXDLMSHdlcSetup;
import gurux.dlms.objects.GXDLMSTcpUdpSetup;
import gurux.dlms.objects.enums.SecuritySuite;
import gurux.dlms.secure.GXDLMSSecureServer2;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Arrays;

/** A meter made with the server of Gurux for Java; the association is the one that is asked for. */
final class GuruxServer extends GXDLMSSecureServer2 {
    private final Peers.Options options;
    private final Authentication required;

    private GuruxServer(GXDLMSAssociationLogicalName association, GXDLMSHdlcSetup setup,
            Peers.Options options) throws Exception {
        super(association, setup);
        this.options = options;
        required = GuruxClient.authentication(options.text("authentication"));
        prepare(association);
    }

    private GuruxServer(GXDLMSAssociationLogicalName association, GXDLMSTcpUdpSetup setup,
            Peers.Options options) throws Exception {
        super(association, setup);
        this.options = options;
        required = GuruxClient.authentication(options.text("authentication"));
        prepare(association);
    }

    private static GuruxServer create(Peers.Options options) throws Exception {
        GXDLMSAssociationLogicalName association = new GXDLMSAssociationLogicalName();
        return options.text("link").equals("hdlc")
                ? new GuruxServer(association, new GXDLMSHdlcSetup(), options)
                : new GuruxServer(association, new GXDLMSTcpUdpSetup(), options);
    }

    private void prepare(GXDLMSAssociationLogicalName association) throws Exception {
        setMaxReceivePDUSize(options.number("max_pdu"));
        association.setClientSAP(options.number("client"));
        association.setSecret(options.octets("password"));
        association.getAuthenticationMechanismName().setMechanismId(required);
        association.getXDLMSContextInfo().setMaxReceivePduSize(options.number("max_pdu"));
        association.getXDLMSContextInfo().setMaxSendPduSize(options.number("max_pdu"));
        getCiphering().setSecuritySuite(SecuritySuite.forValue(options.number("suite")));
        getCiphering().setSystemTitle(options.octets("system_title"));
        getCiphering().setBlockCipherKey(options.octets("encryption_key"));
        getCiphering().setAuthenticationKey(options.octets("authentication_key"));
        GXDLMSRegister energy = new GXDLMSRegister("1.0.1.8.0.255");
        energy.setValue(1234567);
        energy.setDataType(2, DataType.UINT32);
        getItems().add(energy);
        getItems().add(data("0.0.96.50.0.255", 5120));
        getItems().add(data("0.0.96.51.0.255", 100_000));
        getItems().add(new GXDLMSDisconnectControl("0.0.96.3.10.255"));
        GXDLMSProfileGeneric profile = new GXDLMSProfileGeneric("1.0.99.1.0.255");
        profile.addCaptureObject(energy, 2, 0);
        for (int row = 1; row <= 10; row++) {
            profile.addRow(new Object[] {row});
        }
        getItems().add(profile);
        association.getObjectList().addAll(getItems());
        initialize();
    }

    private static GXDLMSData data(String name, int size) {
        byte[] octets = new byte[size];
        for (int place = 0; place < size; place++) {
            octets[place] = (byte) place;
        }
        GXDLMSData data = new GXDLMSData(name);
        data.setValue(octets);
        data.setDataType(2, DataType.OCTET_STRING);
        return data;
    }

    static void start(Peers.Options options) throws Exception {
        ServerSocket listener = new ServerSocket(
                options.number("port"), 5, InetAddress.getLoopbackAddress());
        Thread thread = new Thread(() -> {
            while (true) {
                try (Socket socket = listener.accept()) {
                    serve(socket, create(options));
                } catch (Exception error) {
                    error.printStackTrace();
                }
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    private static void serve(Socket socket, GuruxServer server) throws Exception {
        InputStream in = socket.getInputStream();
        byte[] chunk = new byte[65536];
        for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
            GXServerReply reply = new GXServerReply(Arrays.copyOf(chunk, count));
            do {
                server.handleRequest(reply);
                if (reply.getReply() != null) {
                    socket.getOutputStream().write(reply.getReply());
                    reply.setData(null);
                }
            } while (reply.isStreaming());
        }
    }

    @Override
    protected boolean isTarget(int serverAddress, int clientAddress) {
        return true;
    }

    @Override
    protected SourceDiagnostic onValidateAuthentication(Authentication type, byte[] password) {
        if (type != required) {
            return SourceDiagnostic.AUTHENTICATION_FAILURE;
        }
        boolean right = type != Authentication.LOW || Arrays.equals(password, options.octets("password"));
        return right ? SourceDiagnostic.NONE : SourceDiagnostic.AUTHENTICATION_FAILURE;
    }

    @Override
    protected GXDLMSObject onFindObject(ObjectType type, int sn, String ln) {
        return null;
    }

    @Override
    protected AccessMode onGetAttributeAccess(ValueEventArgs event) {
        return AccessMode.READ_WRITE;
    }

    @Override
    protected MethodAccessMode onGetMethodAccess(ValueEventArgs event) {
        return MethodAccessMode.ACCESS;
    }

    @Override
    protected void onPreAction(ValueEventArgs[] events) {
        for (ValueEventArgs event : events) {
            event.setHandled(event.getTarget() instanceof GXDLMSDisconnectControl);
        }
    }

    @Override
    public void onPreGet(ValueEventArgs[] events) {
    }

    @Override
    public void onPostGet(ValueEventArgs[] events) {
    }

    @Override
    public void onPreRead(ValueEventArgs[] events) {
    }

    @Override
    public void onPostRead(ValueEventArgs[] events) {
    }

    @Override
    protected void onPreWrite(ValueEventArgs[] events) {
    }

    @Override
    protected void onPostWrite(ValueEventArgs[] events) {
    }

    @Override
    protected void onPostAction(ValueEventArgs[] events) {
    }

    @Override
    protected void onConnected(GXDLMSConnectionEventArgs event) {
    }

    @Override
    protected void onInvalidConnection(GXDLMSConnectionEventArgs event) {
    }

    @Override
    protected void onDisconnected(GXDLMSConnectionEventArgs event) {
    }
}
