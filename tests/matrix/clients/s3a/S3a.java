import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Hadoop's S3A with its default list of providers. The argument is the address of S3. */
public final class S3a {
    private S3a() {}

    public static void main(String[] arguments) throws Exception {
        System.out.println("{\"ready\": true}");
        var in = new BufferedReader(new InputStreamReader(System.in));
        FileSystem files = null;
        while (in.readLine() != null) {
            try {
                if (files == null) {
                    var settings = new Configuration();
                    settings.set("fs.s3a.endpoint", arguments[0]);
                    settings.set("fs.s3a.endpoint.region", "eu-west-1");
                    settings.set("fs.s3a.path.style.access", "true");
                    // The retries of S3A take minutes.
                    settings.set("fs.s3a.attempts.maximum", "1");
                    settings.set("fs.s3a.retry.limit", "1");
                    files = FileSystem.newInstance(URI.create("s3a://bucket/"), settings);
                }
                files.getFileStatus(new Path("s3a://bucket/object"));
                System.out.println("{\"ok\": true}");
            } catch (Exception error) {
                System.out.println("{\"ok\": false, \"error\": \"" + quoted(String.valueOf(error.getMessage())) + "\"}");
            }
        }
    }

    private static String quoted(String text) {
        return text.replaceAll("[\\x00-\\x1f]", " ").replace("\\", "\\\\").replace("\"", "\\\"");
    }
}
