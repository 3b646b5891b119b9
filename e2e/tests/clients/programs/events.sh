# Prints each event of a stream and how many seconds after the one before it came.
begun=$(date +%s.%N)
curl -sSN --http2 https://www.example.com/open/slow | while read -r line; do
    test -n "$line" || continue
    now=$(date +%s.%N)
    echo "$line" $(python3 -c "print(round($now - $begun))")
    begun=$now
done
