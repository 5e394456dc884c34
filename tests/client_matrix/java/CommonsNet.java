// commons-net, told by words what to do, in its default mode, which is active. TD_CA: explicit TLS.
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import javax.net.ssl.TrustManagerFactory;
import org.apache.commons.net.ftp.FTP;
import org.apache.commons.net.ftp.FTPClient;
import org.apache.commons.net.ftp.FTPFile;
import org.apache.commons.net.ftp.FTPSClient;

public class CommonsNet {
    public static void main(String[] words) throws Exception {
        FTPClient ftp = System.getenv("TD_CA") == null ? new FTPClient() : overTls();
        ftp.setControlEncoding("UTF-8");
        ftp.connect(System.getenv("TD_HOST"), Integer.parseInt(System.getenv("TD_PORT")));
        check(ftp, ftp.login(System.getenv("TD_USER"), System.getenv("TD_PASSWORD")));
        if (ftp instanceof FTPSClient secured) {
            secured.execPBSZ(0);
            secured.execPROT("P");
            ftp.enterLocalPassiveMode();
        }
        check(ftp, ftp.setFileType(FTP.BINARY_FILE_TYPE));
        try {
            act(ftp, words);
        } finally {
            ftp.disconnect();
        }
    }

    private static FTPSClient overTls() throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream ca = new FileInputStream(System.getenv("TD_CA"))) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(ca));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        FTPSClient ftps = new FTPSClient(false);
        ftps.setTrustManager(trust.getTrustManagers()[0]);
        return ftps;
    }

    private static void check(FTPClient ftp, boolean done) {
        if (!done) {
            throw new IllegalStateException(ftp.getReplyString());
        }
    }

    private static void send(FTPClient ftp, File file, String name, long from) throws Exception {
        try (InputStream in = new FileInputStream(file)) {
            in.skipNBytes(from);
            ftp.setRestartOffset(from);
            check(ftp, ftp.storeFile(name, in));
        }
    }

    private static void act(FTPClient ftp, String[] words) throws Exception {
        switch (words[0]) {
            case "put" -> send(ftp, new File(words[1]), words[2], 0);
            case "many" -> {
                File[] files = new File(words[1]).listFiles();
                Arrays.sort(files);
                for (File file : files) {
                    send(ftp, file, file.getName(), 0);
                }
            }
            case "resume" -> send(ftp, new File(words[1]), words[2], Long.parseLong(ftp.getSize(words[2])));
            case "read" -> {
                try (OutputStream out = new FileOutputStream(words[2])) {
                    check(ftp, ftp.retrieveFile(words[1], out));
                }
            }
            case "names" -> {
                for (FTPFile file : ftp.listFiles()) {
                    System.out.println(file.getName());
                }
            }
            case "delete" -> check(ftp, ftp.deleteFile(words[1]));
            case "rename" -> check(ftp, ftp.rename(words[1], words[2]));
            default -> throw new IllegalArgumentException(words[0]);
        }
    }
}
