// JSch, told by words what to do. Login: TD_HOST TD_PORT TD_USER TD_PASSWORD TD_KEY TD_KNOWN_HOSTS.
import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import java.io.File;
import java.util.Arrays;

public class Jsch {
    public static void main(String[] words) throws Exception {
        JSch jsch = new JSch();
        jsch.setKnownHosts(System.getenv("TD_KNOWN_HOSTS"));
        String key = System.getenv("TD_KEY");
        if (key != null) {
            jsch.addIdentity(key);
        }
        int port = Integer.parseInt(System.getenv("TD_PORT"));
        Session session = jsch.getSession(System.getenv("TD_USER"), System.getenv("TD_HOST"), port);
        if (key == null) {
            session.setPassword(System.getenv("TD_PASSWORD"));
        }
        session.setConfig("PreferredAuthentications", key == null ? "password" : "publickey");
        session.connect(20_000);
        ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
        sftp.connect(20_000);
        try {
            act(sftp, words);
        } finally {
            session.disconnect();
        }
    }

    private static void act(ChannelSftp sftp, String[] words) throws Exception {
        switch (words[0]) {
            case "put" -> sftp.put(words[1], words[2]);
            case "many" -> {
                File[] files = new File(words[1]).listFiles();
                Arrays.sort(files);
                for (File file : files) {
                    sftp.put(file.getPath(), file.getName());
                }
            }
            case "resume" -> sftp.put(words[1], words[2], ChannelSftp.RESUME);
            case "read" -> sftp.get(words[1], words[2]);
            case "names" -> {
                for (Object entry : sftp.ls(".")) {
                    System.out.println(((ChannelSftp.LsEntry) entry).getFilename());
                }
            }
            case "delete" -> sftp.rm(words[1]);
            case "rename" -> sftp.rename(words[1], words[2]);
            default -> throw new IllegalArgumentException(words[0]);
        }
    }
}
