/** For each line of its input: how far its two wall clocks are ahead of what the line says, and what its monotonic clock says. */
public class Clock {
    public static void main(String[] arguments) throws Exception {
        var input = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null; ) {
            long given = Long.parseLong(line.trim());
            var now = java.time.Instant.now();
            long precise = now.getEpochSecond() * 1_000_000_000L + now.getNano() - given;
            System.out.println(precise + " " + (System.currentTimeMillis() * 1_000_000L - given) + " " + System.nanoTime());
            System.out.flush();
        }
    }
}
