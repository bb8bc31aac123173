package main

// maxSurvivors is the maximum length of the list of survivors.
const maxSurvivors = 20

// survivor is a mutant that no test kills.
type survivor struct {
	place
	reason string // why no test can or should kill it
}

// survivors lists the mutants that no test kills. To add one, copy the line that the
// program prints, and give the reason in one sentence.
var survivors = []survivor{
	{place{"internal/config/auth.go", `const idleTimeout = 90 * time.Second`, "* to /", 0}, "Without it, connections are made more often. A test would need many seconds."},
	{place{"internal/config/auth.go", `panic(err) // only settings with files or certificates can be wrong`, "removed", 0}, "The error is always nil."},
	{place{"internal/config/config.go", `app.Name += " check"`, "+= to =", 0}, "Only --help shows the name. A test of cmd/kamailio_exporter checks it."},
	{place{"internal/config/file.go", `break`, "break to continue", 0}, "Once a limit is reached, it stays reached: each further file ends here too."},
	{place{"internal/config/module.go", `panic(err) // a default value that its flag does not accept`, "removed", 0}, "The error is always nil."},
	{place{"internal/config/yaml.go", `break`, "break to continue", 0}, "Once a limit is reached, it stays reached: each further key ends here too."},
	{place{"internal/config/yaml.go", `break`, "break to continue", 1}, "Once a limit is reached, it stays reached: each further element ends here too."},
	{place{"internal/metric/labels.go", `for sum := maphash.Bytes(seed, text); ; sum++ { // the next key if different texts have the same hash`, "++ to --", 0}, "The table needs another key for the text, and one less is another one too."},
	{place{"rpc/binrpc/datagram.go", `d.cookie++`, "++ to --", 0}, "A request needs another cookie than those before it, and one less is another one too."},
	{place{"rpc/binrpc/decode.go", `if bytes > firstChunk {`, "> to >=", 0}, "The result is an estimate, and the tape grows if it is too low."},
	{place{"rpc/binrpc/encode.go", `if uint64(len(body)) > math.MaxUint32 {`, "> to >=", 0}, "The test would need a packet of 4 GiB."},
	{place{"rpc/jsonrpc/client.go", `return nil, written > 0, contextError(ctx, err)`, "> to >=", 0}, "A test cannot end the context between the connect and the first byte."},
}

// listed reports whether a mutant is in the list.
func listed(m mutant) bool {
	for _, s := range survivors {
		if s.place == m.place {
			return true
		}
	}
	return false
}
