import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import software.amazon.awssdk.services.s3.S3Client;

/** The AWS SDK for Java v2 with its default chain. The argument is the address of S3. */
public final class V2 {
    private V2() {}

    public static void main(String[] arguments) throws Exception {
        System.out.println("{\"ready\": true}");
        var in = new BufferedReader(new InputStreamReader(System.in));
        S3Client client = null;
        while (in.readLine() != null) {
            try {
                if (client == null) {
                    client = S3Client.builder().endpointOverride(URI.create(arguments[0])).forcePathStyle(true).build();
                }
                client.listObjectsV2(request -> request.bucket("bucket"));
                System.out.println("{\"ok\": true}");
            } catch (RuntimeException error) {
                System.out.println("{\"ok\": false, \"error\": \"" + quoted(String.valueOf(error.getMessage())) + "\"}");
            }
        }
    }

    private static String quoted(String text) {
        return text.replaceAll("[\\x00-\\x1f]", " ").replace("\\", "\\\\").replace("\"", "\\\"");
    }
}
