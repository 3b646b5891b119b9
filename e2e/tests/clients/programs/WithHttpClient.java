import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class WithHttpClient {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (String path : new String[] {"open", "closed"}) {
            URI uri = URI.create("https://www.example.com/" + path + "/hello");
            HttpRequest request = HttpRequest.newBuilder(uri).build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            String policy = answer.headers().firstValue("x-openshell-policy").orElse("-");
            System.out.println(answer.statusCode() + " " + policy + " " + answer.body().strip());
        }
    }
}
